// Counts a pool's space, and admits what fits (volume/space.h has the arithmetic).
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/image/pool.h"
#include "engine/storage_engine.h"
#include "volume/overcommit.h"

namespace holdfast {

enum class Precision {
  kBound,  // from the catalog alone: never less is owed than this says
  kExact,  // FIEMAP of every image that may owe anything
};

// The space of a pool as it is now. owed is read before free, so that a write in between makes the
// answer too careful rather than too bold. trash_bytes only with kExact: what purging gives back
// for sure. floor_bytes is for the present sum of capacities and `more_provisioned_bytes`.
absl::StatusOr<PoolSpace> MeasureSpace(const Pool& pool, Precision precision,
                                       uint64_t more_provisioned_bytes = 0);

// The line below which an overcommitted pool stops volumes. kBound: never lower than it is.
absl::StatusOr<StopLine> MeasureStopLine(const Pool& pool, Precision precision);

// Holes and shared blocks of an image.
absl::StatusOr<ImageUsage> MeasureImage(Host& host, const UniqueFd& image);

// Bytes of an image that a reflink copy taken now would newly share. XFS copies written extents
// only; btrfs shares preallocated ones as well.
uint64_t UnsharedBytes(PoolFilesystem filesystem, const std::vector<Extent>& extents);

// What a volume of that size allocates at once (thick) or may make the pool allocate (thin).
uint64_t NewVolumeBytes(const ClassParameters& parameters, uint64_t capacity_bytes);

// What something new will need.
struct SpaceRequest {
  uint64_t bound_bytes = 0;  // at most this much more is allocated or owed
  // Counts it, when the bound would be refused; null: as the bound.
  std::function<absl::StatusOr<uint64_t>()> exact_bytes = nullptr;
  uint64_t provisioned_bytes = 0;  // how much the sum of capacities grows
};

// Checks that the request fits, purging trash oldest first when it would not otherwise, and, still
// under the pool's admission lock, calls `intend`, which records it. RESOURCE_EXHAUSTED with free,
// owed and floor when it does not fit; then nothing was recorded.
absl::Status Admit(Pool& pool, const SpaceRequest& request,
                   const std::function<absl::Status()>& intend);

// As Admit, for the row of an empty volume alone: `insert` runs without the lock.
absl::Status AdmitRow(Pool& pool, const SpaceRequest& request,
                      const std::function<absl::Status()>& insert);

// The source of a cut may have written between the count and the cut: what was admitted by counting
// is counted again. RESOURCE_EXHAUSTED: the pool cannot afford what was made.
absl::Status CheckStillFits(Pool& pool);

// The lock over an admission, with every row counted that was admitted.
std::unique_lock<std::mutex> LockAdmission(Pool& pool);

// For holdfastctl: the status of a pool that another process may be serving. Takes no lock, writes
// nothing.
PoolStatus MeasurePoolReadOnly(Host& host, const std::string& path);

// The status of an open pool, exactly counted; or without what must be counted.
absl::StatusOr<PoolStatus> DescribePool(const Pool& pool);
absl::StatusOr<PoolStatus> DescribeInBrief(const Pool& pool);

}  // namespace holdfast
