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
constexpr uint64_t kHandBytes = 64 * kMib;

constexpr double TenthOf(uint64_t bytes) { return static_cast<double>(bytes / 10 / 4096 * 4096); }

// How much free space of the pool's filesystem the writes took.
absl::StatusOr<double> Growth(const std::string& pool, const std::string& device, uint64_t bytes) {
  const uint64_t before = FreeBytes(pool);
  RETURN_IF_ERROR(RunFio({{.file = device,
                           .pattern = "randwrite",
                           .depth = 32,
                           .span_bytes = bytes,
                           .total_bytes = static_cast<uint64_t>(TenthOf(bytes))}})
                      .status());
  return static_cast<double>(before) - static_cast<double>(FreeBytes(pool));
}

absl::StatusOr<double> GrowthOfVolume(Site& site, const std::string& volume,
                                      const std::string& snapshot_name,
                                      std::vector<std::string>& snapshots) {
  ASSIGN_OR_RETURN(const std::string snapshot, site.driver().CreateSnapshot(snapshot_name, volume));
  snapshots.push_back(snapshot);
  return Growth(site.pool(), site.driver().Target(volume), kVolumeBytes);
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
    pairs.push_back(
        {.ours = ours / kMib, .base = TenthOf(kVolumeBytes) / kMib, .control = again / ours});
  }
  for (const std::string& snapshot : snapshots)
    RETURN_IF_ERROR(site.driver().DeleteSnapshot(snapshot));
  return pairs;
}

// By hand, cp --reflink and losetup, the filesystem's defaults as they are. On a new image each
// time: what one round's 128 KiB pieces leave unused would serve the next one.
absl::StatusOr<double> GrowthByHand(Site& site, const std::string& image) {
  RETURN_IF_ERROR(MakeFile(image, kHandBytes));
  RETURN_IF_ERROR(FillFile(image, kHandBytes));
  RETURN_IF_ERROR(RunProgram("cp", {"--reflink=always", image, image + ".snapshot"}).status());
  ASSIGN_OR_RETURN(const std::string device, AttachByHand(image));
  const auto growth = Growth(site.pool(), device, kHandBytes);
  RETURN_IF_ERROR(RunProgram("losetup", {"-d", device}).status());
  return growth;
}

absl::StatusOr<std::vector<Pair>> MeasureByHand(Site& site) {
  const std::string folder = site.by_hand() + "/s4";
  std::filesystem::create_directory(folder);
  std::vector<Pair> pairs;
  for (size_t round = 0; round < kPairs; ++round) {
    ASSIGN_OR_RETURN(const double growth, GrowthByHand(site, fmt::format("{}/{}a", folder, round)));
    ASSIGN_OR_RETURN(const double again, GrowthByHand(site, fmt::format("{}/{}b", folder, round)));
    pairs.push_back(
        {.ours = growth / kMib, .base = TenthOf(kHandBytes) / kMib, .control = again / growth});
  }
  std::filesystem::remove_all(folder);
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
  ASSIGN_OR_RETURN(const Outcome defaults, Measure(reported, [&] { return MeasureByHand(*site); }));
  bench.report().Add({.row = "S4",
                      .what = "the same by hand, with the default cowextsize",
                      .unit = "MiB",
                      .bar = reported,
                      .outcome = defaults});
  return absl::OkStatus();
}

}  // namespace holdfast::bench
