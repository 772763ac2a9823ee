// D1: published ext4 volumes against ext4s made with losetup and mount in the same pool.
// D2: the same volumes against bare files of the pool, to say what the loop device costs.
#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/fio.h"
#include "bench/rows.h"

namespace holdfast::bench {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;
constexpr uint64_t kImageBytes = 320 * kMib;
constexpr uint64_t kFileBytes = 224 * kMib;
// Both sides are the same kernel path: with one file each, where the two came to lie on the disk
// decided by up to 5 % who is faster. So several of each, made in turn.
constexpr size_t kPlaces = 3;
constexpr size_t kRounds = 6 * kPlaces;  // each place once in each order
constexpr int kRuntimeMs = 190;          // ends just before fio looks, every 100 ms

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

struct Place {
  std::string ours, base;
};

// Which of ours, base and base again has its turn: all six orders, one after the other.
size_t InTurn(size_t round, size_t turn) {
  const bool backwards = round / 3 % 2 == 1;
  return (round + (backwards ? 2 - turn : turn)) % 3;
}

// All rounds run in one fio.
absl::StatusOr<std::vector<Pair>> MeasurePath(const PathRow& row,
                                              const std::vector<Place>& places) {
  std::vector<FioJob> jobs;
  for (size_t round = 0; round < kRounds; ++round) {
    const auto& [ours, base] = places[round / 6];
    const std::array<std::string, 3> files = {ours, base, base};
    for (size_t turn = 0; turn < files.size(); ++turn) {
      jobs.push_back({.file = files[InTurn(round, turn)],
                      .pattern = row.pattern,
                      .block_bytes = row.block_bytes,
                      .depth = row.depth,
                      .fdatasync = row.fdatasync,
                      .runtime_ms = kRuntimeMs});
    }
  }
  for (const Place& place : places) {
    Settle(place.ours);
    Settle(place.base);
  }
  ASSIGN_OR_RETURN(const std::vector<double> rates, RunFio(jobs));
  std::vector<Pair> pairs;
  for (size_t round = 0; round < kRounds; ++round) {
    std::array<double, 3> rate;
    for (size_t turn = 0; turn < rate.size(); ++turn) {
      rate[InTurn(round, turn)] = rates[round * rate.size() + turn];
    }
    pairs.push_back({.ours = rate[0], .base = rate[1], .control = rate[2] / rate[1]});
  }
  return pairs;
}

absl::Status MeasurePaths(Bench& bench, const std::string& name, const Bar& bar,
                          const std::vector<Place>& places) {
  for (const PathRow& row : kPathRows) {
    if (!bar.must && !row.in_d2) continue;
    ASSIGN_OR_RETURN(const Outcome outcome, Measure(bar, [&] { return MeasurePath(row, places); }));
    bench.report().Add(
        {.row = name, .what = row.what, .unit = "IOPS", .bar = bar, .outcome = outcome});
  }
  return absl::OkStatus();
}

absl::Status MakeFilledFile(const std::string& path) {
  RETURN_IF_ERROR(MakeFile(path, kFileBytes));
  return FillFile(path, kFileBytes);
}

// The volumes of all places. Whatever `base_of` returned for a place, with a path(), stands beside
// its volume while it is measured.
template <typename BaseOf>
absl::Status AtPlaces(Bench& bench, const std::string& name, const Bar& bar,
                      const BaseOf& base_of) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kXfs));
  Driver& driver = site->driver();
  std::vector<std::string> ids;
  std::vector<Place> places;
  {
    std::vector<OpenVolume> volumes;
    std::vector<typename decltype(base_of(*site, size_t{}))::value_type> bases;
    for (size_t i = 0; i < kPlaces; ++i) {
      ASSIGN_OR_RETURN(
          const std::string id,
          driver.CreateVolume(
              {.name = fmt::format("{}-{}", name, i), .filesystem = "ext4", .bytes = kImageBytes}));
      ids.push_back(id);
      ASSIGN_OR_RETURN(OpenVolume volume, OpenVolume::Open(driver, id, "ext4"));
      volumes.push_back(std::move(volume));
      ASSIGN_OR_RETURN(auto base, base_of(*site, i));
      bases.push_back(std::move(base));
      places.push_back({.ours = volumes.back().path() + "/data", .base = bases.back().path()});
      RETURN_IF_ERROR(MakeFilledFile(places.back().ours));
      RETURN_IF_ERROR(MakeFilledFile(places.back().base));
    }
    RETURN_IF_ERROR(MeasurePaths(bench, name, bar, places));
    for (OpenVolume& volume : volumes) RETURN_IF_ERROR(volume.Close());
  }
  for (const std::string& id : ids) RETURN_IF_ERROR(driver.DeleteVolume(id));
  return absl::OkStatus();
}

// Removes its file at scope end.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  TemporaryFile(TemporaryFile&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class HandFilesystem {
 public:
  static absl::StatusOr<HandFilesystem> Make(const Site& site, size_t place) {
    TemporaryFile image(fmt::format("{}/d1-{}.img", site.by_hand(), place));
    RETURN_IF_ERROR(MakeFile(image.path(), kImageBytes, /*preallocate=*/true));
    const std::string target = fmt::format("{}/d1-by-hand-{}", site.targets(), place);
    ASSIGN_OR_RETURN(HandMount mount,
                     HandMount::Make(image.path(), target, {"mkfs.ext4", "-q", "-E", "nodiscard"}));
    return HandFilesystem(std::move(image), std::move(mount), target + "/data");
  }
  const std::string& path() const { return path_; }

 private:
  HandFilesystem(TemporaryFile image, HandMount mount, std::string path)
      : image_(std::move(image)), mount_(std::move(mount)), path_(std::move(path)) {}
  TemporaryFile image_;
  HandMount mount_;  // gone before its image
  std::string path_;
};

}  // namespace

absl::Status MeasureD1(Bench& bench) {
  return AtPlaces(bench, "D1", {.better = Better::kHigher, .must = 0.95, .aim = 1.00},
                  HandFilesystem::Make);
}

absl::Status MeasureD2(Bench& bench) {
  return AtPlaces(bench, "D2",
                  {.better = Better::kHigher, .must = std::nullopt, .aim = std::nullopt},
                  [](const Site& site, size_t place) -> absl::StatusOr<TemporaryFile> {
                    return TemporaryFile(fmt::format("{}/d2-{}.raw", site.by_hand(), place));
                  });
}

}  // namespace holdfast::bench
