// S4: what the pool allocates for scattered 4k overwrites of a tenth of a snapshotted volume.
#include <filesystem>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/fio.h"
#include "bench/rows.h"

namespace holdfast::bench {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;
constexpr uint64_t kVolumeBytes = 256 * kMib;
constexpr uint64_t kWrittenBytes = kVolumeBytes / 10 / 4096 * 4096;

// How much free space of the pool's filesystem the writes took.
absl::StatusOr<double> Growth(const std::string& pool, const std::string& device) {
  const uint64_t before = FreeBytes(pool);
  RETURN_IF_ERROR(RunFio({{.file = device,
                           .pattern = "randwrite",
                           .depth = 32,
                           .span_bytes = kVolumeBytes,
                           .total_bytes = kWrittenBytes}})
                      .status());
  return static_cast<double>(before) - static_cast<double>(FreeBytes(pool));
}

absl::StatusOr<double> GrowthOfVolume(Site& site, const std::string& volume,
                                      const std::string& snapshot_name,
                                      std::vector<std::string>& snapshots) {
  ASSIGN_OR_RETURN(const std::string snapshot, site.driver().CreateSnapshot(snapshot_name, volume));
  snapshots.push_back(snapshot);
  return Growth(site.pool(), site.driver().Target(volume));
}

// Twice in each round, each after a snapshot: the second is the control of the first. Snapshots go
// in the end, so that no freeing falls into a measurement.
absl::StatusOr<std::vector<Pair>> MeasureGrowth(Site& site, const std::string& volume,
                                                int attempt) {
  std::vector<std::string> snapshots;
  std::vector<Pair> pairs;
  for (size_t round = 0; round < kPairs; ++round) {
    const std::string name = fmt::format("s4-{}-{}", attempt, round);
    ASSIGN_OR_RETURN(const double ours, GrowthOfVolume(site, volume, name + "a", snapshots));
    ASSIGN_OR_RETURN(const double again, GrowthOfVolume(site, volume, name + "b", snapshots));
    pairs.push_back({.ours = ours / kMib,
                     .base = static_cast<double>(kWrittenBytes) / kMib,
                     .control = again / ours});
  }
  for (const std::string& snapshot : snapshots)
    RETURN_IF_ERROR(site.driver().DeleteSnapshot(snapshot));
  return pairs;
}

// The same with cp --reflink and losetup, the filesystem's defaults as they are.
absl::StatusOr<std::vector<Pair>> MeasureDefaults(Site& site) {
  const std::string image = site.by_hand() + "/s4.img";
  RETURN_IF_ERROR(MakeFile(image, kVolumeBytes));
  RETURN_IF_ERROR(FillFile(image, kVolumeBytes));
  ASSIGN_OR_RETURN(const std::string device, AttachByHand(image));
  const auto measure = [&]() -> absl::StatusOr<std::vector<Pair>> {
    std::vector<Pair> pairs;
    std::vector<double> growths;
    for (size_t count = 0; count < 2 * kPairs; ++count) {
      RETURN_IF_ERROR(RunProgram("sync", {device}).status());
      RETURN_IF_ERROR(
          RunProgram("cp", {"--reflink=always", image, fmt::format("{}.{}", image, count)})
              .status());
      ASSIGN_OR_RETURN(const double growth, Growth(site.pool(), device));
      growths.push_back(growth);
    }
    for (size_t first = 0; first < growths.size(); first += 2) {
      pairs.push_back({.ours = growths[first] / kMib,
                       .base = static_cast<double>(kWrittenBytes) / kMib,
                       .control = growths[first + 1] / growths[first]});
    }
    return pairs;
  };
  auto pairs = measure();
  RETURN_IF_ERROR(RunProgram("losetup", {"-d", device}).status());
  for (const auto& entry : std::filesystem::directory_iterator(site.by_hand())) {
    if (entry.path().string().starts_with(image)) std::filesystem::remove(entry.path());
  }
  return pairs;
}

}  // namespace

absl::Status MeasureS4(Bench& bench) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kXfs));
  Driver& driver = site->driver();
  ASSIGN_OR_RETURN(const std::string volume,
                   driver.CreateVolume({.name = "s4", .filesystem = "", .bytes = kVolumeBytes}));
  const Bar bar{.better = Better::kLower, .must = 1.35, .aim = 1.05};
  Outcome outcome;
  {
    ASSIGN_OR_RETURN(OpenVolume open, OpenVolume::Open(driver, volume, ""));
    RETURN_IF_ERROR(FillFile(open.path(), kVolumeBytes));
    int attempt = 0;
    ASSIGN_OR_RETURN(outcome,
                     Measure(bar, [&] { return MeasureGrowth(*site, volume, attempt++); }));
    RETURN_IF_ERROR(open.Close());
  }
  RETURN_IF_ERROR(driver.DeleteVolume(volume));
  bench.report().Add({.row = "S4",
                      .what = "space for scattered 4k overwrites of 10 %",
                      .unit = "MiB",
                      .bar = bar,
                      .outcome = outcome});
  const Bar reported{.better = Better::kLower, .must = std::nullopt, .aim = std::nullopt};
  ASSIGN_OR_RETURN(const Outcome defaults,
                   Measure(reported, [&] { return MeasureDefaults(*site); }));
  bench.report().Add({.row = "S4",
                      .what = "the same by hand, with the default cowextsize",
                      .unit = "MiB",
                      .bar = reported,
                      .outcome = defaults});
  return absl::OkStatus();
}

}  // namespace holdfast::bench
