#include "tests/fullpool/full_pool_test.h"

#include <sys/statfs.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <random>

namespace holdfast {

uint64_t TestSeed() {
  static const uint64_t seed = [] {
    const char* given = std::getenv("HOLDFAST_TEST_SEED");
    return given != nullptr && *given != '\0' ? std::strtoull(given, nullptr, 10)
                                              : std::random_device()();
  }();
  return seed;
}

bool FullRun() {
  const char* full = std::getenv("HOLDFAST_TEST_FULL");
  return full != nullptr && *full != '\0' && std::string(full) != "0";
}

std::string FullCaseName(const ::testing::TestParamInfo<FullCase>& info) {
  return std::string(info.param.thick ? "thick_with_snapshot_" : "thin_") +
         ContentName(info.param.content) + "_on_" + PoolKindName(info.param.pool);
}

std::vector<FullCase> ChooseCases(const std::vector<Content>& contents, int seconds_a_case) {
  std::vector<FullCase> cases;
  if (FullRun()) {
    for (const PoolKind pool : {PoolKind::kXfs, PoolKind::kBtrfs}) {
      for (const Content content : contents) {
        cases.push_back({pool, content, false});
        cases.push_back({pool, content, true});
      }
    }
    return cases;
  }
  for (size_t i = 0; i < 4; ++i) {
    const bool other_pool = (TestSeed() + i % contents.size() + i / contents.size()) % 2 != 0;
    cases.push_back({other_pool ? PoolKind::kBtrfs : PoolKind::kXfs, contents[i % contents.size()],
                     (TestSeed() / 2 + i / 2) % 2 == 0});
  }
  const char* budget = std::getenv("HOLDFAST_TEST_BUDGET");
  if (budget != nullptr && *budget != '\0') {
    const auto fit = std::strtoull(budget, nullptr, 10) / 2 / static_cast<uint64_t>(seconds_a_case);
    cases.resize(std::clamp<size_t>(fit, 1, cases.size()));
  }
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
  seed_ = TestSeed();
  std::cout << "seed " << seed_ << " (HOLDFAST_TEST_SEED repeats it)\n";
  IntegrationTest::SetUp();
}

void FullPoolTest::TearDown() { IntegrationTest::TearDown(); }

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
    const Finding finding = writer->Compare();
    acknowledged += finding.acknowledged;
    EXPECT_EQ(finding.lost, 0u) << finding.first << ", seed " << seed_;
  }
  EXPECT_GE(acknowledged * kLedgerBlockBytes, least_acknowledged) << "this proves nothing";
}

void FullPoolTest::BringBack(Workload& workload) {
  ASSERT_OK(PutAway(workload.claim));
  ASSERT_OK_AND_ASSIGN(workload.target, Show(workload.claim));
}

}  // namespace holdfast
