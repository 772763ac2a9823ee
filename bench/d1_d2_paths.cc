// D1: a published ext4 volume against the same image attached and mounted with losetup and mount.
// D2: the same volume against a bare file of the pool, to say what the loop device costs.
#include <filesystem>
#include <functional>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/fio.h"
#include "bench/rows.h"

namespace holdfast::bench {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;
constexpr uint64_t kImageBytes = 320 * kMib;
constexpr uint64_t kFileBytes = 224 * kMib;
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

// Makes a filled file reachable, has it used, and puts it away again.
using Use = std::function<absl::Status(const std::string& file)>;
using Path = std::function<absl::Status(const Use& use)>;

// One turn: each row for a moment, one after the other, in one fio.
absl::StatusOr<std::vector<double>> RatesOf(const Path& path,
                                            const std::vector<const PathRow*>& rows) {
  std::vector<double> rates;
  const auto measure = [&](const std::string& file) -> absl::Status {
    std::vector<FioJob> jobs;
    for (const PathRow* row : rows) {
      jobs.push_back({.file = file,
                      .pattern = row->pattern,
                      .block_bytes = row->block_bytes,
                      .depth = row->depth,
                      .fdatasync = row->fdatasync,
                      .runtime_ms = kRuntimeMs});
    }
    Settle(file);
    ASSIGN_OR_RETURN(rates, RunFio(jobs));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(path(measure));
  return rates;
}

// Which of ours, base and base again has its turn: all six orders, one after the other.
size_t InTurn(size_t round, size_t turn) {
  const bool backwards = round / 3 % 2 == 1;
  return (round + (backwards ? 2 - turn : turn)) % 3;
}

// The pairs of each row.
absl::StatusOr<std::vector<std::vector<Pair>>> MeasureRows(
    const Path& ours, const Path& base, const std::vector<const PathRow*>& rows) {
  std::vector<std::vector<Pair>> pairs(rows.size());
  for (size_t round = 0; round < kPairs; ++round) {
    std::vector<double> rates[3];
    for (size_t turn = 0; turn < 3; ++turn) {
      const size_t which = InTurn(round, turn);
      ASSIGN_OR_RETURN(rates[which], RatesOf(which == 0 ? ours : base, rows));
    }
    for (size_t row = 0; row < rows.size(); ++row) {
      pairs[row].push_back(
          {.ours = rates[0][row], .base = rates[1][row], .control = rates[2][row] / rates[1][row]});
    }
  }
  return pairs;
}

// Rows share their turns; those left undecided are measured again, as Measure does with one figure.
absl::Status Compare(Bench& bench, const char* name, const Bar& bar, const Path& ours,
                     const Path& base, const std::vector<const PathRow*>& rows) {
  std::map<const PathRow*, Outcome> outcomes;
  std::vector<const PathRow*> open = rows;
  for (int attempt = 1; attempt <= kMaxAttempts && !open.empty(); ++attempt) {
    ASSIGN_OR_RETURN(const auto pairs, MeasureRows(ours, base, open));
    std::vector<const PathRow*> undecided;
    for (size_t i = 0; i < open.size(); ++i) {
      Outcome& outcome = outcomes[open[i]];
      outcome = Judge(bar, pairs[i]);
      outcome.attempts = attempt;
      if (outcome.verdict == Verdict::kUndecided) undecided.push_back(open[i]);
    }
    open = std::move(undecided);
  }
  for (const PathRow* row : rows) {
    bench.report().Add(
        {.row = name, .what = row->what, .unit = "IOPS", .bar = bar, .outcome = outcomes[row]});
  }
  return absl::OkStatus();
}

// A filled file in an ext4 volume, which is closed between its turns.
class FilledVolume {
 public:
  static absl::StatusOr<FilledVolume> Make(Driver& driver, const std::string& name) {
    ASSIGN_OR_RETURN(
        const std::string id,
        driver.CreateVolume({.name = name, .filesystem = "ext4", .bytes = kImageBytes}));
    ASSIGN_OR_RETURN(OpenVolume volume, OpenVolume::Open(driver, id, "ext4"));
    const std::string file = volume.path() + kFile;
    RETURN_IF_ERROR(MakeFile(file, kFileBytes));
    RETURN_IF_ERROR(FillFile(file, kFileBytes));
    ASSIGN_OR_RETURN(const std::string image, ImageBehind(volume.path(), /*block=*/false));
    RETURN_IF_ERROR(volume.Close());
    return FilledVolume(driver, id, image);
  }

  Path Published() const {
    return [*this](const Use& use) -> absl::Status {
      ASSIGN_OR_RETURN(OpenVolume volume, OpenVolume::Open(*driver_, id_, "ext4"));
      RETURN_IF_ERROR(use(volume.path() + kFile));
      return volume.Close();
    };
  }

  Path MountedByHand(const std::string& target) const {
    return [*this, target](const Use& use) -> absl::Status {
      ASSIGN_OR_RETURN(const HandMount mount, HandMount::Make(image_, target));
      return use(target + kFile);
    };
  }

  absl::Status Delete() { return driver_->DeleteVolume(id_); }

 private:
  static constexpr char kFile[] = "/data";
  FilledVolume(Driver& driver, std::string id, std::string image)
      : driver_(&driver), id_(std::move(id)), image_(std::move(image)) {}
  Driver* driver_;
  std::string id_, image_;
};

}  // namespace

// The same bytes at the same place on both sides: with an image for each, where the two came to lie
// on the disk decided by up to 5 % who was faster.
absl::Status MeasureD1(Bench& bench) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kXfs));
  ASSIGN_OR_RETURN(FilledVolume volume, FilledVolume::Make(site->driver(), "D1"));
  std::vector<const PathRow*> rows;
  for (const PathRow& row : kPathRows) rows.push_back(&row);
  const Bar bar{.better = Better::kHigher, .must = 0.95, .aim = 1.00};
  RETURN_IF_ERROR(Compare(bench, "D1", bar, volume.Published(),
                          volume.MountedByHand(site->targets() + "/d1-by-hand"), rows));
  return volume.Delete();
}

absl::Status MeasureD2(Bench& bench) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kXfs));
  ASSIGN_OR_RETURN(FilledVolume volume, FilledVolume::Make(site->driver(), "D2"));
  const std::string bare = site->by_hand() + "/d2.raw";
  RETURN_IF_ERROR(MakeFile(bare, kFileBytes));
  RETURN_IF_ERROR(FillFile(bare, kFileBytes));
  std::vector<const PathRow*> rows;
  for (const PathRow& row : kPathRows) {
    if (row.in_d2) rows.push_back(&row);
  }
  const Bar bar{.better = Better::kHigher, .must = std::nullopt, .aim = std::nullopt};
  RETURN_IF_ERROR(Compare(
      bench, "D2", bar, volume.Published(), [&](const Use& use) { return use(bare); }, rows));
  std::filesystem::remove(bare);
  return volume.Delete();
}

}  // namespace holdfast::bench
