// S2: the longest that a write in flight waits while a snapshot is cut, against a budget: what the
// kernel's reflink alone of the same image takes in the same round, and a fixed part. A filesystem
// is frozen for its cut, which is the larger fixed part. Beside it: the longest wait without a
// snapshot.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/fragmented.h"
#include "bench/rows.h"

namespace holdfast::bench {
namespace {

using std::chrono::milliseconds;

constexpr size_t kBlock = 4096;
constexpr uint64_t kSpanBytes = uint64_t{16} << 20;  // that is written to
constexpr milliseconds kBefore{20}, kAfter{10};

struct Budget {
  double fixed_ms;
  double Of(double reflink_ms) const { return fixed_ms + 1.5 * reflink_ms; }
};
constexpr Budget kUnfrozen = {5}, kFrozen = {80}, kFrozenAim = {45};

// Writes 4 KiB at random within the first kSpanBytes of a file or device, one at a time and past
// the page cache, until it is asked for the longest that one took.
class Writer {
 public:
  static absl::StatusOr<std::unique_ptr<Writer>> Start(const std::string& path) {
    const int fd = open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
    if (fd < 0) return absl::InternalError(fmt::format("{}: cannot be opened", path));
    return std::unique_ptr<Writer>(new Writer(fd));
  }
  ~Writer() {
    End();
    close(fd_);
  }
  absl::StatusOr<double> LongestMilliseconds() {
    End();
    if (failed_) return absl::InternalError("a write failed");
    return longest_;
  }

 private:
  explicit Writer(int fd) : fd_(fd), thread_([this] { Write(); }) {}
  void End() {
    done_ = true;
    if (thread_.joinable()) thread_.join();
  }
  void Write() {
    const std::unique_ptr<void, void (*)(void*)> block(aligned_alloc(kBlock, kBlock), free);
    std::mt19937 random(1);
    while (!done_ && !failed_) {
      const off_t offset = static_cast<off_t>(random() % (kSpanBytes / kBlock) * kBlock);
      const Stopwatch watch;
      failed_ = pwrite(fd_, block.get(), kBlock, offset) != static_cast<ssize_t>(kBlock);
      longest_ = std::max(longest_, watch.Milliseconds());
    }
  }

  const int fd_;
  std::atomic<bool> done_ = false;
  bool failed_ = false;
  double longest_ = 0;
  std::thread thread_;  // last: it uses the others
};

struct Subject {
  std::string what;
  std::string volume, image, written;  // its id, its image, the file or device to write to
  Budget must;
  std::optional<Budget> aim = std::nullopt;
};

struct Round {
  double ours = 0, again = 0, alone = 0, reflink = 0;
};

absl::StatusOr<double> Alone(const Subject& subject) {
  ASSIGN_OR_RETURN(const auto writer, Writer::Start(subject.written));
  std::this_thread::sleep_for(kBefore + kAfter);
  return writer->LongestMilliseconds();
}

absl::StatusOr<double> AtSnapshot(Site& site, const Subject& subject, const std::string& name) {
  Settle(site.pool());
  ASSIGN_OR_RETURN(const auto writer, Writer::Start(subject.written));
  std::this_thread::sleep_for(kBefore);
  ASSIGN_OR_RETURN(const std::string snapshot, site.driver().CreateSnapshot(name, subject.volume));
  std::this_thread::sleep_for(kAfter);
  ASSIGN_OR_RETURN(const double longest, writer->LongestMilliseconds());
  RETURN_IF_ERROR(site.driver().DeleteSnapshot(snapshot));
  return longest;
}

absl::StatusOr<Round> MeasureRound(Site& site, const Subject& subject, const std::string& name) {
  Round round;
  ASSIGN_OR_RETURN(round.ours, AtSnapshot(site, subject, name + " a"));
  Settle(site.pool());
  ASSIGN_OR_RETURN(round.reflink, TimeReflink(subject.image, site.by_hand() + "/reflink"));
  ASSIGN_OR_RETURN(round.again, AtSnapshot(site, subject, name + " b"));
  Settle(site.pool());
  ASSIGN_OR_RETURN(round.alone, Alone(subject));
  return round;
}

absl::Status MeasureStalls(Bench& bench, Site& site, const Subject& subject) {
  std::vector<Round> rounds;
  std::vector<Pair> alone;
  int count = 0;
  const auto measure = [&]() -> absl::StatusOr<std::vector<Pair>> {
    std::vector<Pair> pairs;
    rounds.clear();
    alone.clear();
    while (rounds.size() < kPairs) {
      ASSIGN_OR_RETURN(Round round,
                       MeasureRound(site, subject, fmt::format("{} {}", subject.what, count++)));
      if (rounds.size() % 2 == 1) std::swap(round.ours, round.again);
      rounds.push_back(round);
      const double budget = subject.must.Of(round.reflink);
      pairs.push_back({.ours = round.ours, .base = budget, .control = round.again / round.ours});
      alone.push_back({.ours = round.alone, .base = budget});
    }
    return pairs;
  };
  Bar bar{.better = Better::kLower, .must = 1, .aim = std::nullopt, .tolerance = kLatencyTolerance};
  ASSIGN_OR_RETURN(const double reflink, TimeReflink(subject.image, site.by_hand() + "/reflink"));
  if (subject.aim) bar.aim = subject.aim->Of(reflink) / subject.must.Of(reflink);
  ASSIGN_OR_RETURN(const Outcome outcome, Measure(bar, measure));
  bench.report().Add(
      {.row = "S2", .what = subject.what, .unit = "ms", .bar = bar, .outcome = outcome});
  const Bar reported{.better = Better::kLower, .must = std::nullopt, .aim = std::nullopt};
  bench.report().Add({.row = "S2",
                      .what = "  without a snapshot",
                      .unit = "ms",
                      .bar = reported,
                      .outcome = Judge(reported, alone)});
  return absl::OkStatus();
}

absl::Status MeasureBlock(Bench& bench, SiteKind kind, const char* pool) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(kind));
  Driver& driver = site->driver();
  ASSIGN_OR_RETURN(const Fragmented volume, FragmentedVolume(driver, "s2-block", 10'000));
  ASSIGN_OR_RETURN(OpenVolume attached, OpenVolume::Open(driver, volume.id, ""));
  RETURN_IF_ERROR(MeasureStalls(
      bench, *site,
      {.what =
           fmt::format("longest write at a snapshot, block, {} extents{}", volume.extents, pool),
       .volume = volume.id,
       .image = volume.image,
       .written = attached.path(),
       .must = kUnfrozen}));
  RETURN_IF_ERROR(attached.Close());
  return driver.DeleteVolume(volume.id);
}

absl::Status MeasureFrozen(Bench& bench, const std::string& filesystem) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kXfs));
  Driver& driver = site->driver();
  ASSIGN_OR_RETURN(const std::string id, driver.CreateVolume({.name = "s2-" + filesystem,
                                                              .filesystem = filesystem,
                                                              .bytes = uint64_t{512} << 20}));
  ASSIGN_OR_RETURN(OpenVolume mounted, OpenVolume::Open(driver, id, filesystem));
  const std::string file = mounted.path() + "/data";
  RETURN_IF_ERROR(MakeFile(file, kSpanBytes));
  RETURN_IF_ERROR(FillFile(file, kSpanBytes));
  ASSIGN_OR_RETURN(const std::string image, ImageBehind(mounted.path(), /*block=*/false));
  RETURN_IF_ERROR(MeasureStalls(bench, *site,
                                {.what = "the same, frozen " + filesystem,
                                 .volume = id,
                                 .image = image,
                                 .written = file,
                                 .must = kFrozen,
                                 .aim = kFrozenAim}));
  RETURN_IF_ERROR(mounted.Close());
  return driver.DeleteVolume(id);
}

}  // namespace

absl::Status MeasureS2(Bench& bench) {
  RETURN_IF_ERROR(MeasureBlock(bench, SiteKind::kBtrfs, ", on btrfs"));
  RETURN_IF_ERROR(MeasureBlock(bench, SiteKind::kXfs, ""));
  for (const char* filesystem : {"ext4", "xfs"}) {
    RETURN_IF_ERROR(MeasureFrozen(bench, filesystem));
  }
  return absl::OkStatus();
}

}  // namespace holdfast::bench
