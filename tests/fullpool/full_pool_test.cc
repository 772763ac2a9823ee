#include "tests/fullpool/full_pool_test.h"

#include <sys/statfs.h>

#include <algorithm>
#include <cstdio>
#include <random>

namespace holdfast {

namespace {

// A quarter of it is for each of the two suites of cases; the controls take the rest.
constexpr std::chrono::seconds kDefaultBudget{120};
constexpr uint64_t kLeastChecked = 256 * kMiB;

const RunOptions& Options() { return RunOptions::FromEnvironment(kDefaultBudget); }

// Says the seed first and the count last, where a failure of any test stands between.
class Report final : public ::testing::Environment {
 public:
  void SetUp() override {
    std::printf("full-pool: seed %lu, %s\n", Options().seed,
                Options().full ? "every case" : "some cases");
  }
  void TearDown() override {
    const Totals& totals = TheTotals();
    std::printf(
        "full-pool: seed %lu: %lu cases, %lu volumes stopped, %s written by them with %lu fsyncs, "
        "%s acknowledged and none of it lost; controls lost %lu\n",
        Options().seed, totals.cases, totals.stops, FormatBytes(totals.written_bytes).c_str(),
        totals.fsyncs, FormatBytes(totals.checked_bytes).c_str(), totals.lost_in_controls);
    if (::testing::GTEST_FLAG(filter) != "*") return;
    EXPECT_GE(totals.stops, 2u) << "no volume was ever stopped";
    EXPECT_GE(totals.checked_bytes, kLeastChecked) << "too little to prove anything";
    EXPECT_GT(totals.lost_in_controls, 0u) << "then the checks prove nothing";
  }
};
[[maybe_unused]] const auto* const kReport = ::testing::AddGlobalTestEnvironment(new Report);

}  // namespace

Totals& TheTotals() {
  static Totals totals;
  return totals;
}

std::string FullCaseName(const ::testing::TestParamInfo<FullCase>& info) {
  return std::string(info.param.thick ? "thick_with_snapshot_" : "thin_") +
         ContentName(info.param.content) + "_on_" + PoolKindName(info.param.pool);
}

std::vector<FullCase> ChooseCases(const std::vector<Content>& contents, int seconds_a_case) {
  std::vector<FullCase> cases;
  for (const PoolKind pool : {PoolKind::kXfs, PoolKind::kBtrfs}) {
    for (const Content content : contents) {
      for (const bool thick : {false, true}) cases.push_back({pool, content, thick});
    }
  }
  if (Options().full) return cases;
  std::mt19937_64 random(Options().seed);
  std::shuffle(cases.begin(), cases.end(), random);
  const auto fit = static_cast<size_t>(Options().budget.count() / 4 / seconds_a_case);
  cases.resize(std::clamp<size_t>(fit, 1, cases.size()));
  return cases;
}

WriterProcess::WriterProcess(const std::string& ledger_path, const Part& part, uint64_t seed)
    : part_(part), seed_(seed) {
  const uint64_t blocks = part.bytes / kLedgerBlockBytes;
  ledger_ = Ledger::Create(ledger_path, blocks);
  EXPECT_NE(ledger_, nullptr) << ledger_path;
  child_ =
      Child::Start({ProgramPath("holdfast_full_pool_writer"), part.path, std::to_string(part.base),
                    std::to_string(blocks), ledger_path, std::to_string(seed),
                    part.fsyncs ? "fsync" : "buffered", std::to_string(part.total_bytes)},
                   {.output_path = ledger_path + ".log", .environment = {}});
}

WriterProcess::~WriterProcess() = default;

bool WriterProcess::EndsWithin(std::chrono::seconds limit) {
  const auto code = child_->Wait(limit);
  if (!code) child_->Kill();
  return code == 0;
}

void FullPoolTest::SetUp() {
  seed_ = Options().seed;
  IntegrationTest::SetUp();
}

void FullPoolTest::Count(const Workload& workload) {
  for (const auto& writer : workload.writers) {
    TheTotals().written_bytes += writer->header().bytes_written;
    TheTotals().fsyncs += writer->header().fsyncs;
  }
}

void FullPoolTest::ChooseOvercommit() {
  const Ended refused = Ctl({"pool", "set", pool(), "--overcommit", "on"});
  EXPECT_EQ(refused.exit_code, 1) << "while it is served: " << refused.output;
  ASSERT_EQ(driver().Stop(), 0);
  const Ended set = Ctl({"pool", "set", pool(), "--overcommit", "on"});
  ASSERT_EQ(set.exit_code, 0) << set.output;
  Restart();
}

Workload FullPoolTest::MakeWorkload(const Wanted& wanted, bool snapshot, uint64_t write_bytes) {
  Workload workload;
  const auto claim = Create(wanted);
  EXPECT_OK(claim);
  if (!claim.ok()) return workload;
  workload.claim = *claim;
  const auto target = Show(*claim);
  EXPECT_OK(target);
  if (!target.ok()) return workload;
  workload.target = *target;
  if (!snapshot) return workload;
  // Where its writers will write.
  const uint64_t half = write_bytes / 2;
  if (IsBlock(*claim)) {
    EXPECT_EQ(WriteBytes(*target, 0, 2 * half, seed_), 0);
  } else {
    EXPECT_EQ(WriteBytes(*target + "/fsync", 0, half, seed_), 0);
    EXPECT_EQ(WriteBytes(*target + "/buffered", 0, half, seed_ + 1), 0);
  }
  EXPECT_OK(Snapshot(*claim, "of-" + wanted.name));
  return workload;
}

void FullPoolTest::StartWriters(Workload& workload, uint64_t bytes, uint64_t total_bytes) {
  const uint64_t half = bytes / 2 / kMiB * kMiB;
  for (const bool fsyncs : {true, false}) {
    WriterProcess::Part part{.bytes = half, .fsyncs = fsyncs, .total_bytes = total_bytes / 2};
    if (IsBlock(workload.claim)) {
      part.path = workload.target;
      part.base = fsyncs ? 0 : half;
    } else {
      part.path = workload.target + (fsyncs ? "/fsync" : "/buffered");
    }
    const std::string ledger = folder() + "/ledger-" + std::to_string(++writers_);
    workload.writers.push_back(
        std::make_unique<WriterProcess>(ledger, part, seed_ + static_cast<uint64_t>(writers_)));
  }
}

uint64_t FullPoolTest::FreeNow() const {
  struct statfs facts;
  if (statfs(pool().c_str(), &facts) != 0) return 0;
  return facts.f_bavail * static_cast<uint64_t>(facts.f_bsize);
}

void FullPoolTest::ExpectNothingLost(Workload& workload, uint64_t least_acknowledged) {
  uint64_t acknowledged = 0;
  for (const auto& writer : workload.writers) {
    const Comparison comparison = writer->Compare();
    acknowledged += comparison.acknowledged;
    EXPECT_EQ(comparison.lost, 0u) << comparison.first << ", seed " << seed_;
  }
  TheTotals().checked_bytes += acknowledged * kLedgerBlockBytes;
  EXPECT_GE(acknowledged * kLedgerBlockBytes, least_acknowledged) << "this proves nothing";
}

void FullPoolTest::BringBack(Workload& workload) {
  ASSERT_OK(PutAway(workload.claim));
  ASSERT_OK_AND_ASSIGN(workload.target, Show(workload.claim));
}

}  // namespace holdfast
