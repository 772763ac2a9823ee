// Stops the volumes of overcommitted pools before their pool is empty (volume/overcommit.h has the
// rules, docs/adr/0010 the reasons). Pools that are not overcommitted are none of its business.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/sizes.h"
#include "engine/image/pool.h"
#include "engine/image/space_meter.h"
#include "volume/overcommit.h"

namespace holdfast {

class FailStop {
 public:
  // What the log should say; one line each.
  using Tell = std::function<void(const std::string& sentence)>;

  // Takes care of those of `pools` that are overcommitted, and knows what was stopped before. All
  // must outlive it.
  FailStop(Host& host, const Clock& clock, const std::vector<Pool*>& pools);
  ~FailStop();

  bool idle() const { return watched_.empty(); }

  // Looks at every pool and stops what must be stopped. How long until the next look. For one
  // thread, that does nothing else.
  std::chrono::milliseconds Look(const Tell& tell);
  // What takes longer: purges trash of a pool that is low, takes ballasts again, records stops for
  // which the catalog had no room. For one thread, another one.
  void Tend(const Tell& tell);

  // --- For the node plugin, which holds the volume's lock; OK in other pools -------------------

  // FAILED_PRECONDITION: it was stopped, and was not put away since. `loop` shows it.
  absl::Status CheckNotStopped(const Pool& pool, const Volume& volume, const Loop& loop);
  // RESOURCE_EXHAUSTED with the numbers when it would be stopped again at once. Purges trash,
  // oldest first, when that helps. `image` is the volume's.
  absl::Status CheckRoomToRun(Pool& pool, const Volume& volume, const UniqueFd& image);
  // `loop` is what it will be mounted from.
  absl::Status LimitDirty(const Pool& pool, const Volume& volume, const Loop& loop);
  // It is about to be shown, with its row as it is now: from now on it can be stopped (again).
  absl::Status Resume(Pool& pool, const Volume& volume);

  // Volumes stopped since the process began.
  uint64_t StopCount(const Pool& pool) const;

 private:
  struct Watched;
  struct Stopped;
  // What stopping would write is as good as taken already.
  struct Left {
    uint64_t free_bytes = 0, dirty_bytes = 0;
    uint64_t bytes() const { return SaturatingSubtract(free_bytes, dirty_bytes); }
  };

  Watched* Find(const Pool& pool) const;
  std::chrono::milliseconds LookAt(Watched& watched, const Tell& tell);
  absl::StatusOr<Left> ReadLeft(Watched& watched, Precision precision);
  absl::Status Measure(Watched& watched, uint64_t left);
  absl::Status MeasureAnew(Watched& watched, uint64_t left);
  static std::vector<Volume> Candidates(Watched& watched, bool all);
  void Stop(Watched& watched, Watermark mark, uint64_t left, const Tell& tell);
  void RecordStops(Watched& watched);
  void PurgeWhileLow(Watched& watched, const Tell& tell);

  Host& host_;
  const Clock& clock_;
  std::vector<std::unique_ptr<Watched>> watched_;
};

}  // namespace holdfast
