// What stopping writes on the simulated machine: the limit of what is dirty, and flushes without
// end.
#include <algorithm>
#include <future>
#include <thread>

#include "tests/unit/fail_stop_fixture.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A writer that waits below the limit would hold up the freeze for ever on a pool that is full.
TEST_F(FailStopTest, StoppingExt4_TakesItsLimitAwayFirst) {
  const std::string ext4 = Make("one", "0");
  MustStage(ext4);
  LeaveFree(Status().stop_line_bytes - kMiB);
  Look();
  EXPECT_FALSE(Answers(ext4));
  EXPECT_THAT(rig_.machine.DirtyLimits(), ElementsAre(0));
}

TEST_F(FailStopTest, TheLimitOfWhatWasStopped_IsNotSetAgain) {
  const std::string ext4 = Make("one", "0");
  MustStage(ext4);
  LeaveFree(Status().stop_line_bytes - kMiB);
  rig_.Restart();
  Look();
  EXPECT_FALSE(Answers(ext4));
  Tend();
  EXPECT_THAT(rig_.machine.DirtyLimits(), ElementsAre(0));
}

TEST_F(FailStopTest, Ext4ThatCouldNotBeStopped_IsLimitedAgain) {
  const std::string ext4 = Make("one", "0");
  MustStage(ext4);
  Tend();
  LeaveFree(Status().stop_line_bytes - kMiB);
  rig_.host.plan().FailMethod("ShutDown", absl::InternalError("injected"));
  Look();
  rig_.host.plan().Clear();
  EXPECT_THAT(told_, ::testing::Contains(HasSubstr("could not be stopped")));
  EXPECT_THAT(rig_.machine.DirtyLimits(), ElementsAre(DirtyLimitBytes(Content::kExt4)));
  EXPECT_TRUE(Answers(ext4));
}

class FlushWithoutEnd : public FailStopTest {
 protected:
  void SetUp() override { rig_.machine.SetFlushesNeverEnd(true); }
  void TearDown() override { rig_.machine.SetFlushesNeverEnd(false); }
  bool IsCutOff() { return rig_.machine.OpenLoops().at(0).size_bytes == 512; }
  static bool Ends(const std::future<std::chrono::milliseconds>& look, int milliseconds) {
    return look.wait_for(std::chrono::milliseconds(milliseconds)) == std::future_status::ready;
  }
};

TEST_F(FlushWithoutEnd, Ext4_IsCutOff_BeforeItTakesWhatIsOwedToOthers) {
  const std::string ext4 = Make("one", "0"), full = Make("full", "100");
  MustStage(ext4);
  Tend();
  const StopLine line = MeasureStopLine(PoolOf(ext4), Precision::kExact).value();
  ASSERT_GT(line.protected_bytes, 400 * kMiB) << "owed to the other one";
  LeaveFree(line.stop() - kMiB);
  auto look = std::async(std::launch::async, [&] { return Look(); });
  LeaveFree(line.cut_off());
  EXPECT_FALSE(Ends(look, 50)) << "there is room for its flush still";
  EXPECT_FALSE(IsCutOff());
  LeaveFree(line.cut_off() - kMiB);
  EXPECT_FALSE(Ends(look, 50)) << "it is not this one's flush that takes it";
  EXPECT_FALSE(IsCutOff());
  rig_.machine.SetDirtyBytes(100 * kMiB, 0);
  ASSERT_TRUE(Ends(look, 10'000));
  EXPECT_TRUE(IsCutOff());
  EXPECT_THAT(told_, ::testing::Contains(HasSubstr(ext4 + " was stopped and cut off")));
  EXPECT_THAT(rig_.Stage(ext4).error_message(), HasSubstr("fsync that was under way"));
  EXPECT_THAT(rig_.Publish(ext4).error_message(), HasSubstr("fsync that was under way"));
  rig_.machine.RemovePath(std::string(kPool) + "/ballast");
  ASSERT_TRUE(rig_.Unstage(ext4).ok());
  MustStage(ext4);
  EXPECT_FALSE(IsCutOff());
  EXPECT_TRUE(Answers(ext4));
}

TEST_F(FlushWithoutEnd, WhatIsInFlightOfAllStops_CountsBeforeItArrives) {
  const std::string one = Make("one", "0"), two = Make("two", "0"), full = Make("full", "100");
  MustStage(one);
  MustStage(two);
  Tend();
  const StopLine line = MeasureStopLine(PoolOf(one), Precision::kExact).value();
  rig_.machine.SetDirtyBytes(50 * kMiB, kGiB);
  LeaveFree(line.stop() - kMiB);
  auto look = std::async(std::launch::async, [&] { return Look(); });
  LeaveFree(line.cut_off() + 101 * kMiB);
  EXPECT_FALSE(Ends(look, 50)) << "there is room for both flushes";
  EXPECT_FALSE(IsCutOff());
  LeaveFree(line.cut_off() + 99 * kMiB);
  // With one of them cut off there is room for the other's; both may be when they look at once.
  const auto any_cut_off = [&] {
    const auto loops = rig_.machine.OpenLoops();
    return std::any_of(loops.begin(), loops.end(),
                       [](const Loop& loop) { return loop.IsCutOff(); });
  };
  for (int i = 0; i < 10'000 && !any_cut_off(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(any_cut_off());
  rig_.machine.SetFlushesNeverEnd(false);
  ASSERT_TRUE(Ends(look, 10'000));
  EXPECT_THAT(told_, ::testing::Contains(HasSubstr(" was stopped and cut off")));
}

TEST_F(FlushWithoutEnd, OnAKernelThatCannotCutOff_SaysSo) {
  const std::string ext4 = Make("one", "0"), full = Make("full", "100");
  MustStage(ext4);
  Tend();
  const StopLine line = MeasureStopLine(PoolOf(ext4), Precision::kExact).value();
  LeaveFree(line.stop() - kMiB);
  rig_.machine.SetDirtyBytes(100 * kMiB, 0);
  rig_.host.plan().FailMethod("CutOff", absl::UnavailableError("expected another kernel"));
  auto look = std::async(std::launch::async, [&] { return Look(); });
  EXPECT_FALSE(Ends(look, 50));
  LeaveFree(line.cut_off() - kMiB);
  EXPECT_FALSE(Ends(look, 50));
  rig_.machine.SetFlushesNeverEnd(false);
  ASSERT_TRUE(Ends(look, 10'000));
  rig_.host.plan().Clear();
  EXPECT_THAT(told_, ::testing::Contains(HasSubstr("expected another kernel")));
  EXPECT_FALSE(Answers(ext4)) << "stopped all the same";
}

TEST_F(FlushWithoutEnd, WhatThePoolOwesInFull_IsNeverCutOff) {
  const std::string full = Make("full", "100");
  MustStage(full);
  Tend();
  LeaveFree(MeasureStopLine(PoolOf(full), Precision::kExact).value().last() - kMiB);
  rig_.machine.SetDirtyBytes(100 * kMiB, 0);
  Look();
  auto look = std::async(std::launch::async, [&] { return Look(); });
  EXPECT_FALSE(Ends(look, 50));
  EXPECT_FALSE(IsCutOff());
  rig_.machine.SetFlushesNeverEnd(false);
  ASSERT_TRUE(Ends(look, 10'000));
  EXPECT_FALSE(IsCutOff());
}

}  // namespace
}  // namespace holdfast
