#include "engine/image/recovery.h"

#include "base/status_macros.h"
#include "engine/image/expand_volume.h"
#include "engine/image/image_files.h"
#include "engine/image/trash.h"
#include "engine/image/upkeep/pool_view.h"

namespace holdfast {
namespace {

absl::Status DropTrashWithoutFile(Pool& pool) {
  ASSIGN_OR_RETURN(const auto entries, pool.catalog->ListTrash());
  for (const TrashEntry& entry : entries) {
    ASSIGN_OR_RETURN(const auto file, pool.host.OpenFile(pool.trash, ImageName(entry.incarnation),
                                                         Access::kReadOnly));
    if (!file) RETURN_IF_ERROR(PurgeEntry(pool, entry));  // that it is gone must last first
  }
  return absl::OkStatus();
}

absl::Status RecoverVolume(Pool& pool, const ImageRow& row, const TrashPolicy& policy) {
  if (row.ready && !row.may_be_growing) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto volume, pool.catalog->FindVolume(row.id));
  if (!volume) return absl::OkStatus();
  // What was copied from another node so far is kept: the repeated call goes on from there.
  if (volume->state == ObjectState::kCreating && !volume->copy_of.empty()) return absl::OkStatus();
  return row.ready ? UndoExpansion(pool, *volume) : Discard(pool, *volume, policy);
}

}  // namespace

absl::Status SettleWorkFolder(Pool& pool) {
  ASSIGN_OR_RETURN(const auto names, pool.host.ListFolder(pool.work));
  if (names.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const FileClaims claims, FileClaims::Read(*pool.catalog));
  for (const std::string& name : names) {
    const auto incarnation = IncarnationOf(name);
    const FileClaim* claim = incarnation ? claims.OfIncarnation(*incarnation) : nullptr;
    ASSIGN_OR_RETURN(const auto bytes, pool.host.FileSize(pool.work, name));
    if (!bytes) continue;  // no file: not ours, the doctor tells of it
    if (claim != nullptr && claim->copying) continue;
    if (claim == nullptr || claim->state == ObjectState::kCreating) {
      RETURN_IF_ERROR(pool.host.Remove(pool.work, name).status());
    } else if (claim->trashed || claim->state == ObjectState::kReady) {
      const absl::Status shown = MoveImage(pool, name, pool.work, FolderOf(pool, claim->Folder()));
      // Its file has its place, and somebody put a copy here: the doctor tells of that as well.
      if (!shown.ok() && !absl::IsAlreadyExists(shown)) return shown;
    }
  }
  return absl::OkStatus();
}

absl::Status RecoverPool(Pool& pool, const TrashPolicy& policy) {
  ASSIGN_OR_RETURN(const auto rows, pool.catalog->ImageRows());
  for (const ImageRow& row : rows) RETURN_IF_ERROR(RecoverVolume(pool, row, policy));
  ASSIGN_OR_RETURN(const auto snapshots, pool.catalog->AllSnapshots());
  for (const Snapshot& snapshot : snapshots) {
    if (snapshot.state != ObjectState::kReady) RETURN_IF_ERROR(Discard(pool, snapshot, policy));
  }
  return DropTrashWithoutFile(pool);
}

}  // namespace holdfast
