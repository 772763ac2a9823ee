// C4, R1: how soon a server serves, and how much memory it has, alone and with ten thousand
// volumes.
#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/rows.h"

namespace holdfast::bench {
namespace {

// Against an absolute bar: the ratio is to `must`, the round before is the control.
std::vector<Pair> Against(double must, const std::vector<double>& values) {
  std::vector<Pair> pairs;
  for (size_t i = 0; i < values.size(); ++i) {
    const double last = values[i == 0 ? 0 : i - 1];
    pairs.push_back({.ours = values[i], .base = must, .control = values[i] / last});
  }
  return pairs;
}

Bar AtMost(double must, double aim) {
  return {.better = Better::kLower, .must = 1, .aim = aim / must, .tolerance = kLatencyTolerance};
}

absl::Status MeasureMemory(Bench& bench, Driver& driver, const char* what, double must,
                           double aim) {
  std::vector<double> values;
  while (values.size() < kPairs) {
    ASSIGN_OR_RETURN(const double mib, driver.ResidentMib());
    values.push_back(mib);
  }
  const Bar bar = AtMost(must, aim);
  bench.report().Add({.row = "R1",
                      .what = what,
                      .unit = "MiB",
                      .bar = bar,
                      .outcome = Judge(bar, Against(must, values))});
  return absl::OkStatus();
}

}  // namespace

absl::Status MeasureC4(Bench& bench) {
  constexpr double kMust = 150, kAim = 50;
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kLarge));
  ASSIGN_OR_RETURN(Driver* const crowded, site->CrowdedDriver());
  const Bar bar = AtMost(kMust, kAim);
  const auto attempt = [&]() -> absl::StatusOr<std::vector<Pair>> {
    std::vector<double> values;
    while (values.size() < kPairs) {
      ASSIGN_OR_RETURN(const double milliseconds, crowded->Restart());
      values.push_back(milliseconds);
    }
    return Against(kMust, values);
  };
  ASSIGN_OR_RETURN(const Outcome outcome, Measure(bar, attempt));
  bench.report().Add({.row = "C4",
                      .what = "start to serving with 10,000 volumes",
                      .unit = "ms",
                      .bar = bar,
                      .outcome = outcome});
  return absl::OkStatus();
}

// Both have just started: what a call needed once is no part of it, what it has kept is.
absl::Status MeasureR1(Bench& bench) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kLarge));
  RETURN_IF_ERROR(site->driver().Restart().status());
  RETURN_IF_ERROR(MeasureMemory(bench, site->driver(), "resident memory, idle", 32, 24));
  ASSIGN_OR_RETURN(Driver* const crowded, site->CrowdedDriver());
  // Every volume has been listed and one was made and deleted.
  RETURN_IF_ERROR(crowded->ListAllVolumes().status());
  ASSIGN_OR_RETURN(const std::string id,
                   crowded->CreateVolume({.name = "r1", .bytes = kTinyBytes, .thick = false}));
  RETURN_IF_ERROR(crowded->DeleteVolume(id));
  return MeasureMemory(bench, *crowded, "resident memory with 10,000 volumes", 48, 32);
}

}  // namespace holdfast::bench
