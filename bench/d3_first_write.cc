// D3: what the first write to a block of a thick volume costs, against writing it again; and the
// same of a preallocated file and a loop device made by hand, in the same rounds: what the kernel
// takes for it.
#include <algorithm>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/fio.h"
#include "bench/rows.h"

namespace holdfast::bench {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;
constexpr uint64_t kRegionBytes = 32 * kMib;
constexpr uint64_t kDeviceBytes = (kPairs + 1) * kRegionBytes;

struct FirstWrites {
  std::vector<Pair> ours, by_hand;
};

FioJob Writes(const std::string& device, uint64_t region) {
  return {.file = device,
          .pattern = "randwrite",
          .depth = 32,
          .offset_bytes = region * kRegionBytes,
          .span_bytes = kRegionBytes};
}

// Three runs on one device in a round: again, first, again.
Pair PairOf(const double* rates, bool odd) {
  // Alternately the one before and the one after is what the first write is compared with.
  const double base = odd ? rates[2] : rates[0];
  const double again = odd ? rates[0] : rates[2];
  return {.ours = rates[1], .base = base, .control = again / base};
}

// Raw block devices: a filesystem would add its own first writes. Region 0 is written before, each
// round first-writes one of the others, each block once.
absl::StatusOr<FirstWrites> MeasureFirstWrites(const std::string& pool, const std::string& ours,
                                               const std::string& by_hand) {
  RETURN_IF_ERROR(RunFio({Writes(ours, 0), Writes(by_hand, 0)}).status());
  Settle(pool);
  std::vector<FioJob> jobs;
  for (size_t round = 1; round <= kPairs; ++round) {
    const bool odd = round % 2 == 1;
    for (const std::string& device : {odd ? ours : by_hand, odd ? by_hand : ours}) {
      jobs.push_back(Writes(device, 0));
      jobs.push_back(Writes(device, round));
      jobs.push_back(Writes(device, 0));
    }
  }
  ASSIGN_OR_RETURN(const std::vector<double> rates, RunFio(jobs));
  FirstWrites result;
  for (size_t round = 1; round <= kPairs; ++round) {
    const bool odd = round % 2 == 1;
    const double* const of_round = rates.data() + (round - 1) * 6;
    result.ours.push_back(PairOf(of_round + (odd ? 0 : 3), odd));
    result.by_hand.push_back(PairOf(of_round + (odd ? 3 : 0), odd));
  }
  return result;
}

// On a volume and a file of their own: nothing can be written first twice. `by_hand_first`: the
// file gets its place on the disk before the volume.
absl::Status MeasureOnce(Site& site, const std::string& name, bool by_hand_first,
                         FirstWrites& all) {
  Driver& driver = site.driver();
  const std::string image = fmt::format("{}/{}.img", site.by_hand(), name);
  const auto make_by_hand = [&] { return MakeFile(image, kDeviceBytes, /*preallocate=*/true); };
  if (by_hand_first) RETURN_IF_ERROR(make_by_hand());
  ASSIGN_OR_RETURN(const std::string id,
                   driver.CreateVolume({.name = name, .filesystem = "", .bytes = kDeviceBytes}));
  if (!by_hand_first) RETURN_IF_ERROR(make_by_hand());
  ASSIGN_OR_RETURN(const std::string loop, AttachByHand(image));
  {
    ASSIGN_OR_RETURN(OpenVolume volume, OpenVolume::Open(driver, id, ""));
    ASSIGN_OR_RETURN(const FirstWrites measured,
                     MeasureFirstWrites(site.pool(), volume.path(), loop));
    all.ours.insert(all.ours.end(), measured.ours.begin(), measured.ours.end());
    all.by_hand.insert(all.by_hand.end(), measured.by_hand.begin(), measured.by_hand.end());
    RETURN_IF_ERROR(volume.Close());
  }
  RETURN_IF_ERROR(driver.DeleteVolume(id));
  RETURN_IF_ERROR(RunProgram("losetup", {"--detach", loop}).status());
  return RunProgram("rm", {image}).status();
}

// Twice, with the places changed: where a file lies makes some percent.
absl::StatusOr<FirstWrites> MeasureBoth(Site& site, int attempt) {
  FirstWrites all;
  for (const bool by_hand_first : {true, false}) {
    const std::string name = fmt::format("d3-{}-{}", attempt, by_hand_first ? "second" : "first");
    RETURN_IF_ERROR(MeasureOnce(site, name, by_hand_first, all));
  }
  return all;
}

}  // namespace

absl::Status MeasureD3(Bench& bench) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kXfs));
  // docs/adr/0007: no driver is faster than its kernel.
  constexpr double kMust = 0.55, kOfTheHand = 0.95;
  Bar bar{.better = Better::kHigher, .must = kMust, .aim = 0.65};
  const Bar reported{.better = Better::kHigher, .must = std::nullopt, .aim = std::nullopt};
  Outcome ours, by_hand;
  for (int attempt = 1; attempt <= kMaxAttempts && ours.verdict == Verdict::kUndecided; ++attempt) {
    ASSIGN_OR_RETURN(const FirstWrites measured, MeasureBoth(*site, attempt));
    by_hand = Judge(reported, measured.by_hand);
    bar.must = std::min(kMust, kOfTheHand * by_hand.ratio);
    ours = Judge(bar, measured.ours);
    if (by_hand.verdict == Verdict::kUndecided) ours.verdict = Verdict::kUndecided;
    ours.attempts = by_hand.attempts = attempt;
  }
  bench.report().Add({.row = "D3",
                      .what = "thick: first 4k write against a later one, 32 in flight",
                      .unit = "IOPS",
                      .bar = bar,
                      .outcome = ours});
  bench.report().Add({.row = "D3",
                      .what = "the same of a preallocated file by hand",
                      .unit = "IOPS",
                      .bar = reported,
                      .outcome = by_hand});
  return absl::OkStatus();
}

}  // namespace holdfast::bench
