// D1: a published ext4 volume against an ext4 made with losetup and mount in the same pool.
// D2: the same volume against a bare file of the pool, to say what the loop device costs.
#include <algorithm>
#include <array>
#include <filesystem>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/fio.h"
#include "bench/rows.h"

namespace holdfast::bench {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;
constexpr uint64_t kImageBytes = 768 * kMib;
constexpr uint64_t kFileBytes = 512 * kMib;
constexpr int kRuntimeMs = 190;  // ends just before fio looks, every 100 ms

struct PathRow {
  const char* what;
  const char* pattern;
  uint64_t block_bytes;
  int depth;
  bool fdatasync;
  bool in_d2;
};

constexpr PathRow kPathRows[] = {
    {"4k random read, 1 in flight", "randread", 4096, 1, false, true},
    {"4k random write, 1 in flight", "randwrite", 4096, 1, false, true},
    {"4k random read, 32 in flight", "randread", 4096, 32, false, false},
    {"4k random write, 32 in flight", "randwrite", 4096, 32, false, false},
    {"1 MiB sequential read", "read", kMib, 4, false, true},
    {"1 MiB sequential write", "write", kMib, 4, false, true},
    {"8k write + fdatasync", "write", 8192, 1, true, true},
};

// Which of ours, base and base again has its turn: all six orders, one after the other.
size_t InTurn(size_t round, size_t turn) {
  const bool backwards = round / 3 % 2 == 1;
  return (round + (backwards ? 2 - turn : turn)) % 3;
}

// All rounds run in one fio.
absl::StatusOr<std::vector<Pair>> MeasurePath(const PathRow& row, const std::string& ours,
                                              const std::string& base) {
  const std::array<std::string, 3> files = {ours, base, base};
  std::vector<FioJob> jobs;
  for (size_t round = 0; round < kPairs; ++round) {
    for (size_t turn = 0; turn < files.size(); ++turn) {
      jobs.push_back({.file = files[InTurn(round, turn)],
                      .pattern = row.pattern,
                      .block_bytes = row.block_bytes,
                      .depth = row.depth,
                      .fdatasync = row.fdatasync,
                      .runtime_ms = kRuntimeMs});
    }
  }
  Settle(ours);
  Settle(base);
  ASSIGN_OR_RETURN(const std::vector<double> rates, RunFio(jobs));
  std::vector<Pair> pairs;
  for (size_t round = 0; round < kPairs; ++round) {
    std::array<double, 3> rate;
    for (size_t turn = 0; turn < files.size(); ++turn) {
      rate[InTurn(round, turn)] = rates[round * files.size() + turn];
    }
    pairs.push_back({.ours = rate[0], .base = rate[1], .control = rate[2] / rate[1]});
  }
  return pairs;
}

absl::Status MeasurePaths(Bench& bench, const std::string& name, const Bar& bar,
                          const std::string& ours, const std::string& base) {
  RETURN_IF_ERROR(MakeFile(ours, kFileBytes));
  RETURN_IF_ERROR(FillFile(ours, kFileBytes));
  RETURN_IF_ERROR(MakeFile(base, kFileBytes));
  RETURN_IF_ERROR(FillFile(base, kFileBytes));
  for (const PathRow& row : kPathRows) {
    if (!bar.must && !row.in_d2) continue;
    ASSIGN_OR_RETURN(const Outcome outcome,
                     Measure(bar, [&] { return MeasurePath(row, ours, base); }));
    bench.report().Add(
        {.row = name, .what = row.what, .unit = "IOPS", .bar = bar, .outcome = outcome});
  }
  return absl::OkStatus();
}

// `base_file` makes what stands beside the volume, and says its path.
template <typename BaseFile>
absl::Status WithVolume(Bench& bench, const std::string& name, const Bar& bar,
                        const BaseFile& base_file) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kXfs));
  Driver& driver = site->driver();
  ASSIGN_OR_RETURN(const std::string id,
                   driver.CreateVolume({.name = name, .filesystem = "ext4", .bytes = kImageBytes}));
  {
    ASSIGN_OR_RETURN(OpenVolume volume, OpenVolume::Open(driver, id, "ext4"));
    RETURN_IF_ERROR(base_file(*site, [&](const std::string& base) {
      return MeasurePaths(bench, name, bar, volume.path() + "/data", base);
    }));
    RETURN_IF_ERROR(volume.Close());
  }
  return driver.DeleteVolume(id);
}

}  // namespace

absl::Status MeasureD1(Bench& bench) {
  const Bar bar{.better = Better::kHigher, .must = 0.95, .aim = 1.00};
  return WithVolume(bench, "D1", bar, [](const Site& site, const auto& measure) -> absl::Status {
    const std::string image = site.by_hand() + "/d1.img";
    RETURN_IF_ERROR(MakeFile(image, kImageBytes, /*preallocate=*/true));
    absl::Status measured;
    {
      ASSIGN_OR_RETURN(const HandMount mount,
                       HandMount::Make(image, site.targets() + "/d1-by-hand",
                                       {"mkfs.ext4", "-q", "-E", "nodiscard"}));
      measured = measure(site.targets() + "/d1-by-hand/data");
    }
    std::filesystem::remove(image);
    return measured;
  });
}

absl::Status MeasureD2(Bench& bench) {
  const Bar bar{.better = Better::kHigher, .must = std::nullopt, .aim = std::nullopt};
  return WithVolume(bench, "D2", bar, [](const Site& site, const auto& measure) {
    const std::string file = site.by_hand() + "/d2.raw";
    const absl::Status measured = measure(file);
    std::filesystem::remove(file);
    return measured;
  });
}

}  // namespace holdfast::bench
