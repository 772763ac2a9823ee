// C2, C3: what ten thousand volumes cost the calls that one client makes.
//
// C2: CreateVolume of raw block, against a pool without volumes. C3: ListVolumes, a page of 100
// against a pool with 100, and all of them against serialising and parsing the same answer.
#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/rows.h"

namespace holdfast::bench {
namespace {

constexpr int kPage = 100;
constexpr size_t kCallsOfRound = 15;

using Call = std::function<absl::StatusOr<double>()>;  // milliseconds

// The median of some calls, so that one that the disk held up is not the round's figure.
absl::StatusOr<double> Typical(const Call& call) {
  std::vector<double> times;
  while (times.size() < kCallsOfRound) {
    ASSIGN_OR_RETURN(const double milliseconds, call());
    times.push_back(milliseconds);
  }
  return Median(std::move(times));
}

absl::Status Compare(Bench& bench, const char* row, const char* what, const Bar& bar,
                     const Call& ours, const Call& base) {
  const auto attempt = [&]() -> absl::StatusOr<std::vector<Pair>> {
    std::vector<Pair> pairs;
    while (pairs.size() < kPairs) {
      ASSIGN_OR_RETURN(const double before, Typical(base));
      ASSIGN_OR_RETURN(const double milliseconds, Typical(ours));
      ASSIGN_OR_RETURN(const double after, Typical(base));
      const bool odd = pairs.size() % 2 == 1;
      pairs.push_back({.ours = milliseconds,
                       .base = odd ? before : after,
                       .control = odd ? after / before : before / after});
    }
    return pairs;
  };
  ASSIGN_OR_RETURN(const Outcome outcome, Measure(bar, attempt));
  bench.report().Add({.row = row, .what = what, .unit = "ms", .bar = bar, .outcome = outcome});
  return absl::OkStatus();
}

Bar AtMost(double must, double aim) {
  return {.better = Better::kLower, .must = must, .aim = aim, .tolerance = kLatencyTolerance};
}

Call TimedCreate(Driver& driver, int& count) {
  return [&]() -> absl::StatusOr<double> {
    const Stopwatch watch;
    ASSIGN_OR_RETURN(
        const std::string id,
        driver.CreateVolume(
            {.name = fmt::format("c2-{}", count++), .bytes = kTinyBytes, .thick = false}));
    const double milliseconds = watch.Milliseconds();
    RETURN_IF_ERROR(driver.DeleteVolume(id));
    return milliseconds;
  };
}

// `entries` 0: all pages.
Call TimedList(Driver& driver, int32_t entries) {
  return [&driver, entries]() -> absl::StatusOr<double> {
    const Stopwatch watch;
    ASSIGN_OR_RETURN(const auto page,
                     entries == 0 ? driver.ListAllVolumes() : driver.ListVolumes(entries));
    const double milliseconds = watch.Milliseconds();
    const int expected = entries == 0 ? static_cast<int>(kManyVolumes) : entries;
    if (page.entries_size() == expected) return milliseconds;
    return absl::InternalError(
        fmt::format("ListVolumes: expected {} volumes, found {}", expected, page.entries_size()));
  };
}

}  // namespace

absl::Status MeasureC2(Bench& bench) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kLarge));
  ASSIGN_OR_RETURN(Driver* const crowded, site->CrowdedDriver());
  int count = 0;
  return Compare(bench, "C2", "CreateVolume at 10,000 volumes against none", AtMost(1.5, 1.1),
                 TimedCreate(*crowded, count), TimedCreate(site->driver(), count));
}

absl::Status MeasureC3(Bench& bench) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kLarge));
  ASSIGN_OR_RETURN(Driver* const crowded, site->CrowdedDriver());
  std::vector<std::string> hundred;
  while (hundred.size() < kPage) {
    ASSIGN_OR_RETURN(
        const std::string id,
        site->driver().CreateVolume(
            {.name = fmt::format("c3-{}", hundred.size()), .bytes = kTinyBytes, .thick = false}));
    hundred.push_back(id);
  }
  RETURN_IF_ERROR(Compare(bench, "C3", "ListVolumes, a page of 100, at 10,000 against 100",
                          AtMost(1.3, 1.1), TimedList(*crowded, kPage),
                          TimedList(site->driver(), kPage)));
  for (const std::string& id : hundred) RETURN_IF_ERROR(site->driver().DeleteVolume(id));
  ASSIGN_OR_RETURN(const auto all, crowded->ListAllVolumes());
  const Call serialised = [&all]() -> absl::StatusOr<double> {
    const Stopwatch watch;
    csi::v1::ListVolumesResponse back;
    if (!back.ParseFromString(all.SerializeAsString())) {
      return absl::InternalError("the answer does not parse");
    }
    return watch.Milliseconds();
  };
  return Compare(bench, "C3", "ListVolumes, all 10,000, against serialising and parsing them",
                 AtMost(4, 2), TimedList(*crowded, 0), serialised);
}

}  // namespace holdfast::bench
