#include "engine/image/upkeep/restore.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/refusal.h"
#include "base/status_macros.h"
#include "engine/image/space_meter.h"
#include "volume/overcommit.h"

namespace holdfast {
namespace {

absl::Status Taken(const TrashEntry& entry) {
  return absl::AlreadyExistsError(Refusal{
      "restore of " + entry.incarnation, "nobody with its id " + entry.id,
      "one that was made since under the same name", "delete that one first, then restore this one"}
                                      .Sentence());
}

absl::Status KeptNoRow(const TrashEntry& entry) {
  return absl::FailedPreconditionError(Refusal{
      "restore of " + entry.incarnation, "the row it had", "none in the catalog",
      fmt::format("an older version deleted it: stop the driver, move trash/{} to volumes/, "
                  "start it again and run 'holdfastctl orphan adopt'",
                  ImageName(entry.incarnation))}
                                           .Sentence());
}

absl::StatusOr<UniqueFd> OpenTrashed(Pool& pool, const TrashEntry& entry) {
  ASSIGN_OR_RETURN(auto file,
                   pool.host.OpenFile(pool.trash, ImageName(entry.incarnation), Access::kReadOnly));
  if (file) return *std::move(file);
  return absl::DataLossError(
      Refusal{"restore of " + entry.incarnation, "trash/" + ImageName(entry.incarnation), "nothing",
              "it was purged, or removed by hand; 'holdfastctl doctor' drops what is left of it"}
          .Sentence());
}

// What it takes up is used already; what its workload may still write is owed again.
absl::StatusOr<SpaceRequest> SpaceFor(Pool& pool, const TrashEntry& entry, const Volume& volume) {
  ASSIGN_OR_RETURN(const UniqueFd file, OpenTrashed(pool, entry));
  ASSIGN_OR_RETURN(const ImageUsage usage, MeasureImage(pool.host, file));
  return SpaceRequest{.bound_bytes = OwedBytes(usage, volume.parameters.reserve_percent),
                      .provisioned_bytes = volume.capacity_bytes};
}

// Admit would purge the trash to make room, and with it what is to be restored.
absl::Status Intend(Pool& pool, const TrashEntry& entry, const SpaceRequest& request) {
  const auto admission = LockAdmission(pool);
  ASSIGN_OR_RETURN(const PoolSpace space,
                   MeasureSpace(pool, Precision::kExact, request.provisioned_bytes));
  RETURN_IF_ERROR(CheckFits(space, request.bound_bytes, pool.name()));
  return pool.catalog->TakeFromTrash(entry);
}

// Whoever purges holds the same lock.
absl::Status TakeEntry(Pool& pool, const TrashEntry& entry) {
  const std::lock_guard admission(pool.admission);
  return pool.catalog->TakeFromTrash(entry);
}

absl::Status Show(Pool& pool, const UniqueFd& folder, const std::string& incarnation) {
  const std::string name = ImageName(incarnation);
  RETURN_IF_ERROR(pool.host.Rename(pool.trash, name, folder, name));
  RETURN_IF_ERROR(pool.host.SyncFolder(folder));
  return pool.host.SyncFolder(pool.trash);
}

// Back into the trash, for as long as a newly deleted one: never purged at once.
template <typename Object>
absl::Status PutBack(const absl::Status& cause, Pool& pool, Object object, TrashPolicy policy) {
  policy.grace = std::max<std::chrono::seconds>(policy.grace, std::chrono::seconds(1));
  object.state = ObjectState::kDeleting;
  return DiscardAfter(cause, pool, object, policy);
}

absl::Status RestoreVolume(Pool& pool, const TrashEntry& entry, const TrashPolicy& policy) {
  ASSIGN_OR_RETURN(auto volume, pool.catalog->FindTrashedVolume(entry.incarnation));
  if (!volume) return KeptNoRow(entry);
  ASSIGN_OR_RETURN(const auto taken, pool.catalog->FindVolume(entry.id));
  if (taken) return Taken(entry);
  // The pool's owner may have taken overcommit back since it was deleted.
  RETURN_IF_ERROR(CheckOvercommit(volume->parameters, volume->content, pool.name(),
                                  pool.catalog->identity().overcommit));
  ASSIGN_OR_RETURN(const SpaceRequest request, SpaceFor(pool, entry, *volume));
  RETURN_IF_ERROR(Intend(pool, entry, request));
  absl::Status status = Show(pool, pool.volumes, entry.incarnation);
  volume->state = ObjectState::kReady;
  if (status.ok()) status = pool.catalog->UpdateVolume(*volume);
  return status.ok() ? status : PutBack(status, pool, *volume, policy);
}

absl::Status RestoreSnapshot(Pool& pool, const TrashEntry& entry, const TrashPolicy& policy) {
  ASSIGN_OR_RETURN(auto snapshot, pool.catalog->FindTrashedSnapshot(entry.incarnation));
  if (!snapshot) return KeptNoRow(entry);
  ASSIGN_OR_RETURN(const auto taken, pool.catalog->FindSnapshot(entry.id));
  if (taken) return Taken(entry);
  RETURN_IF_ERROR(OpenTrashed(pool, entry).status());
  // Nothing is owed for a snapshot; what it shares with volumes is shared with its file now.
  RETURN_IF_ERROR(TakeEntry(pool, entry));
  absl::Status status = Show(pool, pool.snapshots, entry.incarnation);
  snapshot->state = ObjectState::kReady;
  if (status.ok()) status = pool.catalog->UpdateSnapshot(*snapshot);
  return status.ok() ? status : PutBack(status, pool, *snapshot, policy);
}

}  // namespace

absl::Status RestoreEntry(Pool& pool, const TrashEntry& entry, const TrashPolicy& policy) {
  return entry.kind == ObjectKind::kVolume ? RestoreVolume(pool, entry, policy)
                                           : RestoreSnapshot(pool, entry, policy);
}

}  // namespace holdfast
