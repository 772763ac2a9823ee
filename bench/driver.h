// A running holdfast, spoken to as its sidecars and kubelet do: CSI on a unix socket.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "proto/csi/csi.grpc.pb.h"

namespace holdfast::bench {

struct DriverOptions {
  std::string programs;  // the folder of holdfast and holdfastctl
  std::string folder;    // for socket, log and run folder
  std::string pool;      // an empty folder: the pool is made in it
  std::string targets;   // the kubelet root
};

struct VolumeWish {
  std::string name;
  std::string filesystem;  // empty: a raw block volume
  uint64_t bytes = 0;
  bool thick = true;
  std::string from_snapshot, from_volume;  // at most one
};

// INTERNAL with the method and what the server said.
absl::Status StatusOfCall(const char* method, const grpc::Status& status);

// Calls of CSI are thread-safe, the rest is not. The process is ended, with everything unmounted by
// its callers, at scope end.
class Driver {
 public:
  // Makes the pool, starts the server, waits until it is ready. INTERNAL with the last line of its
  // log when it does not start.
  static absl::StatusOr<std::unique_ptr<Driver>> Start(const DriverOptions& options);
  // Any CSI driver that somebody else runs; it is left running.
  static std::unique_ptr<Driver> At(const std::string& endpoint);
  ~Driver();

  // Ends the server and starts it again. Milliseconds from its start until it said it is ready.
  absl::StatusOr<double> Restart();
  // Resident memory of the server.
  absl::StatusOr<double> ResidentMib() const;

  // For calls that are not waited for.
  csi::v1::CreateVolumeRequest CreateRequest(const VolumeWish& wish) const;
  csi::v1::Controller::Stub& controller() { return *controller_; }

  // Ids.
  absl::StatusOr<std::string> CreateVolume(const VolumeWish& wish);
  absl::StatusOr<std::string> CreateSnapshot(const std::string& name, const std::string& volume);
  absl::Status DeleteVolume(const std::string& id);
  absl::Status DeleteSnapshot(const std::string& id);
  // The first page.
  absl::StatusOr<csi::v1::ListVolumesResponse> ListVolumes(int32_t entries);
  // All pages, each as large as the server gives them, in one.
  absl::StatusOr<csi::v1::ListVolumesResponse> ListAllVolumes();

  // Milliseconds from the start of the last call to its answer, as the server's log has it.
  // NOT_FOUND when that was no call of `method`.
  absl::StatusOr<double> ServerMilliseconds(const std::string& method) const;

  // Stage and publish; Close undoes both. `filesystem` as in VolumeWish.
  absl::Status Open(const std::string& id, const std::string& filesystem);
  absl::Status Close(const std::string& id);
  std::string Target(const std::string& id) const;

 private:
  Driver(DriverOptions options, const std::string& endpoint);
  absl::Status StartServer();
  std::string Staging(const std::string& id) const;

  const DriverOptions options_;
  pid_t pid_ = 0;  // 0: not ours
  std::unique_ptr<csi::v1::Identity::Stub> identity_;
  std::unique_ptr<csi::v1::Controller::Stub> controller_;
  std::unique_ptr<csi::v1::Node::Stub> node_;
};

// A published volume, closed at scope end.
class OpenVolume {
 public:
  static absl::StatusOr<OpenVolume> Open(Driver& driver, const std::string& id,
                                         const std::string& filesystem);
  OpenVolume(OpenVolume&& other) noexcept;
  OpenVolume& operator=(OpenVolume&&) = delete;
  ~OpenVolume() { Close().IgnoreError(); }

  // A folder, or a device.
  std::string path() const { return driver_->Target(id_); }
  absl::Status Close();

 private:
  OpenVolume(Driver& driver, std::string id) : driver_(&driver), id_(std::move(id)) {}
  Driver* driver_;  // null when closed or moved from
  std::string id_;
};

}  // namespace holdfast::bench
