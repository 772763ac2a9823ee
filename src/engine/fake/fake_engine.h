// The storage engine simulated in memory: the same answers and codes as ImageEngine's, without
// files. For tests of what lies above the seam.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/storage_engine.h"
#include "volume/volume_locks.h"

namespace holdfast {

struct FakePoolSpec {
  std::string name;
  uint64_t size_bytes = 0;
  PoolFilesystem filesystem = PoolFilesystem::kXfs;
  bool overcommit = false;
};

// Space: a thick volume counts as fully written, so that a snapshot or clone shares all of it; a
// thin one as never written. What is deleted is gone at once (no trash). Thread-safe.
class FakeEngine final : public StorageEngine {
 public:
  // `clock` must outlive it.
  FakeEngine(const Clock& clock, const std::vector<FakePoolSpec>& pools);

  absl::StatusOr<Volume> CreateVolume(const VolumeRequest& request) override;
  absl::Status DeleteVolume(std::string_view id) override;
  absl::StatusOr<Volume> ExpandVolume(std::string_view id, const CapacityRange& range) override;
  absl::StatusOr<std::optional<Volume>> FindVolume(std::string_view id) override;
  absl::StatusOr<std::vector<ListedVolume>> ListVolumes(std::string_view after,
                                                        uint64_t limit) override;
  absl::StatusOr<Snapshot> CreateSnapshot(const std::string& name,
                                          std::string_view volume_id) override;
  absl::Status DeleteSnapshot(std::string_view id) override;
  absl::StatusOr<std::optional<Snapshot>> FindSnapshot(std::string_view id) override;
  // Nothing is staged here.
  absl::StatusOr<std::vector<RefusedVolume>> RefusedVolumes() override {
    return std::vector<RefusedVolume>();
  }
  absl::StatusOr<std::vector<Snapshot>> ListSnapshots(const SnapshotFilter& filter,
                                                      std::string_view after,
                                                      uint64_t limit) override;
  std::vector<PoolStatus> Pools() override;
  std::vector<PoolStatus> PoolsInBrief() override { return Pools(); }
  absl::StatusOr<CapacityAnswer> GetCapacity(const ClassParameters& parameters,
                                             std::optional<Content> content) override;

  // --- For tests --------------------------------------------------------------------------------
  // A sentence: the pool is refused from now on. Empty: it is served again.
  void RefusePool(const std::string& name, const std::string& sentence);
  // Changes a volume behind the interface, as the node does (stage record, filesystem_bytes).
  void EditVolume(const std::string& id, const std::function<void(Volume&)>& edit);
  // Hold a lock to make other calls on that volume or snapshot name answer ABORTED.
  VolumeLocks& locks() { return locks_; }

 private:
  // Blocks that one or several files share.
  using Blocks = std::shared_ptr<const uint64_t>;
  struct StoredVolume {
    Volume row;
    std::vector<Blocks> blocks;
  };
  struct StoredSnapshot {
    Snapshot row;
    std::vector<Blocks> blocks;
  };
  struct FakePool {
    FakePoolSpec spec;
    std::string uuid;
    std::string refusal;
    std::map<std::string, StoredVolume, std::less<>> volumes;
    std::map<std::string, StoredSnapshot, std::less<>> snapshots;
  };
  // What a clone is made from.
  struct Origin {
    FakePool* pool = nullptr;
    Content content = Content::kExt4;
    uint64_t size_bytes = 0, filesystem_bytes = 0;
    std::optional<RootAttributes> root;
    const std::vector<Blocks>* blocks = nullptr;
  };

  // Null: no such pool. UNAVAILABLE: it is refused.
  absl::StatusOr<FakePool*> PoolOf(std::string_view id, ObjectKind kind);
  absl::StatusOr<StoredVolume*> MustFind(std::string_view id);
  absl::StatusOr<std::vector<FakePool*>> Candidates(const std::string& name);
  absl::StatusOr<Origin> FindOrigin(const Source& source);
  absl::StatusOr<Volume> CreateIn(FakePool& pool, Volume row, const Origin* origin);
  absl::StatusOr<Volume> CreateEmpty(const VolumeRequest& request);
  absl::StatusOr<Volume> CreateClone(const VolumeRequest& request);
  // Nothing is fetched: its origin says all that is simulated here.
  absl::StatusOr<Volume> CreateCopy(const VolumeRequest& request);
  Volume NewRow(const VolumeRequest& request, Content content, uint64_t capacity_bytes);
  static PoolSpace Space(const FakePool& pool);
  static absl::Status CheckInvariant(const FakePool& pool);

  const Clock& clock_;
  std::mutex mutex_;
  std::vector<FakePool> pools_;
  uint64_t next_inode_ = 1000;
  VolumeLocks locks_;
};

}  // namespace holdfast
