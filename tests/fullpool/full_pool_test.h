// Pools that are filled to their limit under running workloads (docs/reliability.md, "Full pools").
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tests/fullpool/ledger.h"
#include "tests/integration/integration_test.h"
#include "tests/integration/pool_space.h"

namespace holdfast {

// HOLDFAST_TEST_SEED, _FULL and _BUDGET (seconds; tools/test sets them).
uint64_t TestSeed();
bool FullRun();

// A pool's filesystem, a volume's content, and how its blocks come to be missing.
struct FullCase {
  PoolKind pool = PoolKind::kXfs;
  Content content = Content::kExt4;
  bool thick = false;  // thick with a snapshot of all of it; else thin
};
std::string FullCaseName(const ::testing::TestParamInfo<FullCase>& info);
// Every pool, content and provisioning in a full run; else four cases in which each pool, each
// provisioning and each of `contents` comes up, turned by the seed, cut by the budget.
std::vector<FullCase> ChooseCases(const std::vector<Content>& contents, int seconds_a_case);

// A writer of its own process, its ledger, and where it writes.
class WriterProcess {
 public:
  struct Part {
    std::string path;
    uint64_t base = 0, bytes = 0;
    bool fsyncs = false;
    uint64_t total_bytes = 0;  // 0: until it fails or is told to end
  };
  WriterProcess(const std::string& ledger_path, const Part& part, uint64_t seed);
  ~WriterProcess();

  // False: it has not ended by then, and is killed.
  bool EndsWithin(std::chrono::seconds limit);
  void Tell() { child_->Signal(SIGTERM); }
  Finding Compare() { return CompareWithLedger(part_.path, part_.base, *ledger_, seed_); }
  Ledger& ledger() { return *ledger_; }
  Ledger::Header& header() { return ledger_->header(); }
  const Part& part() const { return part_; }

 private:
  const Part part_;
  const uint64_t seed_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<Child> child_;
};

// A volume, its target, its writers.
struct Workload {
  Claim claim;
  std::string target;
  std::vector<std::unique_ptr<WriterProcess>> writers;
};

class FullPoolTest : public IntegrationTest {
 protected:
  FullPoolTest(PoolKind kind, uint64_t pool_bytes) : IntegrationTest(kind, pool_bytes) {}
  void SetUp() override;
  void TearDown() override;

  // The owner's choice, made with the server stopped.
  void ChooseOvercommit();
  // Stages and publishes a new volume; a thick one is written once and gets a snapshot, so that
  // every block of it is shared.
  Workload MakeWorkload(const Wanted& wanted, bool snapshot, uint64_t write_bytes);
  // Two writers: half of `bytes` each, one that fsyncs and one that does not.
  void StartWriters(Workload& workload, uint64_t bytes, uint64_t total_bytes);
  // Free bytes of the pool's filesystem, as statfs says.
  uint64_t FreeNow() const;
  void ExpectNothingLost(Workload& workload, uint64_t least_acknowledged);
  // Unpublishes, unstages, stages, publishes.
  void BringBack(Workload& workload);

  uint64_t seed_ = 0;
  int writers_ = 0;
};

}  // namespace holdfast
