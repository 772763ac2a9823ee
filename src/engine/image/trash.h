// What was deleted, kept for its grace.
#pragma once

#include <chrono>

#include "absl/status/statusor.h"
#include "engine/image/pool.h"

namespace holdfast {

// Removes one entry, file first, then its row. OK when the file is already gone.
absl::Status PurgeEntry(Pool& pool, const TrashEntry& entry);

// Purges the oldest entry. Its space may come back a little later. false: the trash is empty.
absl::StatusOr<bool> PurgeOldest(Pool& pool);
// The same for who does not hold the pool's admission; makes room for its rows.
absl::StatusOr<bool> PurgeOldestAlone(Pool& pool);

// Purges what was deleted more than `grace` before `now_unix_nanos`.
absl::Status PurgeExpired(Pool& pool, int64_t now_unix_nanos, std::chrono::seconds grace);

}  // namespace holdfast
