// The image-file engine: volumes are image files in pools on this machine.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/image/copies.h"
#include "engine/image/discard.h"
#include "engine/image/fail_stop.h"
#include "engine/image/fail_stop_threads.h"
#include "engine/image/image_files.h"
#include "engine/image/pool.h"
#include "engine/image/space_meter.h"
#include "engine/snapshot_reader.h"
#include "engine/storage_engine.h"
#include "os/host.h"
#include "volume/volume_locks.h"

namespace holdfast {

struct ImageEngineOptions {
  std::vector<std::string> pool_paths;
  std::chrono::seconds trash_grace{std::chrono::hours(24)};
  std::chrono::milliseconds freeze_deadline{std::chrono::seconds(10)};
};

class ImageEngine final : public StorageEngine, public SnapshotReader {
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
  absl::StatusOr<std::vector<ListedVolume>> ListVolumes(std::string_view after,
                                                        uint64_t limit) override;
  absl::StatusOr<Snapshot> CreateSnapshot(const std::string& name,
                                          std::string_view volume_id) override;
  absl::Status DeleteSnapshot(std::string_view id) override;
  absl::StatusOr<std::optional<Snapshot>> FindSnapshot(std::string_view id) override;
  absl::StatusOr<std::vector<RefusedVolume>> RefusedVolumes() override;
  absl::StatusOr<std::vector<Snapshot>> ListSnapshots(const SnapshotFilter& filter,
                                                      std::string_view after,
                                                      uint64_t limit) override;
  std::vector<PoolStatus> Pools() override;
  std::vector<PoolStatus> PoolsInBrief() override;
  absl::StatusOr<CapacityAnswer> GetCapacity(const ClassParameters& parameters,
                                             std::optional<Content> content) override;

  // --- Copies from and to other nodes ------------------------------------------------------------
  absl::StatusOr<std::string> ReadSnapshot(std::string_view id, std::string_view incarnation,
                                           uint64_t from, TakeChunk take) override;
  // How it gets what another node has. Set once, before calls come in.
  void set_fetch(FetchSnapshot fetch) { fetch_ = std::move(fetch); }
  const Copies& copies() const { return copies_; }
  // Before the end of the process: those under way end as soon as they can, and go on when they are
  // asked for again.
  void StopCopies() { copies_.Stop(); }

  // Watches overcommitted pools for as long as the object lives; null when there is none. The
  // engine must outlive it.
  std::unique_ptr<FailStopThreads> WatchPools(FailStop::Tell tell);

  // Purges trash whose grace has passed, and what was copied of volumes that nobody asks for any
  // more. Called now and then by the server.
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
  // How a volume that is attached is put away when nothing but its stage is left of its use, under
  // its lock: OK, or FAILED_PRECONDITION with who uses it. DeleteVolume calls it, because kubelet
  // can forget a staged volume. Set once, before calls come in; not set: such a delete is refused.
  using PutAway = std::function<absl::Status(LocalVolume&)>;
  void set_put_away(PutAway put_away) { put_away_ = std::move(put_away); }
  // What an overcommitted pool does when it runs low; nothing in any other.
  FailStop& fail_stop() { return *fail_stop_; }
  // Shared by controller and node: one operation at a time on a volume.
  VolumeLocks& locks() { return locks_; }

  // --- For the administrator's verbs (engine/image/upkeep) ---------------------------------------
  struct RefusedPool {
    std::string path, sentence;
  };
  const std::vector<std::unique_ptr<Pool>>& pools() const { return pools_; }
  const std::vector<RefusedPool>& refused_pools() const { return refused_; }
  TrashPolicy trash_policy() const { return {clock_.UnixNanos(), options_.trash_grace}; }

 private:
  std::vector<PoolStatus> DescribeEach(absl::StatusOr<PoolStatus> (*describe)(const Pool&));
  struct LocalSnapshot {
    Pool* pool;
    Snapshot snapshot;
  };
  ImageEngine(Host& host, const Clock& clock, const ImageEngineOptions& options);

  // image_engine.cc: who is where. A pool that is not open here: null when every configured pool
  // is, else UNAVAILABLE, because it may be the one that is refused.
  absl::StatusOr<Pool*> PoolOf(const ParsedId& id) const;
  absl::StatusOr<std::vector<Pool*>> CandidatePools(const std::string& name) const;
  absl::StatusOr<std::optional<LocalVolume>> FindVolumeByName(const std::string& name);
  absl::StatusOr<std::optional<LocalSnapshot>> FindSnapshotByName(const std::string& name);
  absl::StatusOr<LocalSnapshot> FindLocalSnapshot(std::string_view id);

  // create_volume.cc
  absl::StatusOr<Volume> CreateEmpty(const VolumeRequest& request);
  absl::StatusOr<Volume> CreateFromSnapshot(const VolumeRequest& request);
  absl::StatusOr<Volume> CreateFromVolume(const VolumeRequest& request);
  // The row of a volume that shares no blocks, in the first pool that has room for it.
  absl::StatusOr<LocalVolume> IntendUnshared(const VolumeRequest& request, Content content,
                                             uint64_t capacity);
  Volume NewVolumeRow(const Pool& pool, const VolumeRequest& request, Content content,
                      uint64_t capacity_bytes) const;
  // The row becomes ready, or what was made is discarded.
  absl::StatusOr<Volume> Commit(Pool& pool, Volume volume, const absl::StatusOr<MadeImage>& made);

  absl::Status CheckNotReplaced(const LocalVolume& local, const UniqueFd& named);
  absl::StatusOr<std::vector<Loop>> LoopsOf(const LocalVolume& local);
  absl::Status EndUse(LocalVolume& local);

  // copy_volume.cc. `begun`: what an earlier attempt has left.
  absl::StatusOr<Volume> CreateCopy(const VolumeRequest& request, std::optional<LocalVolume> begun);
  absl::StatusOr<UniqueFd> CopyImage(Pool& pool, Volume& volume, const CopyOrigin& origin,
                                     Copies::Running& running);
  absl::Status DropAbandonedCopies(Pool& pool);

  // expand_volume.cc
  absl::StatusOr<UniqueFd> OpenImageToGrow(const LocalVolume& local, uint64_t target);

  // create_snapshot.cc
  absl::StatusOr<Snapshot> CutSnapshot(const LocalVolume& source, const UniqueFd& image,
                                       Snapshot snapshot);
  absl::StatusOr<CloneSource> OpenSnapshot(const LocalSnapshot& source);
  // What a reflink copy of the volume adds to what is owed, and `more_bytes` for the copy itself.
  absl::StatusOr<SpaceRequest> SpaceForCut(const LocalVolume& source, const UniqueFd& image,
                                           uint64_t more_bytes);
  // The bound must know of sharing before it exists. Updates `source` too.
  absl::Status MarkShared(LocalVolume& source);

  Host& host_;
  const Clock& clock_;
  const ImageEngineOptions options_;
  std::vector<std::unique_ptr<Pool>> pools_;  // ordered by UUID; fixed after Open
  std::vector<RefusedPool> refused_;
  std::unique_ptr<FailStop> fail_stop_;
  VolumeLocks locks_;
  PutAway put_away_;
  FetchSnapshot fetch_;
  Copies copies_;
};

// Keys of VolumeLocks.
std::string VolumeKey(std::string_view name_hash);
std::string SnapshotKey(std::string_view name_hash);

// NOT_FOUND with a sentence.
absl::Status NoSuchVolume(std::string_view id);

}  // namespace holdfast
