// M4: CreateVolume of ext4 with 10 GiB against mke2fs alone on an equal sparse file, and how much
// of the pool a new thin volume takes.
#include <filesystem>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/rows.h"

namespace holdfast::bench {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;
constexpr uint64_t kBytes = 10240 * kMib;

// Milliseconds of the program alone.
absl::StatusOr<double> FormatByHand(Site& site) {
  const std::string image = site.by_hand() + "/m4.img";
  RETURN_IF_ERROR(MakeFile(image, kBytes));
  const Stopwatch watch;
  RETURN_IF_ERROR(RunProgram("mke2fs", {"-q", "-t", "ext4", "-E",
                                        "nodiscard,assume_storage_prezeroed=1", image})
                      .status());
  const double milliseconds = watch.Milliseconds();
  std::filesystem::remove(image);
  return milliseconds;
}

struct Creation {
  double milliseconds = 0;
  double allocated_mib = 0;
};

absl::StatusOr<Creation> CreateByDriver(Site& site, const std::string& name, bool thick) {
  Creation creation;
  const Stopwatch watch;
  ASSIGN_OR_RETURN(const std::string id,
                   site.driver().CreateVolume(
                       {.name = name, .filesystem = "ext4", .bytes = kBytes, .thick = thick}));
  creation.milliseconds = watch.Milliseconds();
  Settle(site.pool());
  for (const auto& image : std::filesystem::directory_iterator(site.pool() + "/volumes")) {
    creation.allocated_mib += static_cast<double>(AllocatedBytes(image.path())) / kMib;
  }
  RETURN_IF_ERROR(site.driver().DeleteVolume(id));
  return creation;
}

struct Creations {
  std::vector<Pair> times, allocations;
};

absl::StatusOr<Creations> MeasureCreations(Site& site, bool thick, int attempt) {
  Creations creations;
  for (size_t round = 0; round < kPairs; ++round) {
    const std::string name = fmt::format("m4-{}-{}-{}", thick ? "thick" : "thin", attempt, round);
    Settle(site.pool());
    ASSIGN_OR_RETURN(const double before, FormatByHand(site));
    Settle(site.pool());
    ASSIGN_OR_RETURN(const Creation ours, CreateByDriver(site, name, thick));
    Settle(site.pool());
    ASSIGN_OR_RETURN(const double after, FormatByHand(site));
    const bool odd = round % 2 == 1;
    creations.times.push_back({.ours = ours.milliseconds,
                               .base = odd ? before : after,
                               .control = odd ? after / before : before / after});
    // Against 1 MiB, so that the ratio is in MiB; the round before is its control.
    const double last =
        creations.allocations.empty() ? ours.allocated_mib : creations.allocations.back().ours;
    creations.allocations.push_back(
        {.ours = ours.allocated_mib, .base = 1, .control = ours.allocated_mib / last});
  }
  return creations;
}

}  // namespace

absl::Status MeasureM4(Bench& bench) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kLarge));
  const Bar bar{.better = Better::kLower, .must = 3, .aim = 1.5, .tolerance = kLatencyTolerance};
  std::vector<Pair> allocations;
  for (const bool thick : {false, true}) {
    int attempt = 0;
    const auto measure = [&]() -> absl::StatusOr<std::vector<Pair>> {
      ASSIGN_OR_RETURN(Creations creations, MeasureCreations(*site, thick, attempt++));
      if (!thick) allocations = creations.allocations;
      return creations.times;
    };
    ASSIGN_OR_RETURN(const Outcome outcome, Measure(bar, measure));
    bench.report().Add({.row = "M4",
                        .what = fmt::format("CreateVolume ext4 10 GiB {} against mke2fs alone",
                                            thick ? "thick" : "thin"),
                        .unit = "ms",
                        .bar = bar,
                        .outcome = outcome});
  }
  const Bar space{.better = Better::kLower, .must = 8, .aim = 4.3};
  bench.report().Add({.row = "M4",
                      .what = "first allocation of thin, in MiB",
                      .unit = "MiB",
                      .bar = space,
                      .outcome = Judge(space, allocations)});
  return absl::OkStatus();
}

}  // namespace holdfast::bench
