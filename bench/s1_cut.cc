// S1: how long CreateSnapshot and clones take the server without a freeze, against their budget;
// reported beside it: as the client waits for them, over gRPC. On XFS: a fixed part, and what the
// kernel's reflink alone of the same image takes in the same round. On btrfs: a fixed part, and one
// for each extent. Where the same cut by hand takes long on this machine, a multiple of that in the
// same round (docs/adr/0007-budgets-follow-measured-floors.md).
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/fragmented.h"
#include "bench/hand_catalog.h"
#include "bench/rows.h"

namespace holdfast::bench {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;

struct ReflinkBudget {
  double fixed_ms, factor;
  double Of(double reflink_ms) const { return fixed_ms + factor * reflink_ms; }
};
constexpr ReflinkBudget kMust = {2.0, 1.5}, kAim = {1.0, 1.06};
constexpr double kHandFactor = 1.5;

struct ExtentBudget {
  double fixed_ms, extent_ms;
  double Of(uint64_t extents) const { return fixed_ms + extent_ms * static_cast<double>(extents); }
};
// The first is only reported: FICLONE alone takes more.
constexpr ExtentBudget kXfsExtents = {2.0, 0.0025}, kBtrfsExtents = {2.0, 0.012};

constexpr Bar kReported = {.better = Better::kLower,
                           .must = std::nullopt,
                           .aim = std::nullopt,
                           .tolerance = kLatencyTolerance};

enum class Gate { kReflink, kExtents, kNone };

// What is measured in one go.
struct Subject {
  std::string what;
  Gate gate = Gate::kNone;
  std::string image;            // to reflink and to cut by hand, not for kNone
  double extent_budget_ms = 0;  // not for kNone
  HandCatalog* hand = nullptr;  // on the same pool; not for kNone
};

// Milliseconds of a call, which is undone outside of them.
struct CallTime {
  double server = 0, client = 0;
};
using TimedCall = std::function<absl::StatusOr<CallTime>(const std::string& name)>;

absl::StatusOr<CallTime> TimeSnapshot(Driver& driver, const std::string& volume,
                                      const std::string& name) {
  const Stopwatch watch;
  ASSIGN_OR_RETURN(const std::string snapshot, driver.CreateSnapshot(name, volume));
  CallTime time{.client = watch.Milliseconds()};
  ASSIGN_OR_RETURN(time.server, driver.ServerMilliseconds("CreateSnapshot"));
  RETURN_IF_ERROR(driver.DeleteSnapshot(snapshot));
  return time;
}

absl::StatusOr<CallTime> TimeClone(Driver& driver, VolumeWish wish, const std::string& name) {
  wish.name = name;
  const Stopwatch watch;
  ASSIGN_OR_RETURN(const std::string clone, driver.CreateVolume(wish));
  CallTime time{.client = watch.Milliseconds()};
  ASSIGN_OR_RETURN(time.server, driver.ServerMilliseconds("CreateVolume"));
  RETURN_IF_ERROR(driver.DeleteVolume(clone));
  return time;
}

absl::StatusOr<double> ReflinkAlone(Site& site, const Subject& subject) {
  if (subject.gate != Gate::kReflink) return 0;
  Settle(site.pool());
  return TimeReflink(subject.image, site.by_hand() + "/reflink");
}

absl::StatusOr<double> CutByHand(Site& site, const Subject& subject, int count) {
  if (subject.gate == Gate::kNone) return 0;
  Settle(site.pool());
  return subject.hand->CutAndDelete(fmt::format("{} {}", subject.what, count), subject.image);
}

// One round: the call twice, as its own control, the reflink alone and the cut by hand.
struct Round {
  CallTime ours, again;
  double reflink = 0, hand = 0;
};

absl::StatusOr<std::vector<Round>> MeasureRounds(Site& site, const Subject& subject,
                                                 const TimedCall& call, int& count) {
  const auto timed = [&]() -> absl::StatusOr<CallTime> {
    Settle(site.pool());  // frees what the undo before left to be freed
    return call(fmt::format("{} {}", subject.what, count++));
  };
  std::vector<Round> rounds;
  while (rounds.size() < kPairs) {
    Round round;
    ASSIGN_OR_RETURN(round.ours, timed());
    ASSIGN_OR_RETURN(round.reflink, ReflinkAlone(site, subject));
    ASSIGN_OR_RETURN(round.hand, CutByHand(site, subject, count++));
    ASSIGN_OR_RETURN(round.again, timed());
    if (rounds.size() % 2 == 1) std::swap(round.ours, round.again);
    rounds.push_back(round);
  }
  return rounds;
}

using Time = double CallTime::*;
using Budget = std::function<double(const Round&)>;

std::vector<Pair> PairsOf(const std::vector<Round>& rounds, Time time, const Budget& budget) {
  std::vector<Pair> pairs;
  for (const Round& round : rounds) {
    const double ours = round.ours.*time;
    pairs.push_back({.ours = ours, .base = budget(round), .control = round.again.*time / ours});
  }
  return pairs;
}

absl::Status MeasureCalls(Bench& bench, Site& site, const Subject& subject, const TimedCall& call) {
  int count = 0;
  const Budget an_extent = [&](const Round&) { return subject.extent_budget_ms; };
  const Budget by_hand = [](const Round& round) { return round.hand; };
  const Budget budget = [&](const Round& round) {
    const bool by_extents = subject.gate == Gate::kExtents;
    return std::max(by_extents ? subject.extent_budget_ms : kMust.Of(round.reflink),
                    kHandFactor * round.hand);
  };
  Round floor;
  ASSIGN_OR_RETURN(floor.reflink, ReflinkAlone(site, subject));
  ASSIGN_OR_RETURN(floor.hand, CutByHand(site, subject, count++));
  Bar bar = kReported;
  if (subject.gate != Gate::kNone) bar.must = 1;
  if (subject.gate == Gate::kReflink) bar.aim = kAim.Of(floor.reflink) / budget(floor);
  std::vector<Round> rounds;
  const auto measure = [&]() -> absl::StatusOr<std::vector<Pair>> {
    ASSIGN_OR_RETURN(rounds, MeasureRounds(site, subject, call, count));
    return PairsOf(rounds, &CallTime::server, budget);
  };
  ASSIGN_OR_RETURN(const Outcome outcome, Measure(bar, measure));
  bench.report().Add(
      {.row = "S1", .what = subject.what, .unit = "ms", .bar = bar, .outcome = outcome});
  const auto report = [&](const char* what, Time time, const Budget& against) {
    bench.report().Add({.row = "S1",
                        .what = what,
                        .unit = "ms",
                        .bar = kReported,
                        .outcome = Judge(kReported, PairsOf(rounds, time, against))});
  };
  report("  as the client waits for it", &CallTime::client, budget);
  if (subject.gate == Gate::kNone) return absl::OkStatus();
  report("  against the budget an extent", &CallTime::server, an_extent);
  report("  against the cut by hand", &CallTime::server, by_hand);
  return absl::OkStatus();
}

// Which calls are measured: all where they are quick, so that the whole stays within minutes.
constexpr uint64_t kMostForAll = 1000, kMostForClones = 10'000;

absl::Status MeasureExtents(Bench& bench, SiteKind kind, uint64_t wanted) {
  const bool xfs = kind == SiteKind::kXfs;
  ASSIGN_OR_RETURN(Site* const site, bench.At(kind));
  Driver& driver = site->driver();
  const std::string name = fmt::format("s1-{}", wanted);
  ASSIGN_OR_RETURN(const Fragmented volume, FragmentedVolume(driver, name, wanted));
  const std::string folder = site->by_hand() + "/" + name;
  std::filesystem::create_directory(folder);
  ASSIGN_OR_RETURN(const auto hand, HandCatalog::Make(folder));
  Subject subject{.what = "",
                  .gate = xfs ? Gate::kReflink : Gate::kExtents,
                  .image = volume.image,
                  .extent_budget_ms = (xfs ? kXfsExtents : kBtrfsExtents).Of(volume.extents),
                  .hand = hand.get()};
  const auto measure = [&](const char* what, const TimedCall& call) {
    subject.what = fmt::format("{}, {} extent{}{}", what, volume.extents,
                               volume.extents == 1 ? "" : "s", xfs ? "" : ", on btrfs");
    return MeasureCalls(bench, *site, subject, call);
  };
  const auto snapshot = [&](const std::string& each) {
    return TimeSnapshot(driver, volume.id, each);
  };
  RETURN_IF_ERROR(measure("snapshot", snapshot));
  if (wanted <= kMostForAll) {
    ASSIGN_OR_RETURN(OpenVolume attached, OpenVolume::Open(driver, volume.id, ""));
    RETURN_IF_ERROR(measure("snapshot, attached", snapshot));
    RETURN_IF_ERROR(attached.Close());
    RETURN_IF_ERROR(measure("clone of a volume", [&](const std::string& each) {
      return TimeClone(driver, {.bytes = kFragmentedBytes, .from_volume = volume.id}, each);
    }));
  }
  if (wanted <= kMostForClones) {
    ASSIGN_OR_RETURN(const std::string source, driver.CreateSnapshot(name + "-source", volume.id));
    RETURN_IF_ERROR(measure("clone of a snapshot", [&](const std::string& each) {
      return TimeClone(driver, {.bytes = kFragmentedBytes, .from_snapshot = source}, each);
    }));
    RETURN_IF_ERROR(driver.DeleteSnapshot(source));
  }
  std::filesystem::remove_all(folder);
  return driver.DeleteVolume(volume.id);
}

// Not gated: a clone of a filesystem is also given a UUID of its own, mounted once out of sight and
// its root compared, which is more than a cut.
absl::Status MeasureFilesystem(Bench& bench, const std::string& filesystem) {
  constexpr uint64_t kBytes = 512 * kMib;
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kXfs));
  Driver& driver = site->driver();
  ASSIGN_OR_RETURN(
      const std::string volume,
      driver.CreateVolume({.name = "s1-" + filesystem, .filesystem = filesystem, .bytes = kBytes}));
  std::string source;
  {
    // Cut while it is mounted, so that the clone has a log to replay.
    ASSIGN_OR_RETURN(OpenVolume mounted, OpenVolume::Open(driver, volume, filesystem));
    RETURN_IF_ERROR(MakeFile(mounted.path() + "/data", 64 * kMib));
    RETURN_IF_ERROR(FillFile(mounted.path() + "/data", 64 * kMib));
    ASSIGN_OR_RETURN(source, driver.CreateSnapshot("s1-source-" + filesystem, volume));
    RETURN_IF_ERROR(mounted.Close());
  }
  const Subject subject{.what = fmt::format("clone of {}: log, UUID, check mount", filesystem),
                        .gate = Gate::kNone,
                        .image = ""};
  RETURN_IF_ERROR(MeasureCalls(bench, *site, subject, [&](const std::string& each) {
    return TimeClone(driver, {.filesystem = filesystem, .bytes = kBytes, .from_snapshot = source},
                     each);
  }));
  RETURN_IF_ERROR(driver.DeleteSnapshot(source));
  return driver.DeleteVolume(volume);
}

}  // namespace

absl::Status MeasureS1(Bench& bench) {
  for (const uint64_t extents : {1, 1000, 10'000, 50'000}) {
    RETURN_IF_ERROR(MeasureExtents(bench, SiteKind::kXfs, extents));
  }
  for (const char* filesystem : {"ext4", "xfs", "btrfs"}) {
    RETURN_IF_ERROR(MeasureFilesystem(bench, filesystem));
  }
  for (const uint64_t extents : {1, 1000, 10'000}) {
    RETURN_IF_ERROR(MeasureExtents(bench, SiteKind::kBtrfs, extents));
  }
  return absl::OkStatus();
}

}  // namespace holdfast::bench
