#include "engine/image/stop_volumes.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <thread>

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

// The freeze of a stop waits for every write call that is under way, and flushes what it wrote: the
// flush of a volume that the pool owes nothing more ends where what is owed to others begins.
absl::Status ShutDownWithin(const Pool& pool, const Volume& volume, const Loop& loop,
                            const UniqueFd& root, const StopLine& line) {
  Host& host = pool.host;
  auto stopping = std::async(std::launch::async, [&] { return host.ShutDown(root); });
  bool cut_off = !IsOvercommitted(volume);
  while (stopping.wait_for(kFlushLooks) != std::future_status::ready) {
    if (cut_off) continue;
    const auto filesystem = host.DescribeFilesystem(pool.root);
    if (!filesystem.ok() || filesystem->free_bytes >= line.cut_off()) continue;
    cut_off = host.CutOff(loop).ok();
  }
  return stopping.get();
}

absl::Status StopMounted(const Pool& pool, const Volume& volume, const Loop& loop,
                         const UniqueFd& root, const StopLine& line) {
  Host& host = pool.host;
  if (!IsFlushedWhenStopped(volume.content)) return host.ShutDown(root);
  // A writer that waits for less to be dirty holds up the freeze of a stop, and where nothing can be
  // written any more the two would wait for each other for ever.
  host.LimitDirty(loop, 0).IgnoreError();
  absl::Status stopped = ShutDownWithin(pool, volume, loop, root, line);
  // It runs on.
  if (!stopped.ok()) {
    host.LimitDirty(loop, DirtyLimitBytes(volume.content)).IgnoreError();
  }
  return stopped;
}

absl::StatusOr<bool> StopVolume(const Pool& pool, const Volume& volume, const StopLine& line) {
  Host& host = pool.host;
  ASSIGN_OR_RETURN(const auto image,
                   host.OpenFile(pool.volumes, ImageName(volume.incarnation), Access::kReadOnly));
  // Moved or removed while it is attached, it takes from the pool all the same.
  if (image) {
    ASSIGN_OR_RETURN(const FileFacts facts, host.Describe(*image));
    // A copy that was put in its place says nothing of what is attached.
    const bool named = IsImageOf(volume, facts);
    if (named && !CanStillAllocate(volume, facts.allocated_bytes)) return false;
  }
  ASSIGN_OR_RETURN(const auto loops, LoopsByInode(pool, volume));
  absl::Status failed;
  for (const Loop& loop : loops) {
    if (loop.read_only) continue;
    ASSIGN_OR_RETURN(const auto mounts, host.MountsOf(loop));
    for (const MountEntry& mount : mounts) {
      // Where another mount covers it, what opens at its path is somebody else's.
      if (!mount.visible) continue;
      const auto root = host.OpenMount(mount.target);
      failed = root.ok() ? StopMounted(pool, volume, loop, *root, line) : root.status();
      if (failed.ok()) return true;
    }
  }
  if (!failed.ok()) return failed;
  return false;
}

}  // namespace

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

std::vector<absl::StatusOr<bool>> StopVolumes(const Pool& pool,
                                              const std::vector<Volume>& volumes,
                                              const StopLine& line) {
  // Beside the stops, not before them: it may wait for the pool's log.
  const std::jthread ballast(
      [&pool] { ReleaseBallast(pool.host, pool.root, Ballast::kVolumes).status().IgnoreError(); });
  std::vector<absl::StatusOr<bool>> results;
  for (size_t first = 0; first < volumes.size(); first += kStopsAtOnce) {
    const size_t end = std::min(volumes.size(), first + kStopsAtOnce);
    std::vector<std::future<absl::StatusOr<bool>>> stops;
    for (size_t i = first; i < end; ++i) {
      stops.push_back(
          std::async(std::launch::async, StopVolume, std::cref(pool), std::cref(volumes[i]),
                                 std::cref(line)));
    }
    for (auto& stop : stops) results.push_back(stop.get());
  }
  return results;
}

}  // namespace holdfast
