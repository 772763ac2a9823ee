// ImageEngine::CreateSnapshot and its undo, DeleteSnapshot.
#include <utility>

#include <fmt/format.h>

#include "base/refusal.h"
#include "base/status_macros.h"
#include "base/uuid.h"
#include "engine/image/ballast.h"
#include "engine/image/cut.h"
#include "engine/image/discard.h"
#include "engine/image/image_engine.h"
#include "engine/image/image_files.h"
#include "engine/image/space_meter.h"

namespace holdfast {
absl::StatusOr<SpaceRequest> ImageEngine::SpaceForCut(const LocalVolume& source,
                                                      const UniqueFd& image, uint64_t more_bytes) {
  ASSIGN_OR_RETURN(const uint64_t extents, host_.ExtentCount(image));
  more_bytes += CloneMetadataBytes(source.pool->filesystem, extents);
  // Where the bound already owes the whole volume, sharing adds nothing to it.
  const bool counted = OwedUpperBound(source.volume) > 0;
  const uint32_t percent = source.volume.parameters.reserve_percent;
  const uint64_t bound = OwedBytes({.shared_bytes = source.volume.capacity_bytes}, percent);
  const auto exact = [&host = host_, &image, more_bytes, percent,
                      filesystem = source.pool->filesystem]() -> absl::StatusOr<uint64_t> {
    ASSIGN_OR_RETURN(const auto all, host.Extents(image));
    return OwedBytes({.shared_bytes = UnsharedBytes(filesystem, all)}, percent) + more_bytes;
  };
  return SpaceRequest{.bound_bytes = (counted ? 0 : bound) + more_bytes, .exact_bytes = exact};
}

absl::Status ImageEngine::MarkShared(LocalVolume& source) {
  if (source.volume.shares_blocks) return absl::OkStatus();
  source.volume.shares_blocks = true;
  return source.pool->catalog->UpdateVolume(source.volume, Outlives::kProcess);
}

absl::StatusOr<Snapshot> ImageEngine::CreateSnapshot(const std::string& name,
                                                     std::string_view volume_id) {
  ASSIGN_OR_RETURN(const auto guard, locks_.TryLock(SnapshotKey(NameHash(name))));
  ASSIGN_OR_RETURN(const auto existing, FindSnapshotByName(name));
  if (existing && existing->snapshot.state == ObjectState::kReady) {
    Pool& pool = *existing->pool;
    RETURN_IF_ERROR(ShowIfHidden(pool, existing->snapshot.incarnation, pool.snapshots));
    if (existing->snapshot.volume_id == volume_id) return existing->snapshot;
    return absl::AlreadyExistsError(Refusal{
        "source of snapshot '" + name + "'", existing->snapshot.volume_id + ", as it was cut",
        std::string(volume_id), "ask for the same, or use another name"}
                                        .Sentence());
  }
  if (existing) RETURN_IF_ERROR(Discard(*existing->pool, existing->snapshot, trash_policy()));
  const auto parsed = ParseId(volume_id);
  if (!parsed) return NoSuchVolume(volume_id);
  ASSIGN_OR_RETURN(const auto source_guard, locks_.TryLock(VolumeKey(parsed->name_hash)));
  ASSIGN_OR_RETURN(LocalVolume source, FindLocal(volume_id));
  RETURN_IF_ERROR(CheckNotRefused(source.volume));
  ASSIGN_OR_RETURN(const UniqueFd image, OpenImage(source, Access::kReadOnly));
  const Volume& volume = source.volume;
  Snapshot snapshot{.id = MakeId(ObjectKind::kSnapshot, source.pool->uuid(), name),
                    .name = name,
                    .incarnation = NewUuid(),
                    .volume_id = volume.id,
                    .volume_incarnation = volume.incarnation,
                    .content = volume.content,
                    .size_bytes = volume.capacity_bytes,
                    .filesystem_bytes = volume.filesystem_bytes,
                    .filesystem_uuid = volume.filesystem_uuid,
                    .provisioning = volume.parameters.provisioning};
  const auto intend = [&]() -> absl::Status {
    RETURN_IF_ERROR(MarkShared(source));
    return source.pool->catalog->InsertSnapshot(snapshot, Outlives::kProcess);
  };
  ASSIGN_OR_RETURN(const SpaceRequest need, SpaceForCut(source, image, 0));
  RETURN_IF_ERROR(Admit(*source.pool, need, intend));
  auto cut = CutSnapshot(source, image, snapshot);
  if (cut.ok()) return cut;
  return DiscardAfter(cut.status(), *source.pool, snapshot, trash_policy());
}

absl::StatusOr<Snapshot> ImageEngine::CutSnapshot(const LocalVolume& source, const UniqueFd& image,
                                                  Snapshot snapshot) {
  Pool& pool = *source.pool;
  ASSIGN_OR_RETURN(const Cut cut, CutVolume(pool, source.volume, image, snapshot.incarnation,
                                            options_.freeze_deadline));
  snapshot.created_unix_nanos = clock_.UnixNanos();
  snapshot.consistency = cut.consistency;
  snapshot.root = cut.root;
  snapshot.root_may_differ = cut.root_may_differ;
  RETURN_IF_ERROR(host_.Sync(cut.image));
  ASSIGN_OR_RETURN(snapshot.extents, host_.ExtentCount(cut.image));
  RETURN_IF_ERROR(CheckStillFits(pool));
  snapshot.state = ObjectState::kReady;
  RETURN_IF_ERROR(pool.catalog->UpdateSnapshot(snapshot));
  RETURN_IF_ERROR(ShowImage(pool, snapshot.incarnation, pool.snapshots));
  return snapshot;
}

absl::StatusOr<CloneSource> ImageEngine::OpenSnapshot(const LocalSnapshot& source) {
  const Snapshot& snapshot = source.snapshot;
  ASSIGN_OR_RETURN(auto file, host_.OpenFile(source.pool->snapshots,
                                             ImageName(snapshot.incarnation), Access::kReadOnly));
  if (!file) {
    return absl::DataLossError(Refusal{"file of snapshot " + snapshot.id,
                                       "snapshots/" + ImageName(snapshot.incarnation), "nothing",
                                       "restore another snapshot"}
                                   .Sentence());
  }
  return CloneSource{.file = *std::move(file),
                     .filesystem_uuid = snapshot.filesystem_uuid,
                     .root = snapshot.root,
                     .root_may_differ = snapshot.root_may_differ};
}

absl::Status ImageEngine::DeleteSnapshot(std::string_view id) {
  const auto parsed = ParseId(id);
  if (!parsed || parsed->kind != ObjectKind::kSnapshot) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto guard, locks_.TryLock(SnapshotKey(parsed->name_hash)));
  ASSIGN_OR_RETURN(Pool* const pool, PoolOf(*parsed));
  if (pool == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto snapshot, pool->catalog->FindSnapshot(id));
  if (!snapshot) return absl::OkStatus();
  return WithCatalogRoom(*pool, [&] { return Discard(*pool, *snapshot, trash_policy()); });
}

}  // namespace holdfast
