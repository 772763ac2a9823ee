// The method of every figure: pairs measured side by side, their medians, and a control that says
// whether this machine was quiet enough to believe them.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace holdfast::bench {

// At least 15 are wanted. Six orders of three things, each as often as the others, so that coming
// first or after a certain neighbour moves no median.
inline constexpr size_t kPairs = 18;
inline constexpr int kMaxAttempts = 3;
inline constexpr double kThroughputTolerance = 0.03;
inline constexpr double kLatencyTolerance = 0.10;

// One round: the two things in one unit, and the same thing measured twice, as a ratio.
struct Pair {
  double ours = 0;
  double base = 0;
  double control = 1;
};

enum class Better { kHigher, kLower };

// What the ratio ours / base has to reach. Without `must` a figure is only reported.
struct Bar {
  Better better = Better::kHigher;
  std::optional<double> must, aim;
  double tolerance = kThroughputTolerance;  // of the control around 1
};

enum class Verdict {
  kAim,        // the aim is reached
  kMust,       // the must is reached, the aim is not
  kMissed,     // decided, and below the must
  kUndecided,  // the control never lay within its tolerance
  kReported,   // no must
};

struct Outcome {
  double ratio = 0;    // median of ours / base, pair by pair
  double control = 0;  // median
  double ours = 0;     // median, in the figure's unit
  double base = 0;
  size_t pairs = 0;
  int attempts = 0;
  Verdict verdict = Verdict::kUndecided;
};

// The mean of the middle two when their number is even; 0 for none.
double Median(std::vector<double> values);

// What one attempt says. Undecided also with fewer than kPairs pairs.
Outcome Judge(const Bar& bar, const std::vector<Pair>& pairs);

// Measures again while the outcome is undecided, at most kMaxAttempts times; the last one counts.
absl::StatusOr<Outcome> Measure(const Bar& bar,
                                const std::function<absl::StatusOr<std::vector<Pair>>()>& attempt);

// "aim", "must", "MISSED", "undecided", "reported".
std::string VerdictName(Verdict verdict);

}  // namespace holdfast::bench
