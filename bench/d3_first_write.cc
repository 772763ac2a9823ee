// D3: what the first write to a block of a thick volume costs, against writing it again.
#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/fio.h"
#include "bench/rows.h"

namespace holdfast::bench {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;
constexpr uint64_t kRegionBytes = 32 * kMib;

// A raw block volume: a filesystem would add its own first writes. Region 0 is written before, each
// round first-writes one of the others, each block once.
absl::StatusOr<std::vector<Pair>> MeasureFirstWrites(const std::string& pool,
                                                     const std::string& device) {
  const auto writes = [&](uint64_t region) {
    return FioJob{.file = device,
                  .pattern = "randwrite",
                  .depth = 32,
                  .offset_bytes = region * kRegionBytes,
                  .span_bytes = kRegionBytes};
  };
  RETURN_IF_ERROR(RunFio({writes(0)}).status());
  Settle(pool);
  std::vector<FioJob> jobs;
  for (size_t round = 1; round <= kPairs; ++round) {
    jobs.push_back(writes(0));
    jobs.push_back(writes(round));
    jobs.push_back(writes(0));
  }
  ASSIGN_OR_RETURN(const std::vector<double> rates, RunFio(jobs));
  std::vector<Pair> pairs;
  for (size_t first = 0; first < rates.size(); first += 3) {
    // Alternately the one before and the one after is what the first write is compared with.
    const bool odd = (first / 3) % 2 == 1;
    const double base = rates[odd ? first + 2 : first];
    const double again = rates[odd ? first : first + 2];
    pairs.push_back({.ours = rates[first + 1], .base = base, .control = again / base});
  }
  return pairs;
}

}  // namespace

absl::Status MeasureD3(Bench& bench) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kXfs));
  Driver& driver = site->driver();
  int attempt = 0;
  // A volume of its own each time: nothing can be written first twice.
  const auto measure = [&]() -> absl::StatusOr<std::vector<Pair>> {
    ASSIGN_OR_RETURN(const std::string id,
                     driver.CreateVolume({.name = fmt::format("d3-{}", attempt++),
                                          .filesystem = "",
                                          .bytes = (kPairs + 1) * kRegionBytes}));
    std::vector<Pair> pairs;
    {
      ASSIGN_OR_RETURN(OpenVolume volume, OpenVolume::Open(driver, id, ""));
      ASSIGN_OR_RETURN(pairs, MeasureFirstWrites(site->pool(), volume.path()));
      RETURN_IF_ERROR(volume.Close());
    }
    RETURN_IF_ERROR(driver.DeleteVolume(id));
    return pairs;
  };
  const Bar bar{.better = Better::kHigher, .must = 0.55, .aim = 0.65};
  ASSIGN_OR_RETURN(const Outcome outcome, Measure(bar, measure));
  bench.report().Add({.row = "D3",
                      .what = "thick: first 4k write against a later one, 32 in flight",
                      .unit = "IOPS",
                      .bar = bar,
                      .outcome = outcome});
  return absl::OkStatus();
}

}  // namespace holdfast::bench
