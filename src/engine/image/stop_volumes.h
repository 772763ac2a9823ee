// The deed of fail_stop.h: shuts down the filesystems of volumes that run, all at once.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/image/pool.h"
#include "volume/overcommit.h"
#include "volume/volume.h"

namespace holdfast {

struct StopResult {
  // Why it could not be stopped.
  absl::Status status;
  // It runs no more. False also when it does not run here, or can take nothing from the pool.
  bool stopped = false;
  // "was stopped", and what an administrator must know besides.
  std::string words = "was stopped";
};

// Gives the pool's ballast back meanwhile. A result for each volume, in order. Takes no locks of
// volumes: a call that holds one may be what waits for space. `line` gives the pool's as it is now:
// when what waits above the devices of all stops together would bring the pool below
// line().cut_off(), those ext4 with a reserve below 100 that have much of it lose their device. An
// fsync that is under way then may be told to be good although it is not (docs/adr/0010).
std::vector<StopResult> StopVolumes(const Pool& pool, const std::vector<Volume>& volumes,
                                    const std::function<StopLine()>& line);

// FAILED_PRECONDITION: its device was cut off. Said of the device, because a driver that dies
// during the stop leaves no record of it.
absl::Status CheckNotCutOff(const Volume& volume, const Loop& loop);

using Limit = std::function<absl::Status(const Volume&, const Loop&)>;
// Limits what is dirty of the volumes that are staged (volume/overcommit.h): they may have been
// before this process began, or before the pool was overcommitted.
absl::Status LimitDirtyOfRunning(const Pool& pool, const Limit& limit);

}  // namespace holdfast
