// Pools that are filled to their limit under running workloads (docs/reliability.md, "Full pools").
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tests/fullpool/ledger.h"
#include "tests/integration/integration_test.h"
#include "tests/integration/pool_space.h"
#include "tests/integration/run_options.h"

namespace holdfast {

// What was done in all; printed at the end, and too little of it is a failure.
struct Totals {
  uint64_t cases = 0, stops = 0;
  uint64_t written_bytes = 0, fsyncs = 0;  // of workloads that must lose nothing
  uint64_t checked_bytes = 0;              // of what was acknowledged
  uint64_t lost_in_controls = 0;           // blocks, and fsyncs that were good after a bad one
};
Totals& TheTotals();

// A pool's filesystem, a volume's content, and how its blocks come to be missing.
struct FullCase {
  PoolKind pool = PoolKind::kXfs;
  Content content = Content::kExt4;
  bool thick = false;  // thick with a snapshot of all of it; else thin
};
std::string FullCaseName(const ::testing::TestParamInfo<FullCase>& info);
// Every pool, content and provisioning in a full run; else as many of them as a quarter of the
// budget lets in, at least one, chosen by the seed.
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
  Comparison Compare() { return CompareWithLedger(part_.path, part_.base, *ledger_, seed_); }
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

  // The owner's choice, made with the server stopped.
  void ChooseOvercommit();
  // Stages and publishes a new volume; a thick one is written once and gets a snapshot, so that
  // every block of it is shared.
  Workload MakeWorkload(const Wanted& wanted, bool snapshot, uint64_t write_bytes);
  // To the totals: what the writers of a workload, all ended, have done.
  static void Count(const Workload& workload);
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
