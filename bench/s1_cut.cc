// S1: how long CreateSnapshot and clones take without a freeze, against their budget: a fixed part
// and a part for each extent of the image. As the client waits for them, the call included.
#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/fio.h"
#include "bench/rows.h"

namespace holdfast::bench {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;
constexpr uint64_t kVolumeBytes = 256 * kMib;

struct Budget {
  double fixed_ms, extent_ms;
  double Of(uint64_t extents) const { return fixed_ms + extent_ms * static_cast<double>(extents); }
};
constexpr Budget kXfsMust = {2.0, 0.0025}, kXfsAim = {1.0, 0.0018}, kBtrfsMust = {2.0, 0.012};

// A raw block volume whose image has about that many extents: every second block is overwritten
// after a snapshot.
absl::StatusOr<std::string> FragmentedVolume(Driver& driver, const std::string& name,
                                             uint64_t extents, uint64_t& found) {
  ASSIGN_OR_RETURN(const std::string id,
                   driver.CreateVolume({.name = name, .filesystem = "", .bytes = kVolumeBytes}));
  ASSIGN_OR_RETURN(OpenVolume volume, OpenVolume::Open(driver, id, ""));
  RETURN_IF_ERROR(FillFile(volume.path(), kVolumeBytes));
  if (extents > 1) {
    ASSIGN_OR_RETURN(const std::string seed, driver.CreateSnapshot(name + "-seed", id));
    RETURN_IF_ERROR(RunFio({{.file = volume.path(),
                             .pattern = "write:4k",
                             .depth = 32,
                             .total_bytes = extents / 2 * 4096}})
                        .status());
    RETURN_IF_ERROR(driver.DeleteSnapshot(seed));
  }
  ASSIGN_OR_RETURN(const std::string image, ImageBehind(volume.path(), /*block=*/true));
  Settle(image);
  found = ExtentCount(image);
  RETURN_IF_ERROR(volume.Close());
  return id;
}

// Milliseconds of a call, undone outside of it.
using TimedCall = std::function<absl::StatusOr<double>(const std::string& name)>;

absl::StatusOr<double> TimeSnapshot(Driver& driver, const std::string& volume,
                                    const std::string& name) {
  const Stopwatch watch;
  ASSIGN_OR_RETURN(const std::string snapshot, driver.CreateSnapshot(name, volume));
  const double milliseconds = watch.Milliseconds();
  RETURN_IF_ERROR(driver.DeleteSnapshot(snapshot));
  return milliseconds;
}

absl::StatusOr<double> TimeClone(Driver& driver, VolumeWish wish, const std::string& name) {
  wish.name = name;
  const Stopwatch watch;
  ASSIGN_OR_RETURN(const std::string clone, driver.CreateVolume(wish));
  const double milliseconds = watch.Milliseconds();
  RETURN_IF_ERROR(driver.DeleteVolume(clone));
  return milliseconds;
}

// The base is the budget; the control is the same call once more.
absl::Status MeasureCalls(Bench& bench, const Site& site, const std::string& what, const Bar& bar,
                          double budget_ms, const TimedCall& call) {
  int count = 0;
  const auto measure = [&]() -> absl::StatusOr<std::vector<Pair>> {
    std::vector<Pair> pairs;
    for (size_t round = 0; round < kPairs; ++round) {
      Settle(site.pool());  // frees what the undo before left to be freed
      ASSIGN_OR_RETURN(const double ours, call(fmt::format("{} {}", what, count++)));
      Settle(site.pool());
      ASSIGN_OR_RETURN(const double again, call(fmt::format("{} {}", what, count++)));
      const bool odd = round % 2 == 1;
      pairs.push_back({.ours = odd ? again : ours,
                       .base = budget_ms,
                       .control = odd ? ours / again : again / ours});
    }
    return pairs;
  };
  ASSIGN_OR_RETURN(const Outcome outcome, Measure(bar, measure));
  bench.report().Add({.row = "S1", .what = what, .unit = "ms", .bar = bar, .outcome = outcome});
  return absl::OkStatus();
}

absl::Status MeasureExtents(Bench& bench, SiteKind kind, uint64_t wanted) {
  const bool xfs = kind == SiteKind::kXfs;
  ASSIGN_OR_RETURN(Site* const site, bench.At(kind));
  Driver& driver = site->driver();
  const std::string name = fmt::format("s1-{}", wanted);
  uint64_t extents = 0;
  ASSIGN_OR_RETURN(const std::string volume, FragmentedVolume(driver, name, wanted, extents));
  const double budget = (xfs ? kXfsMust : kBtrfsMust).Of(extents);
  Bar bar{.better = Better::kLower, .must = 1, .tolerance = kLatencyTolerance};
  if (xfs) bar.aim = kXfsAim.Of(extents) / budget;
  const std::string of = fmt::format(", {} extents{}", extents, xfs ? "" : ", pool on btrfs");
  const auto snapshot = [&](const std::string& each) { return TimeSnapshot(driver, volume, each); };

  RETURN_IF_ERROR(MeasureCalls(bench, *site, "snapshot" + of, bar, budget, snapshot));
  {
    ASSIGN_OR_RETURN(OpenVolume attached, OpenVolume::Open(driver, volume, ""));
    RETURN_IF_ERROR(MeasureCalls(bench, *site, "snapshot, attached" + of, bar, budget, snapshot));
    RETURN_IF_ERROR(attached.Close());
  }
  ASSIGN_OR_RETURN(const std::string source, driver.CreateSnapshot(name + "-source", volume));
  const auto restore = [&](const std::string& each) {
    return TimeClone(driver, {.bytes = kVolumeBytes, .from_snapshot = source}, each);
  };
  RETURN_IF_ERROR(MeasureCalls(bench, *site, "clone of a snapshot" + of, bar, budget, restore));
  const auto clone = [&](const std::string& each) {
    return TimeClone(driver, {.bytes = kVolumeBytes, .from_volume = volume}, each);
  };
  RETURN_IF_ERROR(MeasureCalls(bench, *site, "clone of a volume" + of, bar, budget, clone));
  RETURN_IF_ERROR(driver.DeleteSnapshot(source));
  return driver.DeleteVolume(volume);
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
  const Bar bar{.better = Better::kLower,
                .must = std::nullopt,
                .aim = std::nullopt,
                .tolerance = kLatencyTolerance};
  RETURN_IF_ERROR(MeasureCalls(
      bench, *site, fmt::format("clone of {}: log, UUID, check mount", filesystem), bar,
      kXfsMust.fixed_ms, [&](const std::string& each) {
        return TimeClone(
            driver, {.filesystem = filesystem, .bytes = kBytes, .from_snapshot = source}, each);
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
