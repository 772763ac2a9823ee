#include "engine/image/fail_stop.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/refusal.h"
#include "base/sizes.h"
#include "base/status_macros.h"
#include "engine/image/ballast.h"
#include "engine/image/dirty_data.h"
#include "engine/image/stop_volumes.h"
#include "engine/image/trash.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// The rows change without an admission when a volume is deleted or written; that only lowers the
// line, so it need not be seen at once.
constexpr std::chrono::seconds kLineLasts{1};
// Counting takes long under load, in which a pool can empty, so that Tend counts and Look uses what
// it found: too high a line at worst.
constexpr std::chrono::seconds kCountedLineLasts{3};
// While a pool is below its line nothing is staged, so nothing new can take from it quickly.
constexpr milliseconds kWaitWhileStopped{20};
constexpr milliseconds kWaitAfterError{100};
constexpr std::chrono::seconds kLongestWait{1};
constexpr int kPurgesInARow = 64;

// Removed files give their space back late (space_meter.cc); nothing is refused before that.
absl::Status WaitForRoom(Host& host, const Pool& pool, const std::function<absl::Status()>& check) {
  absl::Status room;
  for (int wait_ms = 10; wait_ms <= 160; wait_ms *= 2) {
    RETURN_IF_ERROR(host.SyncFilesystem(pool.root));
    room = check();
    if (!absl::IsResourceExhausted(room)) return room;
    std::this_thread::sleep_for(milliseconds(wait_ms));
  }
  return room;
}

}  // namespace

struct FailStop::Stopped {
  StopRecord record;
  bool recorded = true;
};

struct FailStop::Watched {
  explicit Watched(Pool& pool_in) : pool(pool_in) {}
  Pool& pool;
  std::atomic<uint64_t> stop_count{0};

  DirtyData dirty;
  std::atomic<bool> dirty_known{false};  // of what ran before the process began

  bool told_low = false, limited_running = false;  // Tend's alone
  bool was_last = false;                           // Look's alone: at the look before

  std::mutex mutex;  // over all that follows
  std::vector<Stopped> stopped;
  std::set<std::string> tried_to_stop;  // incarnations
  // What may have to be stopped. Kept, because the catalog waits for the pool's disk at times.
  std::vector<Volume> staged;
  uint64_t resumes = 0;  // grows with each that a stage adds to them
  StopLine line;
  bool counted = false;  // of the line: exactly
  steady_clock::time_point measured_at;
  std::optional<uint64_t> admissions;  // of the pool when the line was measured; none: never

  bool IsStopped(const std::string& incarnation) {
    return std::any_of(stopped.begin(), stopped.end(),
                       [&](const Stopped& one) { return one.record.incarnation == incarnation; });
  }
  // The limit that a stop has taken away is not to come back beneath it: see StopVolumes.
  absl::Status LimitUnlessStopped(Host& host, const Volume& volume, const Loop& loop) {
    const std::lock_guard lock(mutex);
    dirty.Note(volume, loop);
    if (tried_to_stop.contains(volume.incarnation) || IsStopped(volume.incarnation)) {
      return absl::OkStatus();
    }
    return host.LimitDirty(loop, DirtyLimitBytes(volume.content));
  }
  StopLine Line() {
    const std::lock_guard lock(mutex);
    return line;
  }
  uint64_t Resumes() {
    const std::lock_guard lock(mutex);
    return resumes;
  }
};

FailStop::FailStop(Host& host, const Clock& clock, const std::vector<Pool*>& pools)
    : host_(host), clock_(clock) {
  for (Pool* pool : pools) {
    if (!pool->catalog->identity().overcommit) continue;
    auto watched = std::make_unique<Watched>(*pool);
    // Without the list, a volume that was stopped before may be stopped and recorded once more.
    if (auto stops = pool->catalog->ListStops(); stops.ok()) {
      for (StopRecord& record : *stops) watched->stopped.push_back({std::move(record), true});
    }
    watched_.push_back(std::move(watched));
  }
}

FailStop::~FailStop() = default;

FailStop::Watched* FailStop::Find(const Pool& pool) const {
  for (const auto& watched : watched_) {
    if (&watched->pool == &pool) return watched.get();
  }
  return nullptr;
}

milliseconds FailStop::Look(const Tell& tell) {
  milliseconds next = kLongestWait;
  for (const auto& watched : watched_) next = std::min(next, LookAt(*watched, tell));
  return next;
}

// kBound: with all that is dirty on the machine.
absl::StatusOr<FailStop::Left> FailStop::ReadLeft(Watched& watched, Precision precision) {
  Left left;
  // Before what is free, so that what is written in between counts twice, not never.
  if (watched.dirty_known && precision == Precision::kBound) {
    ASSIGN_OR_RETURN(left.dirty_bytes, host_.MachineDirtyBytes());
  } else if (watched.dirty_known) {
    ASSIGN_OR_RETURN(left.dirty_bytes, watched.dirty.BytesOf(host_, Candidates(watched, false)));
  }
  ASSIGN_OR_RETURN(const FolderFilesystem filesystem, host_.DescribeFilesystem(watched.pool.root));
  left.free_bytes = filesystem.free_bytes;
  return left;
}

milliseconds FailStop::LookAt(Watched& watched, const Tell& tell) {
  // Read before the line: a volume with a full reserve that writes in between lowers both.
  absl::StatusOr<Left> left = ReadLeft(watched, Precision::kBound);
  absl::Status looked = left.ok() ? Measure(watched, left->bytes()) : left.status();
  const StopLine line = watched.Line();
  if (looked.ok() && JudgeFree(left->free_bytes, left->dirty_bytes, line) != Watermark::kPlenty) {
    left = ReadLeft(watched, Precision::kExact);
    looked = left.status();
  }
  if (!looked.ok()) {
    tell(fmt::format("pool {}: {}", watched.pool.name(), std::string(looked.message())));
    return kWaitAfterError;
  }
  const Watermark mark = JudgeFree(left->free_bytes, left->dirty_bytes, line);
  if (mark < Watermark::kStop) {
    watched.was_last = false;
    return NextLook(left->bytes(), line.stop());
  }
  Stop(watched, mark, left->bytes(), tell);
  return kWaitWhileStopped;
}

// The bound while that is enough, by counting when it is not, and nothing is stopped by a bound. It
// is counted while the line is still far enough away for the time that this takes.
absl::Status FailStop::Measure(Watched& watched, uint64_t left) {
  const uint64_t admissions = watched.pool.admissions;
  {
    const std::lock_guard lock(watched.mutex);
    const auto age = steady_clock::now() - watched.measured_at;
    const bool lasts = watched.admissions == admissions &&
                       age < (watched.counted ? kCountedLineLasts : kLineLasts);
    const bool near = left < watched.line.low() + watched.line.reserve_bytes;
    if (lasts && (watched.counted || !near)) return absl::OkStatus();
  }
  return MeasureAnew(watched, left);
}

absl::Status FailStop::MeasureAnew(Watched& watched, uint64_t left) {
  const uint64_t admissions = watched.pool.admissions;
  const uint64_t resumes = watched.Resumes();
  ASSIGN_OR_RETURN(auto volumes, watched.pool.catalog->AllVolumes());
  watched.dirty.Keep(volumes);
  std::erase_if(volumes, [](const Volume& volume) {
    return volume.stage.last_end != LastEnd::kStaged || !CanBeStopped(volume.content);
  });
  ASSIGN_OR_RETURN(StopLine line, MeasureStopLine(watched.pool, Precision::kBound));
  const bool near = left < line.low() + line.reserve_bytes;
  if (near) {
    ASSIGN_OR_RETURN(line, MeasureStopLine(watched.pool, Precision::kExact));
  }
  const std::lock_guard lock(watched.mutex);
  watched.line = line;
  watched.counted = near;
  // What was staged meanwhile may be missing among them.
  if (watched.resumes == resumes) watched.staged = std::move(volumes);
  watched.measured_at = steady_clock::now();
  watched.admissions = admissions;
  return absl::OkStatus();
}

std::vector<Volume> FailStop::Candidates(Watched& watched, bool all) {
  const std::lock_guard lock(watched.mutex);
  std::vector<Volume> candidates;
  for (const Volume& volume : watched.staged) {
    const bool pays = all || IsOvercommitted(volume);
    if (pays && !watched.IsStopped(volume.incarnation)) candidates.push_back(volume);
  }
  return candidates;
}

// `left`: bytes free less those that are dirty.
void FailStop::Stop(Watched& watched, Watermark mark, uint64_t left, const Tell& tell) {
  // Those with a full reserve not before stopping the others was seen to be too little.
  const bool all = mark == Watermark::kLast && watched.was_last;
  watched.was_last = mark == Watermark::kLast;
  const std::vector<Volume> candidates = Candidates(watched, all);
  if (candidates.empty()) return;
  {
    const std::lock_guard lock(watched.mutex);
    for (const Volume& volume : candidates) watched.tried_to_stop.insert(volume.incarnation);
  }
  const auto results = StopVolumes(watched.pool, candidates, [&] { return watched.Line(); });
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Volume& volume = candidates[i];
    if (!results[i].status.ok()) {
      tell(fmt::format("volume {} could not be stopped: {}", volume.id,
                       std::string(results[i].status.message())));
    }
    if (!results[i].stopped) {
      const std::lock_guard lock(watched.mutex);
      watched.tried_to_stop.erase(volume.incarnation);
      continue;
    }
    ++watched.stop_count;
    const StopRecord record{.incarnation = volume.incarnation,
                            .volume_id = volume.id,
                            .stopped_unix_nanos = clock_.UnixNanos(),
                            .free_bytes = left,
                            .stop_bytes = watched.Line().stop()};
    tell(fmt::format("volume {} {}: pool {} had {} free, below its line of {}", volume.id,
                     results[i].words, watched.pool.name(), FormatBytes(left),
                     FormatBytes(record.stop_bytes)));
    const std::lock_guard lock(watched.mutex);
    watched.stopped.push_back({record, false});
  }
  // Only now: a crash before the records forgets why volumes were stopped, not that they are.
  RecordStops(watched);
}

// Those that are not recorded yet; what fails is tried again.
void FailStop::RecordStops(Watched& watched) {
  std::vector<StopRecord> records;
  {
    const std::lock_guard lock(watched.mutex);
    for (const Stopped& one : watched.stopped) {
      if (!one.recorded) records.push_back(one.record);
    }
  }
  for (const StopRecord& record : records) {
    const absl::Status recorded =
        WithCatalogRoom(watched.pool, [&] { return watched.pool.catalog->RecordStop(record); });
    // NOT_FOUND: the volume is gone meanwhile.
    if (!recorded.ok() && !absl::IsNotFound(recorded)) continue;
    const std::lock_guard lock(watched.mutex);
    for (Stopped& one : watched.stopped) {
      if (one.record.incarnation == record.incarnation) one.recorded = true;
    }
  }
}

void FailStop::PurgeWhileLow(Watched& watched, const Tell& tell) {
  const StopLine line = watched.Line();
  for (int i = 0; i < kPurgesInARow; ++i) {
    const auto filesystem = host_.DescribeFilesystem(watched.pool.root);
    if (!filesystem.ok()) return;
    const bool low = JudgeFree(filesystem->free_bytes, 0, line) != Watermark::kPlenty;
    if (low != watched.told_low) {
      tell(fmt::format("pool {} {}: {} free, its volumes are stopped below {}", watched.pool.name(),
                       low ? "runs low" : "has room again", FormatBytes(filesystem->free_bytes),
                       FormatBytes(line.stop())));
      watched.told_low = low;
    }
    if (!low) return;
    const auto purged = PurgeOldestAlone(watched.pool);
    if (!purged.ok()) {
      tell(fmt::format("purging the trash: {}", std::string(purged.status().message())));
    }
    if (!purged.ok() || !*purged) return;
    if (!host_.SyncFilesystem(watched.pool.root).ok()) return;
  }
}

void FailStop::Tend(const Tell& tell) {
  for (const auto& watched : watched_) {
    if (!watched->limited_running) {
      const absl::Status limited =
          LimitDirtyOfRunning(watched->pool, [&](const Volume& volume, const Loop& loop) {
            return watched->LimitUnlessStopped(host_, volume, loop);
          });
      watched->limited_running = limited.ok();
      watched->dirty_known = true;
      if (!limited.ok()) tell(std::string(limited.message()));
    }
    PurgeWhileLow(*watched, tell);
    RecordStops(*watched);
    // A ballast that cannot be had yet is tried for again; none of it is needed for what is right.
    const auto filesystem = host_.DescribeFilesystem(watched->pool.root);
    if (!filesystem.ok()) continue;
    if (const auto measured = MeasureAnew(*watched, filesystem->free_bytes); !measured.ok()) {
      tell(fmt::format("pool {}: {}", watched->pool.name(), std::string(measured.message())));
    }
    const StopLine line = watched->Line();
    const uint64_t free_bytes = filesystem->free_bytes;
    if (free_bytes >= line.last() + CatalogBallastBytes()) {
      FillBallast(watched->pool, Ballast::kCatalog, CatalogBallastBytes()).IgnoreError();
    }
    const uint64_t ballast = BallastBytes(filesystem->size_bytes);
    if (free_bytes >= line.low() + ballast) {
      FillBallast(watched->pool, Ballast::kVolumes, ballast).IgnoreError();
    }
  }
}

absl::Status FailStop::CheckNotStopped(const Pool& pool, const Volume& volume, const Loop& loop) {
  RETURN_IF_ERROR(CheckNotCutOff(volume, loop));
  Watched* const watched = Find(pool);
  if (watched == nullptr) return absl::OkStatus();
  const std::lock_guard lock(watched->mutex);
  for (const Stopped& one : watched->stopped) {
    if (one.record.incarnation != volume.incarnation) continue;
    return absl::FailedPreconditionError(
        Refusal{"volume " + volume.id, "one that runs",
                fmt::format("one that was stopped when its pool {} had {} free, below its line of "
                            "{}; what was acknowledged is in it",
                            pool.name(), FormatBytes(one.record.free_bytes),
                            FormatBytes(one.record.stop_bytes)),
                "end its pods, so that it is unstaged, and make room: it comes back when it is "
                "staged again"}
            .Sentence());
  }
  return absl::OkStatus();
}

absl::Status FailStop::CheckRoomToRun(Pool& pool, const Volume& volume, const UniqueFd& image) {
  if (Find(pool) == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(const FileFacts facts, host_.Describe(image));
  if (!CanStillAllocate(volume, facts.allocated_bytes)) return absl::OkStatus();
  const auto check = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const FolderFilesystem filesystem, host_.DescribeFilesystem(pool.root));
    ASSIGN_OR_RETURN(const StopLine line, MeasureStopLine(pool, Precision::kExact));
    return holdfast::CheckRoomToRun(volume, filesystem.free_bytes, line, pool.name());
  };
  absl::Status room = check();
  while (absl::IsResourceExhausted(room)) {
    ASSIGN_OR_RETURN(const bool purged, PurgeOldestAlone(pool));
    if (!purged) break;
    room = WaitForRoom(host_, pool, check);
  }
  return absl::IsResourceExhausted(room) ? WaitForRoom(host_, pool, check) : room;
}

absl::Status FailStop::LimitDirty(const Pool& pool, const Volume& volume, const Loop& loop) {
  Watched* const watched = Find(pool);
  const uint64_t bytes = DirtyLimitBytes(volume.content);
  if (watched == nullptr || bytes == 0) return absl::OkStatus();
  watched->dirty.Note(volume, loop);
  return host_.LimitDirty(loop, bytes);
}

absl::Status FailStop::Resume(Pool& pool, const Volume& volume) {
  Watched* const watched = Find(pool);
  if (watched == nullptr) return absl::OkStatus();
  {
    const std::lock_guard lock(watched->mutex);
    ++watched->resumes;
    std::erase_if(watched->staged,
                  [&](const Volume& one) { return one.incarnation == volume.incarnation; });
    watched->staged.push_back(volume);
    if (!watched->IsStopped(volume.incarnation)) return absl::OkStatus();
  }
  RETURN_IF_ERROR(pool.catalog->RemoveStop(volume.incarnation));
  const std::lock_guard lock(watched->mutex);
  std::erase_if(watched->stopped,
                [&](const Stopped& one) { return one.record.incarnation == volume.incarnation; });
  return absl::OkStatus();
}

uint64_t FailStop::StopCount(const Pool& pool) const {
  const Watched* const watched = Find(pool);
  return watched == nullptr ? 0 : watched->stop_count.load();
}

}  // namespace holdfast
