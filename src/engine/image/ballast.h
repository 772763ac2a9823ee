// Space that an overcommitted pool keeps for the moment it has no other: preallocated files beside
// the catalog, whose blocks are given back when they are needed and taken again when there is room.
#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "engine/image/pool.h"

namespace holdfast {

// kVolumes is given back when volumes are stopped, kCatalog when a transaction finds no room.
enum class Ballast { kVolumes, kCatalog };

// Allocated bytes of a ballast; 0 when it is absent.
absl::StatusOr<uint64_t> BallastHeld(const Pool& pool, Ballast ballast);

// Takes `bytes`, or nothing: RESOURCE_EXHAUSTED when they are not there.
absl::Status FillBallast(const Pool& pool, Ballast ballast, uint64_t bytes);

// false: there was nothing to give back. The space of kCatalog can be used at once; that of
// kVolumes on btrfs only after its next commit. `pool_root` is the pool's folder.
absl::StatusOr<bool> ReleaseBallast(Host& host, const UniqueFd& pool_root, Ballast ballast);

// The files themselves, of a pool that is overcommitted no longer.
absl::Status RemoveBallasts(Host& host, const UniqueFd& pool_root);

// Runs `body`, and once more when it found no room and the catalog's ballast could be given back:
// deletes, purges and records work on a pool without a free byte. `body` may be repeated.
absl::Status WithCatalogRoom(const Pool& pool, const std::function<absl::Status()>& body);

}  // namespace holdfast
