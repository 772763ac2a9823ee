// M1: NodeStageVolume and NodePublishVolume of a formatted ext4 volume, as kubelet waits for them,
// against programs that do the same: blkid -p, losetup, mount, and mount --bind, which keeps the
// flags of what it shows (docs/adr/0007-budgets-follow-measured-floors.md). Reported beside it:
// against losetup, mount and mount --bind alone, which identify nothing and leave suid and devices
// on.
#include <filesystem>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/rows.h"

namespace holdfast::bench {
namespace {

constexpr uint64_t kBytes = uint64_t{1} << 30;

struct ByHand {
  std::string image, staging, target;
};

// The same as a stage and a publish do, or as little as makes the data appear.
enum class Programs { kSame, kBare };

absl::StatusOr<std::string> MountByHand(const ByHand& paths, Programs programs) {
  ASSIGN_OR_RETURN(const std::string device, AttachByHand(paths.image));
  if (programs == Programs::kBare) {
    RETURN_IF_ERROR(RunProgram("mount", {"-t", "ext4", device, paths.staging}).status());
    return device;
  }
  RETURN_IF_ERROR(RunProgram("blkid", {"-p", "-s", "TYPE", "-s", "UUID", device}).status());
  RETURN_IF_ERROR(
      RunProgram("mount", {"-t", "ext4", "-o", "nosuid,nodev,errors=remount-ro,data_err=abort",
                           device, paths.staging})
          .status());
  return device;
}

// Milliseconds; what was made is undone afterwards.
absl::StatusOr<double> StageByHand(const ByHand& paths, Programs programs) {
  const Stopwatch watch;
  ASSIGN_OR_RETURN(const std::string device, MountByHand(paths, programs));
  std::filesystem::create_directory(paths.target);
  RETURN_IF_ERROR(RunProgram("mount", {"--bind", paths.staging, paths.target}).status());
  const double milliseconds = watch.Milliseconds();
  RETURN_IF_ERROR(RunProgram("umount", {paths.target}).status());
  RETURN_IF_ERROR(RunProgram("umount", {paths.staging}).status());
  RETURN_IF_ERROR(RunProgram("losetup", {"-d", device}).status());
  std::filesystem::remove(paths.target);
  return milliseconds;
}

absl::StatusOr<double> StageByDriver(Driver& driver, const std::string& id) {
  const Stopwatch watch;
  RETURN_IF_ERROR(driver.Open(id, "ext4"));
  const double milliseconds = watch.Milliseconds();
  RETURN_IF_ERROR(driver.Close(id));
  return milliseconds;
}

absl::StatusOr<std::vector<Pair>> MeasureStages(Site& site, const std::string& id,
                                                const ByHand& paths, Programs programs) {
  Driver& driver = site.driver();
  std::vector<Pair> pairs;
  for (size_t round = 0; round < 2 * kPairs; ++round) {
    Settle(site.pool());
    double ours = 0;
    const bool odd = round % 2 == 1;
    if (odd) {
      ASSIGN_OR_RETURN(ours, StageByDriver(driver, id));
    }
    ASSIGN_OR_RETURN(const double base, StageByHand(paths, programs));
    ASSIGN_OR_RETURN(const double again, StageByHand(paths, programs));
    if (!odd) {
      ASSIGN_OR_RETURN(ours, StageByDriver(driver, id));
    }
    pairs.push_back(
        {.ours = ours, .base = odd ? base : again, .control = odd ? again / base : base / again});
  }
  return pairs;
}

}  // namespace

absl::Status MeasureM1(Bench& bench) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kXfs));
  Driver& driver = site->driver();
  ASSIGN_OR_RETURN(const std::string id,
                   driver.CreateVolume({.name = "m1", .filesystem = "ext4", .bytes = kBytes}));
  const ByHand paths = {.image = site->by_hand() + "/m1.img",
                        .staging = site->targets() + "/m1-by-hand-staging",
                        .target = site->targets() + "/m1-by-hand-target"};
  RETURN_IF_ERROR(MakeFile(paths.image, kBytes, /*preallocate=*/true));
  RETURN_IF_ERROR(RunProgram("mkfs.ext4", {"-q", "-E", "nodiscard", paths.image}).status());
  std::filesystem::create_directory(paths.staging);
  // Both have been mounted before: what a first mount does once is no part of this.
  RETURN_IF_ERROR(StageByHand(paths, Programs::kSame).status());
  RETURN_IF_ERROR(StageByDriver(driver, id).status());
  const auto measure = [&](const char* what, const Bar& bar, Programs programs) -> absl::Status {
    ASSIGN_OR_RETURN(const Outcome outcome,
                     Measure(bar, [&] { return MeasureStages(*site, id, paths, programs); }));
    bench.report().Add({.row = "M1", .what = what, .unit = "ms", .bar = bar, .outcome = outcome});
    return absl::OkStatus();
  };
  const Bar gated{
      .better = Better::kLower, .must = 0.5, .aim = 0.25, .tolerance = kLatencyTolerance};
  const Bar reported{.better = Better::kLower,
                     .must = std::nullopt,
                     .aim = std::nullopt,
                     .tolerance = kLatencyTolerance};
  RETURN_IF_ERROR(
      measure("stage + publish of ext4 against programs that do the same", gated, Programs::kSame));
  RETURN_IF_ERROR(
      measure("  against losetup, mount and mount --bind alone", reported, Programs::kBare));
  std::filesystem::remove(paths.image);
  return driver.DeleteVolume(id);
}

}  // namespace holdfast::bench
