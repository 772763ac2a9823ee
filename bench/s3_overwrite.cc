// S3: overwriting the same blocks for the second time after a snapshot, against a volume that never
// had one. The first overwrite, which has to copy, is reported beside it.
#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/fio.h"
#include "bench/rows.h"

namespace holdfast::bench {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;
constexpr uint64_t kVolumeBytes = 256 * kMib;
constexpr uint64_t kRegionBytes = 32 * kMib;

// A published, fully written raw block volume, closed and deleted by Remove.
absl::StatusOr<std::string> WrittenVolume(Driver& driver, const std::string& name) {
  ASSIGN_OR_RETURN(const std::string id,
                   driver.CreateVolume({.name = name, .filesystem = "", .bytes = kVolumeBytes}));
  RETURN_IF_ERROR(driver.Open(id, ""));
  RETURN_IF_ERROR(FillFile(driver.Target(id), kVolumeBytes));
  return id;
}

absl::Status Remove(Driver& driver, const std::string& id) {
  RETURN_IF_ERROR(driver.Close(id));
  return driver.DeleteVolume(id);
}

struct Overwrites {
  std::vector<Pair> first, second;
};

FioJob Overwrite(const std::string& device, uint64_t region) {
  return {.file = device,
          .pattern = "randwrite",
          .depth = 32,
          .offset_bytes = region * kRegionBytes,
          .span_bytes = kRegionBytes};
}

// Each round after a snapshot of its own, with a region of its own turn.
absl::StatusOr<Overwrites> MeasureOverwrites(Site& site, const std::string& shared,
                                             const std::string& alone, int attempt) {
  Driver& driver = site.driver();
  Overwrites result;
  for (size_t round = 0; round < kPairs; ++round) {
    ASSIGN_OR_RETURN(const std::string snapshot,
                     driver.CreateSnapshot(fmt::format("s3-{}-{}", attempt, round), shared));
    const uint64_t region = round % (kVolumeBytes / kRegionBytes);
    const FioJob ours = Overwrite(driver.Target(shared), region);
    const FioJob base = Overwrite(driver.Target(alone), region);
    Settle(site.pool());
    const bool odd = round % 2 == 1;
    ASSIGN_OR_RETURN(const std::vector<double> rates,
                     RunFio(odd ? std::vector<FioJob>{ours, base, ours, base}
                                : std::vector<FioJob>{ours, base, base, ours}));
    const double second = rates[odd ? 2 : 3], again = rates[odd ? 3 : 2];
    result.first.push_back({.ours = rates[0], .base = rates[1], .control = again / rates[1]});
    result.second.push_back({.ours = second, .base = rates[1], .control = again / rates[1]});
    RETURN_IF_ERROR(driver.DeleteSnapshot(snapshot));
  }
  return result;
}

}  // namespace

absl::Status MeasureS3(Bench& bench) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kXfs));
  Driver& driver = site->driver();
  int attempt = 0;
  std::vector<Pair> first;
  const auto measure = [&]() -> absl::StatusOr<std::vector<Pair>> {
    ++attempt;
    ASSIGN_OR_RETURN(const std::string shared,
                     WrittenVolume(driver, fmt::format("s3-shared-{}", attempt)));
    ASSIGN_OR_RETURN(const std::string alone,
                     WrittenVolume(driver, fmt::format("s3-alone-{}", attempt)));
    auto overwrites = MeasureOverwrites(*site, shared, alone, attempt);
    RETURN_IF_ERROR(Remove(driver, shared));
    RETURN_IF_ERROR(Remove(driver, alone));
    RETURN_IF_ERROR(overwrites.status());
    first = overwrites->first;
    return overwrites->second;
  };
  const Bar bar{.better = Better::kHigher, .must = 0.75, .aim = 0.9};
  ASSIGN_OR_RETURN(const Outcome outcome, Measure(bar, measure));
  bench.report().Add({.row = "S3",
                      .what = "second 4k overwrite after a snapshot, 32 in flight",
                      .unit = "IOPS",
                      .bar = bar,
                      .outcome = outcome});
  const Bar reported{.better = Better::kHigher, .must = std::nullopt, .aim = std::nullopt};
  bench.report().Add({.row = "S3",
                      .what = "the first, which copies",
                      .unit = "IOPS",
                      .bar = reported,
                      .outcome = Judge(reported, first)});
  return absl::OkStatus();
}

}  // namespace holdfast::bench
