// The deed of fail_stop.h: shuts down the filesystems of volumes that run, all at once.
#pragma once

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/image/pool.h"
#include "volume/overcommit.h"
#include "volume/volume.h"

namespace holdfast {

// Gives the pool's ballast back meanwhile. For each volume, in order: true: it runs no more; false:
// it does not run here, or cannot take anything from the pool. Takes no locks of volumes: a call
// that holds one may be what waits for space. An ext4 whose flush brings an overcommitted pool below
// line.cut_off() loses its device: an fsync that is under way then may be told to be good although it
// is not (docs/adr/0010).
std::vector<absl::StatusOr<bool>> StopVolumes(const Pool& pool, const std::vector<Volume>& volumes,
                                              const StopLine& line);

using Limit = std::function<absl::Status(const Volume&, const Loop&)>;
// Limits what is dirty of the volumes that are staged (volume/overcommit.h): they may have been
// before this process began, or before the pool was overcommitted.
absl::Status LimitDirtyOfRunning(const Pool& pool, const Limit& limit);

}  // namespace holdfast
