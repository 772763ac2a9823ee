// The whole driver on a simulated machine: FakeHost, a real SQLite catalog in a temporary folder,
// ImageEngine, the controller and node services called as gRPC calls them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "admin/admin_service.h"
#include "base/clock.h"
#include "controller/controller_service.h"
#include "engine/image/image_engine.h"
#include "node/node_service.h"
#include "tests/fakes/fake_host.h"
#include "tests/fakes/fault_plan.h"
#include "tests/fakes/faulty_host.h"

namespace holdfast {

// Moves one second at each look.
class FakeClock final : public Clock {
 public:
  int64_t UnixNanos() const override { return nanos_ += 1'000'000'000; }
  void Advance(std::chrono::nanoseconds by) { nanos_ += by.count(); }

 private:
  mutable std::atomic<int64_t> nanos_{1'700'000'000'000'000'000};
};

struct RigOptions {
  uint64_t pool_bytes = uint64_t{8} << 30;
  std::chrono::seconds trash_grace{0};
  bool overcommit = false;
};

class Rig {
 public:
  explicit Rig(const RigOptions& options = {});
  ~Rig();

  // Ends the driver and starts another one on the same machine.
  void Restart();

  // --- One call each, with usual arguments ------------------------------------------------------
  csi::v1::CreateVolumeRequest CreateRequest(const std::string& name,
                                             const std::string& fs_type = "ext4") const;
  grpc::Status Create(const csi::v1::CreateVolumeRequest& request, csi::v1::Volume* volume);
  // An ext4 volume (fs_type "block": raw block) of 64 MiB; aborts the test when it fails.
  std::string MustCreate(const std::string& name, const std::string& fs_type = "ext4");
  grpc::Status Delete(const std::string& volume_id);
  grpc::Status Stage(const std::string& volume_id, const std::string& fs_type = "ext4");
  grpc::Status Unstage(const std::string& volume_id);
  grpc::Status Publish(const std::string& volume_id, const std::string& pod = "pod",
                       const std::string& fs_type = "ext4");
  grpc::Status Unpublish(const std::string& volume_id, const std::string& pod = "pod");
  grpc::Status Snapshot(const std::string& name, const std::string& volume_id,
                        csi::v1::Snapshot* snapshot = nullptr);
  grpc::Status Expand(const std::string& volume_id, uint64_t bytes);
  grpc::Status NodeExpand(const std::string& volume_id, const std::string& pod = "pod");

  std::string StagingPath(const std::string& volume_id) const;
  std::string TargetPath(const std::string& pod) const;
  // The image's path on the simulated machine.
  std::string ImagePath(const std::string& volume_id);
  Volume Row(const std::string& volume_id);

  FakeHost machine{{"/kubelet"}};
  FaultPlan catalog_plan;
  FaultyHost host{machine};
  FakeClock clock;
  std::unique_ptr<ImageEngine> engine;
  std::unique_ptr<SingleNode> nodes;
  std::unique_ptr<ControllerService> controller;
  std::unique_ptr<NodeService> node;
  std::unique_ptr<ImageUpkeep> upkeep;
  std::unique_ptr<AdminService> admin;

 private:
  void Start();
  const RigOptions options_;
  std::filesystem::path folder_;
};

// One line that has `part`.
void ExpectRefused(const grpc::Status& status, grpc::StatusCode code, const std::string& part);

csi::v1::VolumeCapability CapabilityOf(
    const std::string& fs_type, csi::v1::VolumeCapability::AccessMode::Mode mode =
                                    csi::v1::VolumeCapability::AccessMode::SINGLE_NODE_WRITER);

}  // namespace holdfast
