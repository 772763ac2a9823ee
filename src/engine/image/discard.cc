#include "engine/image/discard.h"

#include <fmt/format.h>

#include "base/status_macros.h"
#include "engine/image/image_files.h"
#include "engine/image/trash.h"

namespace holdfast {
namespace {

absl::Status UpdateRow(Catalog& catalog, const Volume& volume) {
  return catalog.UpdateVolume(volume);
}
absl::Status UpdateRow(Catalog& catalog, const Snapshot& snapshot) {
  return catalog.UpdateSnapshot(snapshot);
}
absl::Status RemoveRow(Catalog& catalog, const Volume& volume) {
  return catalog.RemoveVolume(volume.id);
}
absl::Status RemoveRow(Catalog& catalog, const Snapshot& snapshot) {
  return catalog.RemoveSnapshot(snapshot.id);
}

TrashEntry EntryOf(const Volume& volume) {
  return {.incarnation = volume.incarnation,
          .kind = ObjectKind::kVolume,
          .id = volume.id,
          .name = volume.name,
          .size_bytes = volume.capacity_bytes};
}
TrashEntry EntryOf(const Snapshot& snapshot) {
  return {.incarnation = snapshot.incarnation,
          .kind = ObjectKind::kSnapshot,
          .id = snapshot.id,
          .name = snapshot.name,
          .size_bytes = snapshot.size_bytes};
}

// From its place, or from work/ when it was claimed and never shown.
absl::Status MoveFileToTrash(Pool& pool, const UniqueFd& folder, const std::string& name) {
  for (const UniqueFd* from : {&folder, static_cast<const UniqueFd*>(&pool.work)}) {
    const absl::Status renamed = MoveImage(pool, name, *from, pool.trash);
    if (!absl::IsNotFound(renamed)) return renamed;
  }
  return absl::OkStatus();  // an earlier attempt came this far
}

template <typename Object>
absl::Status DiscardFrom(Pool& pool, const UniqueFd& folder, Object object,
                         const TrashPolicy& policy) {
  Host& host = pool.host;
  const std::string name = ImageName(object.incarnation);
  if (object.state == ObjectState::kCreating) {
    // A claim that failed may yet be on the disk, and a power cut after the file had gone would
    // make it an answer: it is taken back first.
    RETURN_IF_ERROR(UpdateRow(*pool.catalog, object));
    RETURN_IF_ERROR(host.Remove(pool.work, name).status());
    return RemoveRow(*pool.catalog, object);
  }
  if (object.state == ObjectState::kReady) {
    object.state = ObjectState::kDeleting;
    RETURN_IF_ERROR(UpdateRow(*pool.catalog, object));
  }
  RETURN_IF_ERROR(MoveFileToTrash(pool, folder, name));
  RETURN_IF_ERROR(host.SyncFolder(pool.trash));
  RETURN_IF_ERROR(host.SyncFolder(folder));
  TrashEntry entry = EntryOf(object);
  entry.deleted_unix_nanos = policy.now_unix_nanos;
  RETURN_IF_ERROR(pool.catalog->MoveToTrash(entry));
  // It is deleted now; should its file resist, the next purge takes it.
  if (policy.grace.count() == 0) PurgeEntry(pool, entry).IgnoreError();
  return absl::OkStatus();
}

}  // namespace

absl::Status Discard(Pool& pool, Volume volume, const TrashPolicy& policy) {
  return DiscardFrom(pool, pool.volumes, std::move(volume), policy);
}

absl::Status Discard(Pool& pool, Snapshot snapshot, const TrashPolicy& policy) {
  return DiscardFrom(pool, pool.snapshots, std::move(snapshot), policy);
}

template <typename Object>
absl::Status DiscardAfter(const absl::Status& cause, Pool& pool, const Object& object,
                          const TrashPolicy& policy) {
  const absl::Status discarded = Discard(pool, object, policy);
  if (discarded.ok()) return cause;
  return absl::Status(
      cause.code(),
      fmt::format("{}; what was made of {} could not be discarded: {}",
                  std::string(cause.message()), object.id, std::string(discarded.message())));
}
template absl::Status DiscardAfter(const absl::Status&, Pool&, const Volume&, const TrashPolicy&);
template absl::Status DiscardAfter(const absl::Status&, Pool&, const Snapshot&, const TrashPolicy&);

}  // namespace holdfast
