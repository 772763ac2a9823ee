// C1, C1b: how many volumes sixteen clients create and delete in a second, each durably.
//
// C1, raw block: against the same catalog transactions and file operations in this process, without
// gRPC, and with ten thousand volumes in the pool against none. C1b, ext4: against mke2fs alone in
// as many processes. With --endpoint the rate of that driver is reported instead, with
// --peer-endpoint its ratio to the other's.
#include <filesystem>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/clients.h"
#include "bench/hand_catalog.h"
#include "bench/rows.h"
#include "bench/volume_pairs.h"

namespace holdfast::bench {
namespace {

constexpr std::chrono::milliseconds kSpell{400};
constexpr uint64_t kExt4Bytes = uint64_t{1} << 30;

using Rate = std::function<absl::StatusOr<double>()>;

Rate RateOf(Driver& driver, const VolumeWish& wish) {
  return [&driver, wish] { return PairsPerSecond(driver, wish, kSpell); };
}

// The base is its own control: measured before and after.
absl::Status Compare(Bench& bench, const char* row, const char* what, const Bar& bar,
                     const Rate& ours, const Rate& base) {
  const auto attempt = [&]() -> absl::StatusOr<std::vector<Pair>> {
    std::vector<Pair> pairs;
    while (pairs.size() < kPairs) {
      ASSIGN_OR_RETURN(const double before, base());
      ASSIGN_OR_RETURN(const double rate, ours());
      ASSIGN_OR_RETURN(const double after, base());
      const bool odd = pairs.size() % 2 == 1;
      pairs.push_back({.ours = rate,
                       .base = odd ? before : after,
                       .control = odd ? after / before : before / after});
    }
    return pairs;
  };
  ASSIGN_OR_RETURN(const Outcome outcome, Measure(bar, attempt));
  bench.report().Add({.row = row, .what = what, .unit = "/s", .bar = bar, .outcome = outcome});
  return absl::OkStatus();
}

Bar AtLeast(double must, double aim) {
  return {.better = Better::kHigher, .must = must, .aim = aim, .tolerance = kLatencyTolerance};
}

absl::Status MeasureElsewhere(Bench& bench, const VolumeWish& wish) {
  const auto driver = Driver::At(bench.endpoints().driver);
  const auto peer = Driver::At(bench.endpoints().peer.empty() ? bench.endpoints().driver
                                                              : bench.endpoints().peer);
  const Bar reported{.must = std::nullopt, .aim = std::nullopt, .tolerance = kLatencyTolerance};
  return Compare(bench, "C1", "creates and deletes at --endpoint against --peer-endpoint", reported,
                 RateOf(*driver, wish), RateOf(*peer, wish));
}

// Of as many mke2fs as there are clients.
Rate RateOfMkfs(const std::string& folder) {
  return [folder] {
    return CallsPerSecond(kSpell, [&](const std::string& name) -> absl::Status {
      const std::string image = folder + "/" + name + ".img";
      RETURN_IF_ERROR(MakeFile(image, kExt4Bytes));
      RETURN_IF_ERROR(RunProgram("mke2fs", {"-q", "-t", "ext4", "-E",
                                            "nodiscard,assume_storage_prezeroed=1", image})
                          .status());
      std::filesystem::remove(image);
      return absl::OkStatus();
    });
  };
}

}  // namespace

absl::Status MeasureC1(Bench& bench) {
  const VolumeWish wish{.bytes = kTinyBytes, .thick = false};
  if (!bench.endpoints().driver.empty()) return MeasureElsewhere(bench, wish);
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kLarge));
  ASSIGN_OR_RETURN(const auto by_hand, HandCatalog::Make(site->by_hand()));
  const Rate floor = [&] {
    return CallsPerSecond(kSpell, [&](const std::string& name) {
      return by_hand->CreateAndDelete(name, kTinyBytes);
    });
  };
  const Rate ours = RateOf(site->driver(), wish);
  RETURN_IF_ERROR(Compare(bench, "C1",
                          "creates and deletes, 16 clients, raw block, against their floor",
                          AtLeast(0.5, 0.8), ours, floor));
  ASSIGN_OR_RETURN(Driver* const crowded, site->CrowdedDriver());
  return Compare(bench, "C1", "creates and deletes at 10,000 volumes against none",
                 AtLeast(0.8, 0.95), RateOf(*crowded, wish), ours);
}

absl::Status MeasureC1b(Bench& bench) {
  if (!bench.endpoints().driver.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kLarge));
  const VolumeWish wish{.filesystem = "ext4", .bytes = kExt4Bytes, .thick = false};
  return Compare(bench, "C1b", "creates and deletes, ext4 1 GiB, against mke2fs alone",
                 AtLeast(0.5, 0.8), RateOf(site->driver(), wish), RateOfMkfs(site->by_hand()));
}

}  // namespace holdfast::bench
