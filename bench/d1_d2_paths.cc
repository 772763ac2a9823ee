// D1: a published ext4 volume against one attached and mounted with losetup and mount, two images
// that change places. D2: a published volume against a bare file of the pool, to say what the loop
// device costs.
#include <array>
#include <cmath>
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

// The two files of a comparison, while both can be used.
struct Files {
  std::string ours, base;
};
using Use = std::function<absl::Status(const Files& files)>;
using Session = std::function<absl::Status(const Use& use)>;

// Which of ours, base and base again has its turn: all six orders, one after the other.
size_t InTurn(size_t round, size_t turn) {
  const bool backwards = round / 3 % 2 == 1;
  return (round + (backwards ? 2 - turn : turn)) % 3;
}

// All rounds run in one fio.
absl::StatusOr<std::vector<Pair>> MeasureRow(const PathRow& row, const Files& files) {
  const std::string* const in_turn[] = {&files.ours, &files.base, &files.base};
  std::vector<FioJob> jobs;
  for (size_t round = 0; round < kPairs; ++round) {
    for (size_t turn = 0; turn < 3; ++turn) {
      jobs.push_back({.file = *in_turn[InTurn(round, turn)],
                      .pattern = row.pattern,
                      .block_bytes = row.block_bytes,
                      .depth = row.depth,
                      .fdatasync = row.fdatasync,
                      .runtime_ms = kRuntimeMs});
    }
  }
  Settle(files.ours);
  Settle(files.base);
  ASSIGN_OR_RETURN(const std::vector<double> rates, RunFio(jobs));
  std::vector<Pair> pairs;
  for (size_t round = 0; round < kPairs; ++round) {
    double rate[3];
    for (size_t turn = 0; turn < 3; ++turn) rate[InTurn(round, turn)] = rates[round * 3 + turn];
    pairs.push_back({.ours = rate[0], .base = rate[1], .control = rate[2] / rate[1]});
  }
  return pairs;
}

// The pairs of each row: of both sessions, each with the one of the other session, as geometric
// means. What the place of a file does to it is in the one session ours and in the other the
// base's, and so in neither.
absl::StatusOr<std::vector<std::vector<Pair>>> MeasureRows(
    const std::array<Session, 2>& sessions, const std::vector<const PathRow*>& rows) {
  std::vector<std::vector<Pair>> all(rows.size(), std::vector<Pair>(kPairs, {1, 1, 1}));
  for (const Session& session : sessions) {
    const auto measure = [&](const Files& files) -> absl::Status {
      for (size_t row = 0; row < rows.size(); ++row) {
        ASSIGN_OR_RETURN(const std::vector<Pair> pairs, MeasureRow(*rows[row], files));
        for (size_t i = 0; i < kPairs; ++i) {
          all[row][i].ours *= std::sqrt(pairs[i].ours);
          all[row][i].base *= std::sqrt(pairs[i].base);
          all[row][i].control *= std::sqrt(pairs[i].control);
        }
      }
      return absl::OkStatus();
    };
    RETURN_IF_ERROR(session(measure));
  }
  return all;
}

// Rows share their sessions; those left undecided are measured again, as Measure does with one
// figure.
absl::Status Compare(Bench& bench, const char* name, const Bar& bar,
                     const std::array<Session, 2>& sessions,
                     const std::vector<const PathRow*>& rows) {
  std::map<const PathRow*, Outcome> outcomes;
  std::vector<const PathRow*> open = rows;
  for (int attempt = 1; attempt <= kMaxAttempts && !open.empty(); ++attempt) {
    ASSIGN_OR_RETURN(const auto pairs, MeasureRows(sessions, open));
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

// A filled file in an ext4 volume that is in use only where it is asked for.
class FilledVolume {
 public:
  static absl::StatusOr<FilledVolume> Make(Driver& driver, const std::string& name) {
    ASSIGN_OR_RETURN(
        const std::string id,
        driver.CreateVolume({.name = name, .filesystem = "ext4", .bytes = kImageBytes}));
    ASSIGN_OR_RETURN(OpenVolume volume, OpenVolume::Open(driver, id, "ext4"));
    RETURN_IF_ERROR(MakeFilledFile(volume.path() + kFile));
    ASSIGN_OR_RETURN(const std::string image, ImageBehind(volume.path(), /*block=*/false));
    RETURN_IF_ERROR(volume.Close());
    return FilledVolume(driver, id, image);
  }

  static absl::Status MakeFilledFile(const std::string& path) {
    RETURN_IF_ERROR(MakeFile(path, kFileBytes));
    return FillFile(path, kFileBytes);
  }

  // Published, beside what `other` makes reachable.
  Session Beside(const std::function<absl::Status(const Use&, const std::string& ours)>& other) {
    return [this, other](const Use& use) -> absl::Status {
      ASSIGN_OR_RETURN(OpenVolume volume, OpenVolume::Open(*driver_, id_, "ext4"));
      RETURN_IF_ERROR(other(use, volume.path() + kFile));
      return volume.Close();
    };
  }

  // Published, beside `other` attached and mounted by hand.
  Session BesideByHand(const FilledVolume& other, const std::string& target) {
    return Beside([&other, target](const Use& use, const std::string& ours) -> absl::Status {
      ASSIGN_OR_RETURN(const HandMount mount, HandMount::Make(other.image_, target));
      return use({.ours = ours, .base = target + kFile});
    });
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

absl::Status MeasureD1(Bench& bench) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kXfs));
  ASSIGN_OR_RETURN(FilledVolume one, FilledVolume::Make(site->driver(), "D1-one"));
  ASSIGN_OR_RETURN(FilledVolume two, FilledVolume::Make(site->driver(), "D1-two"));
  std::vector<const PathRow*> rows;
  for (const PathRow& row : kPathRows) rows.push_back(&row);
  const std::string target = site->targets() + "/d1-by-hand";
  RETURN_IF_ERROR(Compare(bench, "D1", {.better = Better::kHigher, .must = 0.95, .aim = 1.00},
                          {one.BesideByHand(two, target), two.BesideByHand(one, target)}, rows));
  RETURN_IF_ERROR(one.Delete());
  return two.Delete();
}

absl::Status MeasureD2(Bench& bench) {
  ASSIGN_OR_RETURN(Site* const site, bench.At(SiteKind::kXfs));
  ASSIGN_OR_RETURN(FilledVolume volume, FilledVolume::Make(site->driver(), "D2"));
  const std::string bare = site->by_hand() + "/d2.raw";
  RETURN_IF_ERROR(FilledVolume::MakeFilledFile(bare));
  std::vector<const PathRow*> rows;
  for (const PathRow& row : kPathRows) {
    if (row.in_d2) rows.push_back(&row);
  }
  const Session beside = volume.Beside([&bare](const Use& use, const std::string& ours) {
    return use({.ours = ours, .base = bare});
  });
  RETURN_IF_ERROR(Compare(bench, "D2",
                          {.better = Better::kHigher, .must = std::nullopt, .aim = std::nullopt},
                          {beside, beside}, rows));
  std::filesystem::remove(bare);
  return volume.Delete();
}

}  // namespace holdfast::bench
