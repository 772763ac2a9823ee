// Overcommit by choice: who may have it, and when an overcommitted pool stops its volumes.
//
// In a pool whose owner chose it, a class may let less than all of a volume's missing and shared
// blocks count as owed (`reserve` below 100). Before such a pool is empty these volumes are
// stopped: their filesystems are shut down, so that every later write and fsync fails and keeps
// failing, and nothing that was acknowledged is lost (docs/adr/0010 says how and why). What the
// pool owes to volumes with a full reserve stays free for them. All numbers are in bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "volume/space.h"
#include "volume/volume.h"

namespace holdfast {

// Whether the pool owes the volume less than it may take.
inline bool IsOvercommitted(const Volume& volume) {
  return volume.parameters.reserve_percent < 100;
}

// Whether a filesystem of that kind can be shut down so that fsync keeps failing. Not btrfs, which
// has no such call, nor raw block, which has no filesystem of ours.
bool CanBeStopped(Content content);

// FAILED_PRECONDITION in one sentence: the pool is not overcommitted, the content cannot be
// stopped, or raw block without the class accepting the loss.
absl::Status CheckOvercommit(const ClassParameters& parameters, Content content,
                             const std::string& pool_name, bool pool_overcommits);

// What must be there when a new volume is made: what it will be owed, and at least what making its
// filesystem writes (logs and tables, a sixteenth of it at most).
uint64_t BytesToMake(const ClassParameters& parameters, Content content, uint64_t capacity_bytes);
// The largest volume of a class for which that fits.
uint64_t LargestNewVolume(PoolSpace space, PoolFilesystem filesystem,
                          const ClassParameters& parameters);

// Whether a write to the volume may make the pool allocate; `allocated_bytes` of its image. A
// volume that ever shared blocks is taken to share some still: counting them takes too long here.
bool CanStillAllocate(const Volume& volume, uint64_t allocated_bytes);

// Whether stopping it writes what is dirty in the page cache (os/filesystems.h, ShutDown).
bool IsFlushedWhenStopped(Content content);
// How much of a volume's data is to be dirty at most while it runs in an overcommitted pool; 0: no
// limit. The kernel keeps it most of the time only.
uint64_t DirtyLimitBytes(Content content);

// What may still arrive in the pool between a look and the moment all volumes are stopped: requests
// in flight below each of them, and the reaction time at the disk's speed. At most an eighth of
// the pool.
uint64_t StopReserveBytes(uint64_t pool_bytes, const std::vector<Volume>& volumes);

// The ballast that is given back when volumes are stopped.
uint64_t BallastBytes(uint64_t pool_bytes);
// The one that belongs to the catalog: what a few dozen of its transactions take.
uint64_t CatalogBallastBytes();

// Below which free space what happens.
struct StopLine {
  uint64_t protected_bytes = 0;  // owed to volumes whose reserve is 100
  uint64_t floor_bytes = 0;
  uint64_t reserve_bytes = 0;  // StopReserveBytes

  // Overcommitted volumes are stopped below it.
  uint64_t stop() const { return protected_bytes + floor_bytes + reserve_bytes; }
  // Trash is purged and the log warns below it.
  uint64_t low() const { return stop() + reserve_bytes; }
  // Stops that write what is dirty are cut short when what they would leave is below it, so that
  // what is owed stays. 0: nothing is owed, and their flush may take all that there is.
  uint64_t cut_off() const { return protected_bytes == 0 ? 0 : protected_bytes + floor_bytes; }
  // Volumes with a full reserve are stopped as well: somebody who cannot be stopped (raw block, a
  // foreign file) took what they were promised. Low enough that stopping the others in time, which
  // may take most of the reserve, does not come near it.
  uint64_t last() const { return (floor_bytes + reserve_bytes) / 4; }
};

// `dirty_bytes` is what stopping writes, as good as taken already. Not so for the last line: what
// somebody else took is gone.
enum class Watermark { kPlenty, kLow, kStop, kLast };
Watermark JudgeFree(uint64_t free_bytes, uint64_t dirty_bytes, const StopLine& line);
const char* WatermarkName(Watermark mark);  // "ok", "low", "stop", "last"

// How long the pool cannot reach the line, at a speed that no disk below it exceeds.
std::chrono::milliseconds NextLook(uint64_t free_bytes, uint64_t stop_bytes);

// RESOURCE_EXHAUSTED with the numbers unless a volume that can still allocate may run. A volume
// that was stopped needs a little more than the line, so that it is not stopped again at once.
absl::Status CheckRoomToRun(const Volume& volume, uint64_t free_bytes, const StopLine& line,
                            const std::string& pool_name);

}  // namespace holdfast
