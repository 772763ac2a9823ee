// The image-file engine: volumes are image files in pools on this machine.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/image/pool.h"
#include "engine/storage_engine.h"
#include "os/host.h"
#include "volume/volume_locks.h"

namespace holdfast {

struct ImageEngineOptions {
  std::vector<std::string> pool_paths;
  std::chrono::seconds trash_grace{std::chrono::hours(24)};
  std::chrono::milliseconds freeze_deadline{std::chrono::seconds(10)};
};

class ImageEngine final : public StorageEngine {
 public:
  // Thaws what a dead process left frozen, opens every pool and recovers it. A pool that is refused
  // stays in Pools() with its sentence; the others work. Never fails as a whole. `host` and `clock`
  // must outlive it.
  static std::unique_ptr<ImageEngine> Open(Host& host, const Clock& clock,
                                           const ImageEngineOptions& options,
                                           CatalogOpener open_catalog = nullptr);
  ~ImageEngine() override;

  absl::StatusOr<Volume> CreateVolume(const VolumeRequest& request) override;
  absl::Status DeleteVolume(std::string_view id) override;
  absl::StatusOr<Volume> ExpandVolume(std::string_view id, const CapacityRange& range) override;
  absl::StatusOr<std::optional<Volume>> FindVolume(std::string_view id) override;
  absl::StatusOr<std::vector<Volume>> ListVolumes(std::string_view after, uint64_t limit) override;
  absl::StatusOr<Snapshot> CreateSnapshot(const std::string& name,
                                          std::string_view volume_id) override;
  absl::Status DeleteSnapshot(std::string_view id) override;
  absl::StatusOr<std::optional<Snapshot>> FindSnapshot(std::string_view id) override;
  absl::StatusOr<std::vector<Snapshot>> ListSnapshots(const SnapshotFilter& filter,
                                                      std::string_view after,
                                                      uint64_t limit) override;
  std::vector<PoolStatus> Pools() override;
  absl::StatusOr<CapacityAnswer> GetCapacity(const ClassParameters& parameters,
                                             std::optional<Content> content) override;

  // Purges trash whose grace has passed. Called now and then by the server.
  absl::Status PurgeExpiredTrash();
  // An orderly end: checkpoints the catalogs. Nothing is unmounted or detached.
  absl::Status Close();

  // --- For the node plugin, which lives on the machine that has the pools ------------------------
  // A volume of a pool that is open here, with its image. NOT_FOUND: none; UNAVAILABLE: its pool is
  // refused. The caller holds the volume's lock.
  struct LocalVolume {
    Pool* pool;
    Volume volume;
  };
  absl::StatusOr<LocalVolume> FindLocal(std::string_view id);
  // The image, opened by name in volumes/ and compared with the recorded inode, generation and
  // size. FAILED_PRECONDITION with a sentence when it is not the recorded file, DATA_LOSS when it
  // is missing.
  absl::StatusOr<UniqueFd> OpenImage(const LocalVolume& local, Access access);
  // Grows an unmounted filesystem to its image (a private detached mount for xfs and btrfs).
  absl::Status GrowFilesystem(const LocalVolume& local, const UniqueFd& image);
  // Shared by controller and node: one operation at a time on a volume.
  VolumeLocks& locks() { return locks_; }

 private:
  struct RefusedPool {
    std::string path, sentence;
  };
  ImageEngine(Host& host, const Clock& clock, const ImageEngineOptions& options);

  Host& host_;
  const Clock& clock_;
  const ImageEngineOptions options_;
  std::vector<std::unique_ptr<Pool>> pools_;
  std::vector<RefusedPool> refused_;
  VolumeLocks locks_;
};

}  // namespace holdfast
