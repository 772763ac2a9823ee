#include "engine/image/trash.h"

#include <mutex>

#include "base/status_macros.h"
#include "engine/image/ballast.h"

namespace holdfast {

absl::Status PurgeEntry(Pool& pool, const TrashEntry& entry) {
  RETURN_IF_ERROR(pool.host.Remove(pool.trash, ImageName(entry.incarnation)).status());
  // Else a power cut could bring the file back after its row had gone, and nobody would claim it.
  RETURN_IF_ERROR(pool.host.SyncFolder(pool.trash));
  return pool.catalog->RemoveTrash(entry.incarnation);
}

absl::StatusOr<bool> PurgeOldest(Pool& pool) {
  ASSIGN_OR_RETURN(const auto entries, pool.catalog->ListTrash());
  if (entries.empty()) return false;
  RETURN_IF_ERROR(PurgeEntry(pool, entries.front()));
  return true;
}

// A restore takes an entry and its file under the same lock.
absl::StatusOr<bool> PurgeOldestAlone(Pool& pool) {
  const std::lock_guard admission(pool.admission);
  absl::StatusOr<bool> purged = false;
  RETURN_IF_ERROR(WithCatalogRoom(pool, [&] {
    purged = PurgeOldest(pool);
    return purged.status();
  }));
  return purged;
}

absl::Status PurgeExpired(Pool& pool, int64_t now_unix_nanos, std::chrono::seconds grace) {
  ASSIGN_OR_RETURN(const auto entries, pool.catalog->ListTrash());
  const int64_t grace_nanos = std::chrono::nanoseconds(grace).count();
  for (const TrashEntry& entry : entries) {
    if (now_unix_nanos - entry.deleted_unix_nanos < grace_nanos) break;  // oldest first
    // A restore takes an entry and its file under the same lock.
    const std::lock_guard admission(pool.admission);
    ASSIGN_OR_RETURN(const auto still, pool.catalog->FindTrash(entry.incarnation));
    // Restored and deleted again meanwhile, it has a new grace.
    const bool same = still && still->deleted_unix_nanos == entry.deleted_unix_nanos;
    if (same) RETURN_IF_ERROR(PurgeEntry(pool, entry));
  }
  return absl::OkStatus();
}

}  // namespace holdfast
