// The one way in which something stops to exist: rollback of a failed create, leftovers of a crash,
// DeleteVolume and DeleteSnapshot are all Discard. What was once ready goes to the trash; what
// never was an answer is removed. May be repeated from any point.
#pragma once

#include <chrono>

#include "absl/status/status.h"
#include "engine/image/pool.h"

namespace holdfast {

struct TrashPolicy {
  int64_t now_unix_nanos = 0;
  std::chrono::seconds grace{0};  // 0: purged at once
};

absl::Status Discard(Pool& pool, Volume volume, const TrashPolicy& policy);
absl::Status Discard(Pool& pool, Snapshot snapshot, const TrashPolicy& policy);

// After a failed create: `cause`, or both causes when the discarding fails as well (the row then
// stays, and the next call or start discards it).
template <typename Object>
absl::Status DiscardAfter(const absl::Status& cause, Pool& pool, const Object& object,
                          const TrashPolicy& policy);

}  // namespace holdfast
