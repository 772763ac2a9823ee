// The method of the benchmarks: when a figure counts, and what it then says.
#include "bench/measure.h"

#include <gtest/gtest.h>

#include <vector>

namespace holdfast::bench {
namespace {

std::vector<Pair> Pairs(double ours, double base, double control, size_t count = kPairs) {
  return std::vector<Pair>(count, Pair{.ours = ours, .base = base, .control = control});
}

constexpr Bar kHigher{.better = Better::kHigher, .must = 0.95, .aim = 1.0};
constexpr Bar kLower{.better = Better::kLower, .must = 0.5, .aim = 0.25};

TEST(Measure, Median_OddNumber_IsTheMiddleOne) { EXPECT_EQ(Median({9, 1, 5}), 5); }

TEST(Measure, Median_EvenNumber_IsTheMeanOfTheMiddleTwo) { EXPECT_EQ(Median({8, 1, 2, 4}), 3); }

TEST(Measure, Judge_RatioBetweenMustAndAim_IsMust) {
  EXPECT_EQ(Judge(kHigher, Pairs(97, 100, 1)).verdict, Verdict::kMust);
  EXPECT_EQ(Judge(kLower, Pairs(40, 100, 1)).verdict, Verdict::kMust);
}

TEST(Measure, Judge_RatioAtTheAim_IsAim) {
  EXPECT_EQ(Judge(kHigher, Pairs(100, 100, 1)).verdict, Verdict::kAim);
  EXPECT_EQ(Judge(kLower, Pairs(25, 100, 1)).verdict, Verdict::kAim);
}

TEST(Measure, Judge_RatioBeyondTheMust_IsMissed) {
  EXPECT_EQ(Judge(kHigher, Pairs(94, 100, 1)).verdict, Verdict::kMissed);
  EXPECT_EQ(Judge(kLower, Pairs(51, 100, 1)).verdict, Verdict::kMissed);
}

TEST(Measure, Judge_ControlOutsideItsTolerance_IsUndecidedWhateverTheRatio) {
  EXPECT_EQ(Judge(kHigher, Pairs(200, 100, 1.031)).verdict, Verdict::kUndecided);
  EXPECT_EQ(Judge(kHigher, Pairs(200, 100, 0.969)).verdict, Verdict::kUndecided);
  EXPECT_EQ(Judge(kHigher, Pairs(10, 100, 1.5)).verdict, Verdict::kUndecided);
}

TEST(Measure, Judge_ControlInsideAWiderTolerance_IsDecided) {
  Bar latency = kLower;
  latency.tolerance = kLatencyTolerance;
  EXPECT_EQ(Judge(latency, Pairs(40, 100, 1.09)).verdict, Verdict::kMust);
}

TEST(Measure, Judge_TooFewPairs_IsUndecided) {
  EXPECT_EQ(Judge(kHigher, Pairs(100, 100, 1, kPairs - 1)).verdict, Verdict::kUndecided);
  EXPECT_EQ(Judge(kHigher, {}).verdict, Verdict::kUndecided);
}

TEST(Measure, Judge_WithoutMust_IsReported) {
  const Bar bar{.better = Better::kHigher, .must = std::nullopt, .aim = std::nullopt};
  EXPECT_EQ(Judge(bar, Pairs(1, 100, 1)).verdict, Verdict::kReported);
}

TEST(Measure, Judge_RatioIsTheMedianOfThePairsNotOfTheSums) {
  std::vector<Pair> pairs = Pairs(100, 100, 1);
  // One round in which the whole machine was slow, one in which only ours was.
  pairs[0] = {.ours = 1, .base = 1, .control = 1};
  pairs[1] = {.ours = 1, .base = 100, .control = 1};
  EXPECT_EQ(Judge(kHigher, pairs).ratio, 1);
}

TEST(Measure, Measure_UndecidedAtFirst_IsMeasuredAgain) {
  int attempts = 0;
  const auto outcome = Measure(kHigher, [&]() -> absl::StatusOr<std::vector<Pair>> {
    return ++attempts < 3 ? Pairs(10, 100, 2) : Pairs(100, 100, 1);
  });
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->verdict, Verdict::kAim);
  EXPECT_EQ(outcome->attempts, 3);
}

TEST(Measure, Measure_UndecidedThreeTimes_StaysUndecided) {
  int attempts = 0;
  const auto outcome = Measure(kHigher, [&]() -> absl::StatusOr<std::vector<Pair>> {
    ++attempts;
    return Pairs(200, 100, 2);
  });
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->verdict, Verdict::kUndecided);
  EXPECT_EQ(attempts, kMaxAttempts);
}

TEST(Measure, Measure_Missed_IsNotTriedUntilItPasses) {
  int attempts = 0;
  const auto outcome = Measure(kHigher, [&]() -> absl::StatusOr<std::vector<Pair>> {
    return ++attempts == 1 ? Pairs(10, 100, 1) : Pairs(100, 100, 1);
  });
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->verdict, Verdict::kMissed);
  EXPECT_EQ(attempts, 1);
}

TEST(Measure, Measure_AttemptFails_IsItsError) {
  const auto outcome = Measure(kHigher, []() -> absl::StatusOr<std::vector<Pair>> {
    return absl::InternalError("no disk");
  });
  EXPECT_EQ(outcome.status(), absl::InternalError("no disk"));
}

}  // namespace
}  // namespace holdfast::bench
