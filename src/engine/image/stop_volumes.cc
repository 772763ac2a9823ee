#include "engine/image/stop_volumes.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "base/refusal.h"
#include "base/status_macros.h"
#include "engine/image/attached.h"
#include "engine/image/ballast.h"
#include "engine/image/image_files.h"
#include "volume/overcommit.h"

namespace holdfast {
namespace {

// Each waits for a flush of its disk; more threads would not flush faster.
constexpr size_t kStopsAtOnce = 32;
constexpr std::chrono::milliseconds kFlushLooks{2};

// The stops that are under way: what they will still write, and whose flush must end.
class Flushes {
 public:
  Flushes(const Pool& pool, std::function<StopLine()> line) : pool_(pool), line_(std::move(line)) {}

  // Whether what waits above all their devices would take what is owed to others, and this one's
  // part of it is more than a stop should find. Not what is free alone: what was dirty when they
  // began is room for, and what is in flight when a device is cut off arrives all the same.
  bool MustEnd(const Volume& volume, const Loop& loop) {
    if (!IsOvercommitted(volume)) return false;
    // Before what is free, so that what is written in between counts twice, not never.
    const auto machine = pool_.host.MachineDirtyBytes();
    const auto dirty = pool_.host.DirtyBytes({loop});
    const auto filesystem = pool_.host.DescribeFilesystem(pool_.root);
    if (!machine.ok() || !dirty.ok() || !filesystem.ok()) return false;
    const uint64_t all = std::min(*machine, Note(volume, *dirty));
    return SaturatingSubtract(filesystem->free_bytes, all) < line_().cut_off() &&
           *dirty > 2 * DirtyLimitBytes(volume.content);
  }
  void Ended(const Volume& volume) {
    const std::lock_guard lock(mutex_);
    dirty_.erase(volume.incarnation);
  }

 private:
  uint64_t Note(const Volume& volume, uint64_t dirty) {
    const std::lock_guard lock(mutex_);
    dirty_[volume.incarnation] = dirty;
    uint64_t all = 0;
    for (const auto& [incarnation, bytes] : dirty_) all += bytes;
    return all;
  }

  const Pool& pool_;
  const std::function<StopLine()> line_;
  std::mutex mutex_;
  std::map<std::string, uint64_t> dirty_;  // by incarnation
};

// The freeze of a stop waits for every write call that is under way, and flushes what it wrote: the
// flush of a volume that the pool owes nothing more ends where what is owed to others begins.
StopResult ShutDownWithin(const Pool& pool, const Volume& volume, const Loop& loop,
                          const UniqueFd& root, Flushes& flushes) {
  StopResult result;
  auto stopping = std::async(std::launch::async, [&] { return pool.host.ShutDown(root); });
  bool tried = false;
  while (stopping.wait_for(kFlushLooks) != std::future_status::ready) {
    if (tried || !flushes.MustEnd(volume, loop)) continue;
    tried = true;
    const absl::Status cut_off = pool.host.CutOff(loop);
    // What waits above it still will not be written.
    if (cut_off.ok()) flushes.Ended(volume);
    result.words +=
        cut_off.ok()
            ? " and cut off while it wrote what is owed to others: an fsync that was under "
              "way may have been told to be good wrongly"
            : " and wrote what is owed to others: " + std::string(cut_off.message());
  }
  flushes.Ended(volume);
  result.status = stopping.get();
  return result;
}

StopResult StopMounted(const Pool& pool, const Volume& volume, const Loop& loop,
                       const UniqueFd& root, Flushes& flushes) {
  Host& host = pool.host;
  if (!IsFlushedWhenStopped(volume.content)) return {.status = host.ShutDown(root)};
  // A writer that waits for less to be dirty holds up the freeze of a stop, and where nothing can
  // be written any more the two would wait for each other for ever.
  host.LimitDirty(loop, 0).IgnoreError();
  StopResult result = ShutDownWithin(pool, volume, loop, root, flushes);
  // It runs on.
  if (!result.status.ok()) {
    host.LimitDirty(loop, DirtyLimitBytes(volume.content)).IgnoreError();
  }
  return result;
}

absl::StatusOr<StopResult> TryToStop(const Pool& pool, const Volume& volume, Flushes& flushes) {
  Host& host = pool.host;
  ASSIGN_OR_RETURN(const auto image,
                   host.OpenFile(pool.volumes, ImageName(volume.incarnation), Access::kReadOnly));
  // Moved or removed while it is attached, it takes from the pool all the same.
  if (image) {
    ASSIGN_OR_RETURN(const FileFacts facts, host.Describe(*image));
    // A copy that was put in its place says nothing of what is attached.
    const bool named = IsImageOf(volume, facts);
    if (named && !CanStillAllocate(volume, facts.allocated_bytes)) return StopResult();
  }
  ASSIGN_OR_RETURN(const auto loops, LoopsByInode(pool, volume));
  StopResult last;
  for (const Loop& loop : loops) {
    if (loop.read_only) continue;
    ASSIGN_OR_RETURN(const auto mounts, host.MountsOf(loop));
    for (const MountEntry& mount : mounts) {
      // Where another mount covers it, what opens at its path is somebody else's.
      if (!mount.visible) continue;
      const auto root = host.OpenMount(mount.target);
      last = root.ok() ? StopMounted(pool, volume, loop, *root, flushes)
                       : StopResult{.status = root.status()};
      last.stopped = last.status.ok();
      if (last.stopped) return last;
    }
  }
  return last;
}

StopResult StopVolume(const Pool& pool, const Volume& volume, Flushes& flushes) {
  const auto result = TryToStop(pool, volume, flushes);
  return result.ok() ? *result : StopResult{.status = result.status()};
}

}  // namespace

absl::Status CheckNotCutOff(const Volume& volume, const Loop& loop) {
  if (!loop.IsCutOff()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Refusal{"volume " + volume.id, "one that runs",
              "one that was stopped and cut off when its pool had no room: what was acknowledged "
              "is in it, but for an fsync that was under way then",
              "end its pods, so that it is unstaged, and make room: it comes back when it is "
              "staged again"}
          .Sentence());
}

absl::Status LimitDirtyOfRunning(const Pool& pool, const Limit& limit) {
  Host& host = pool.host;
  ASSIGN_OR_RETURN(const auto volumes, pool.catalog->AllVolumes());
  for (const Volume& volume : volumes) {
    if (DirtyLimitBytes(volume.content) == 0 || volume.stage.last_end != LastEnd::kStaged) continue;
    ASSIGN_OR_RETURN(const auto image,
                     host.OpenFile(pool.volumes, ImageName(volume.incarnation), Access::kReadOnly));
    if (!image) continue;
    ASSIGN_OR_RETURN(const FileFacts facts, host.Describe(*image));
    ASSIGN_OR_RETURN(const auto loops, host.Attachments(facts));
    for (const Loop& loop : loops) RETURN_IF_ERROR(limit(volume, loop));
  }
  return absl::OkStatus();
}

std::vector<StopResult> StopVolumes(const Pool& pool, const std::vector<Volume>& volumes,
                                    const std::function<StopLine()>& line) {
  // Beside the stops, not before them: it may wait for the pool's log.
  const std::jthread ballast(
      [&pool] { ReleaseBallast(pool.host, pool.root, Ballast::kVolumes).status().IgnoreError(); });
  Flushes flushes(pool, line);
  std::vector<StopResult> results;
  for (size_t first = 0; first < volumes.size(); first += kStopsAtOnce) {
    const size_t end = std::min(volumes.size(), first + kStopsAtOnce);
    std::vector<std::future<StopResult>> stops;
    for (size_t i = first; i < end; ++i) {
      stops.push_back(std::async(std::launch::async, StopVolume, std::cref(pool),
                                 std::cref(volumes[i]), std::ref(flushes)));
    }
    for (auto& stop : stops) results.push_back(stop.get());
  }
  return results;
}

}  // namespace holdfast
