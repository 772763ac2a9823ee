// The deed of fail_stop.h: shuts down the filesystems of volumes that run, all at once.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "engine/image/dirty_data.h"
#include "engine/image/pool.h"
#include "volume/volume.h"

namespace holdfast {

// Gives the pool's ballast back meanwhile. For each volume, in order: true: it runs no more; false:
// it does not run here, or cannot take anything from the pool. Takes no locks of volumes: a call
// that holds one may be what waits for space.
std::vector<absl::StatusOr<bool>> StopVolumes(const Pool& pool, const std::vector<Volume>& volumes);

// Limits what is dirty of the volumes that run (volume/overcommit.h), and notes their devices: they
// may have been staged before this process began, or before the pool was overcommitted.
absl::Status LimitDirtyOfRunning(const Pool& pool, DirtyData& dirty);

}  // namespace holdfast
