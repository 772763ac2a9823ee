// Overcommitted pools: volumes are stopped before the pool is empty, nothing that was acknowledged
// is lost, and everything comes back.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <iostream>
#include <random>
#include <thread>

#include "nlohmann/json.hpp"
#include "tests/fullpool/full_pool_test.h"

namespace holdfast {
namespace {

using std::chrono::steady_clock;

// btrfs keeps more back.
constexpr uint64_t PoolBytes(PoolKind kind) {
  return kind == PoolKind::kXfs ? 2560 * kMiB : 3584 * kMiB;
}
constexpr std::chrono::seconds kStopDeadline{90};
// Writers need not notice that their pool is full.
constexpr std::chrono::seconds kWithoutStop{20};

class Overcommitted : public FullPoolTest {
 protected:
  explicit Overcommitted(const FullCase& ground)
      : FullPoolTest(ground.pool, PoolBytes(ground.pool)), ground_(ground) {}

  void SetUp() override {
    FullPoolTest::SetUp();
    ChooseOvercommit();
  }

  nlohmann::json Status() const {
    const Ended ended = Ctl({"--json", "pool", "status"});
    const auto json = nlohmann::json::parse(ended.output, nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded()) {
      ADD_FAILURE() << ended.output;
      return {};
    }
    return json["pools"][0];
  }

  // Two workloads that together could write at least twice what is free above the line.
  void MakeWorkloads() {
    for (int i = 0; i < 2; ++i) {
      workloads_.push_back(MakeWorkload(
          {.name = "volume-" + std::to_string(i),
           .content = ground_.content,
           .bytes = ground_.thick ? 480 * kMiB : 4 * kGiB,
           .parameters = {{"provisioning", ground_.thick ? "thick" : "thin"}, {"reserve", "0"}}},
          ground_.thick, WriteBytesOfVolume()));
      if (HasFailure()) return;
    }
  }
  uint64_t WriteBytesOfVolume() const { return ground_.thick ? 340 * kMiB : 3584 * kMiB; }
  // What must come back to the pool before anything runs again: the stop reserve and what the stops
  // took of it.
  uint64_t SpareBytes() const {
    return ground_.pool == PoolKind::kBtrfs && !ground_.thick ? 640 * kMiB : 384 * kMiB;
  }

  // Until every writer has ended; the least that was free meanwhile.
  uint64_t RunWriters(std::chrono::seconds limit = kStopDeadline) {
    for (Workload& workload : workloads_) StartWriters(workload, WriteBytesOfVolume(), 0);
    uint64_t lowest = UINT64_MAX;
    const auto deadline = steady_clock::now() + limit;
    const auto all_failed = [&] {
      return std::all_of(workloads_.begin(), workloads_.end(), [](const Workload& workload) {
        return std::all_of(workload.writers.begin(), workload.writers.end(), [](const auto& one) {
          return one->header().state != Ledger::State::kWriting;
        });
      });
    };
    while (!all_failed() && steady_clock::now() < deadline) {
      lowest = std::min(lowest, FreeNow());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    for (Workload& workload : workloads_) {
      for (const auto& writer : workload.writers) {
        writer->Tell();
        EXPECT_TRUE(writer->EndsWithin(std::chrono::seconds(20))) << "a writer hangs";
      }
    }
    return lowest;
  }

  // A file of another program takes what is more than `bytes` above the line.
  void LeaveAboveTheLine(uint64_t bytes) {
    const uint64_t keep = Status()["stop_line_bytes"].get<uint64_t>() + bytes;
    const uint64_t more = SaturatingSubtract(FreeNow(), keep) / kMiB * kMiB;
    if (more == 0) return;
    MustRun({"fallocate", "--length", std::to_string(more), pool() + "/foreign0"});
  }
  // A file of another program takes the last byte.
  void FillUp() {
    Execute({"dd", "if=/dev/zero", "of=" + pool() + "/foreign", "bs=1M", "oflag=direct"});
    Execute({"dd", "if=/dev/zero", "of=" + pool() + "/foreign2", "bs=4k", "oflag=direct"});
    MustRun({"sync", "--file-system", pool()});
  }
  void RemoveForeignFiles() {
    Execute({"rm", "-f", pool() + "/foreign0", pool() + "/foreign", pool() + "/foreign2"});
    MustRun({"sync", "--file-system", pool()});
  }

  const FullCase ground_;
  std::vector<Workload> workloads_;
};

class OvercommittedPool : public Overcommitted, public ::testing::WithParamInterface<FullCase> {
 protected:
  OvercommittedPool() : Overcommitted(GetParam()) {}
};

INSTANTIATE_TEST_SUITE_P(, OvercommittedPool,
                         ::testing::ValuesIn(ChooseCases({Content::kExt4, Content::kXfs}, 12)),
                         FullCaseName);

TEST_P(OvercommittedPool, RunningFull_StopsItsVolumes_LosesNothing_AndEverythingComesBack) {
  ASSERT_OK_AND_ASSIGN(
      const Claim spare,
      Create({.name = "spare", .content = Content::kBlock, .bytes = SpareBytes()}));
  Workload full = MakeWorkload({.name = "full",
                                .content = Content::kExt4,
                                .bytes = 96 * kMiB,
                                .parameters = {{"provisioning", "thin"}}},
                               false, 0);
  MakeWorkloads();
  ASSERT_FALSE(HasFailure());
  LeaveAboveTheLine(WriteBytesOfVolume());
  const uint64_t free_before = FreeNow();
  const uint64_t line = Status()["stop_line_bytes"];
  ASSERT_GT(free_before, line);
  StartWriters(full, 48 * kMiB, kGiB / 4);
  const uint64_t lowest = RunWriters();
  uint64_t written = 0, fsyncs = 0, tries = 0, longest_ms = 0;
  for (Workload& workload : workloads_) {
    for (const auto& writer : workload.writers) {
      const auto& header = writer->header();
      EXPECT_EQ(header.state, Ledger::State::kFailed) << "it was never stopped";
      EXPECT_GT(header.tries_after_failure, 5u);
      EXPECT_EQ(header.fsyncs_after_failure, 0u) << "an fsync after the stop was told to be good";
      EXPECT_EQ(header.writes_after_failure, 0u);
      written += header.bytes_written;
      fsyncs += header.fsyncs;
      tries += header.tries_after_failure;
      longest_ms = std::max<uint64_t>(longest_ms, header.longest_call_ms);
    }
  }
  EXPECT_EQ(Status()["stopped_volumes"], 2);
  for (const Workload& workload : workloads_) Count(workload);
  TheTotals().stops += workloads_.size();
  // The last line, below which volumes with a full reserve are stopped as well, is not as high.
  EXPECT_GT(lowest, line / 4) << "they were stopped too late";
  // What is promised in full is neither stopped nor short of anything.
  for (const auto& writer : full.writers) {
    EXPECT_TRUE(writer->EndsWithin(std::chrono::seconds(60)));
    EXPECT_EQ(writer->header().first_errno, 0u);
  }
  std::cout << FormatBytes(written) << " written, " << fsyncs << " fsyncs, free "
            << FormatBytes(free_before) << " before, line " << FormatBytes(line) << ", lowest "
            << FormatBytes(lowest) << ", " << tries
            << " tries after the stop all failed, longest call " << longest_ms << " ms\n";
  ASSERT_FALSE(HasFailure());
  for (Workload& workload : workloads_) ASSERT_OK(PutAway(workload.claim));
  // Not a byte is left; a delete works all the same, with and without a restart before it.
  ASSERT_OK(PutAway(full.claim));
  FillUp();
  EXPECT_LT(FreeNow(), kMiB);
  ASSERT_TRUE(Refused(Stage(workloads_[0].claim), absl::StatusCode::kResourceExhausted,
                      {workloads_[0].claim.id, "free"}));
  if (seed_ % 2 == 0) KillAndRestart();
  ASSERT_OK(Delete(spare));
  RemoveForeignFiles();
  for (Workload& workload : workloads_) {
    ASSERT_OK_AND_ASSIGN(workload.target, Show(workload.claim));
    ExpectNothingLost(workload, kMiB);
  }
  ASSERT_OK_AND_ASSIGN(full.target, Show(full.claim));
  Count(full);
  ExpectNothingLost(full, 48 * kMiB);
  EXPECT_EQ(Status()["stopped_volumes"], 0);
  ++TheTotals().cases;
}

// --- The moment of the stop ----------------------------------------------------------------------

class StopUnderFsyncs : public Overcommitted, public ::testing::WithParamInterface<Content> {
 protected:
  StopUnderFsyncs() : Overcommitted({PoolKind::kXfs, GetParam(), false}) {}
  // Writers that have to wait for their volume to be stopped, which a foreign file makes it be at
  // once.
  void StopByForeignFile() {
    const uint64_t line = Status()["stop_line_bytes"];
    const uint64_t bytes = SaturatingSubtract(FreeNow(), line) + 16 * kMiB;
    MustRun({"fallocate", "--length", std::to_string(bytes), pool() + "/foreign"});
  }
};

INSTANTIATE_TEST_SUITE_P(, StopUnderFsyncs, ::testing::Values(Content::kExt4, Content::kXfs),
                         [](const auto& test) { return std::string(ContentName(test.param)); });

// ext4 that drops what is dirty (EXT4_GOING_FLAGS_LOGFLUSH) fails this in every second or third
// round.
TEST_P(StopUnderFsyncs, NoFsyncIsToldToBeGood_WhoseDataIsDropped) {
  const int rounds = RunOptions::FromEnvironment({}).full ? 25 : 6;
  // The kernel lets all of it be dirty at times, and what the foreign file leaves must hold it.
  constexpr uint64_t kWrittenOfVolume = 192 * kMiB;
  std::mt19937_64 random(seed_);
  for (int i = 0; i < 2; ++i) {
    workloads_.push_back(MakeWorkload({.name = "volume-" + std::to_string(i),
                                       .content = ground_.content,
                                       .bytes = kGiB,
                                       .parameters = {{"provisioning", "thin"}, {"reserve", "0"}}},
                                      false, 0));
    ASSERT_FALSE(HasFailure());
  }
  for (int round = 0; round < rounds; ++round) {
    for (Workload& workload : workloads_) {
      workload.writers.clear();
      StartWriters(workload, kWrittenOfVolume, 0);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(80 + random() % 300));
    StopByForeignFile();
    for (Workload& workload : workloads_) {
      for (const auto& writer : workload.writers) {
        ASSERT_TRUE(writer->EndsWithin(std::chrono::seconds(30))) << "never stopped, or it hangs";
        EXPECT_EQ(writer->header().fsyncs_after_failure, 0u);
      }
      Count(workload);
    }
    TheTotals().stops += workloads_.size();
    RemoveForeignFiles();
    for (Workload& workload : workloads_) {
      BringBack(workload);
      ExpectNothingLost(workload, 0);
    }
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
}

class LargeWriteCalls : public Overcommitted {
 protected:
  LargeWriteCalls() : Overcommitted({PoolKind::kXfs, Content::kExt4, false}) {}

  // One call of a GiB into each, all at once; the least that was free until they have ended and the
  // stops as well, which a call that failed does not wait for.
  uint64_t WriteOneGiBEach() {
    std::vector<std::unique_ptr<Child>> calls;
    for (const Workload& workload : workloads_) {
      const std::vector<std::string> call = {
          "dd", "if=/dev/zero", "of=" + workload.target + "/large", "bs=1G", "count=1"};
      calls.push_back(Child::Start(call, {.output_path = folder() + "/dd.log", .environment = {}}));
    }
    uint64_t lowest = UINT64_MAX;
    const auto deadline = steady_clock::now() + kStopDeadline;
    for (const auto& call : calls) {
      while (!call->Wait(std::chrono::seconds(0)) && steady_clock::now() < deadline) {
        lowest = std::min(lowest, FreeNow());
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
    while (Status()["stopped_volumes"] != workloads_.size() && steady_clock::now() < deadline) {
      lowest = std::min(lowest, FreeNow());
    }
    EXPECT_LT(steady_clock::now(), deadline) << "a write call or a stop hangs";
    return lowest;
  }
};

// The freeze of a stop waits for them and flushes what they wrote: three of them emptied a pool.
TEST_F(LargeWriteCalls, UnderWayAtTheStop_TakeNothingOfWhatIsOwedInFull) {
  constexpr uint64_t kFullBytes = 512 * kMiB, kWrittenInFull = 400 * kMiB;
  Workload full = MakeWorkload(
      {.name = "full", .bytes = kFullBytes, .parameters = {{"provisioning", "thin"}}}, false, 0);
  for (int i = 0; i < 3; ++i) {
    workloads_.push_back(MakeWorkload({.name = "volume-" + std::to_string(i),
                                       .bytes = 4 * kGiB,
                                       .parameters = {{"provisioning", "thin"}, {"reserve", "0"}}},
                                      false, 0));
  }
  ASSERT_FALSE(HasFailure());
  StartWriters(full, kWrittenInFull, 0);
  const uint64_t lowest = WriteOneGiBEach();
  for (const auto& writer : full.writers) {
    writer->Tell();
    ASSERT_TRUE(writer->EndsWithin(std::chrono::seconds(60)));
    EXPECT_EQ(writer->header().first_errno, 0u);
  }
  std::cout << "lowest " << FormatBytes(lowest) << " free\n";
  EXPECT_GT(lowest, 64 * kMiB);
  TheTotals().stops += workloads_.size();
  // All that it was promised is there.
  StartWriters(full, kWrittenInFull, kWrittenInFull);
  for (const auto& writer : full.writers) {
    ASSERT_TRUE(writer->EndsWithin(std::chrono::seconds(60)));
    EXPECT_EQ(writer->header().first_errno, 0u);
  }
  full.writers.erase(full.writers.begin(), full.writers.begin() + 2);
  ExpectNothingLost(full, kWrittenInFull);
  for (Workload& workload : workloads_) ASSERT_OK(PutAway(workload.claim));
  for (int i = 2; i > 0; --i) ASSERT_OK(Delete(workloads_[i].claim));
  ASSERT_OK(Show(workloads_[0].claim));
}

class OwnersChoice : public Overcommitted {
 protected:
  OwnersChoice() : Overcommitted({PoolKind::kXfs, Content::kExt4, false}) {}
  // Whether what may be dirty is limited while it is staged.
  std::string StrictLimits(const Claim& claim) {
    EXPECT_OK(Stage(claim));
    std::string limits;
    for (const std::string& loop : LoopsOfImage(claim)) {
      const std::string name = loop.substr(loop.rfind('/') + 1);
      std::ifstream("/sys/block/" + name + "/bdi/strict_limit") >> limits;
    }
    EXPECT_OK(Unstage(claim));
    return limits;
  }
};

TEST_F(OwnersChoice, IsTakenBack_OnlyWhenNoVolumeNeedsIt) {
  EXPECT_TRUE(Status()["overcommit"]);
  ASSERT_OK_AND_ASSIGN(const Claim claim,
                       Create({.name = "volume", .parameters = {{"reserve", "50"}}}));
  EXPECT_EQ(StrictLimits(claim), "1");
  EXPECT_TRUE(Refused(
      Create({.name = "btrfs", .content = Content::kBtrfs, .parameters = {{"reserve", "50"}}}),
      absl::StatusCode::kFailedPrecondition, {"reserve", "btrfs"}));
  EXPECT_TRUE(Refused(
      Create({.name = "block", .content = Content::kBlock, .parameters = {{"reserve", "50"}}}),
      absl::StatusCode::kFailedPrecondition, {"acknowledged-writes-may-be-lost"}));
  ASSERT_EQ(driver().Stop(), 0);
  const Ended needed = Ctl({"pool", "set", "--overcommit", "off"});
  EXPECT_EQ(needed.exit_code, 1);
  EXPECT_NE(needed.output.find("reserve below 100"), std::string::npos) << needed.output;
  Restart();
  ASSERT_OK(Delete(claim));
  ASSERT_EQ(driver().Stop(), 0);
  const Ended off = Ctl({"pool", "set", "--overcommit", "off"});
  EXPECT_EQ(off.exit_code, 0) << off.output;
  Restart();
  EXPECT_FALSE(Status()["overcommit"]);
  EXPECT_EQ(Status()["ballast_bytes"], 0);
  ASSERT_OK_AND_ASSIGN(const Claim plain, Create({.name = "plain"}));
  EXPECT_EQ(StrictLimits(plain), "0") << "the device kept what an earlier volume needed";
  EXPECT_TRUE(Refused(Create({.name = "volume", .parameters = {{"reserve", "50"}}}),
                      absl::StatusCode::kFailedPrecondition, {"main", "not overcommitted"}));
}

// --- Controls: what must be found when fail-stop does not work -----------------------------------

class WithoutFailStop : public Overcommitted {
 protected:
  WithoutFailStop() : Overcommitted({PoolKind::kXfs, Content::kXfs, false}) {}
};

TEST_F(WithoutFailStop, TheSameWorkload_LosesWhatWasAcknowledged_AndTheCheckSeesIt) {
  ASSERT_OK_AND_ASSIGN(const Claim spare,
                       Create({.name = "spare", .content = Content::kBlock, .bytes = 512 * kMiB}));
  MakeWorkloads();
  ASSERT_FALSE(HasFailure());
  driver().child().Signal(SIGSTOP);
  const uint64_t lowest = RunWriters(kWithoutStop);
  driver().child().Signal(SIGCONT);
  uint64_t lost = 0, good_after_bad = 0;
  for (Workload& workload : workloads_) ASSERT_OK(PutAway(workload.claim));
  ASSERT_OK(Delete(spare));
  for (Workload& workload : workloads_) {
    ASSERT_OK_AND_ASSIGN(workload.target, Show(workload.claim));
    for (const auto& writer : workload.writers) {
      lost += writer->Compare().lost;
      good_after_bad += writer->header().fsyncs_after_failure;
    }
  }
  std::cout << lost << " acknowledged blocks lost, " << good_after_bad
            << " fsyncs good after a bad one, lowest free " << FormatBytes(lowest) << "\n";
  TheTotals().lost_in_controls += lost + good_after_bad;
  EXPECT_GT(lost + good_after_bad, 0u) << "then fail-stop proves nothing, seed " << seed_;
}

TEST_F(WithoutFailStop, ALostBlock_IsSeenByTheCheck) {
  Workload workload = MakeWorkload({.name = "volume"}, false, 0);
  ASSERT_FALSE(HasFailure());
  StartWriters(workload, 16 * kMiB, 16 * kMiB);
  for (const auto& writer : workload.writers) {
    ASSERT_TRUE(writer->EndsWithin(std::chrono::seconds(30)));
  }
  ExpectNothingLost(workload, 16 * kMiB);
  const auto& writer = workload.writers.front();
  MustRun({"dd", "if=/dev/zero", "of=" + writer->part().path, "bs=4096", "seek=77", "count=1",
           "conv=notrunc"});
  EXPECT_EQ(writer->Compare().lost, 1u);
}

}  // namespace
}  // namespace holdfast
