#include "bench/measure.h"

#include <algorithm>
#include <cmath>

#include "base/status_macros.h"

namespace holdfast::bench {
namespace {

template <typename Value>
double MedianOf(const std::vector<Pair>& pairs, const Value& value) {
  std::vector<double> values;
  for (const Pair& pair : pairs) values.push_back(value(pair));
  return Median(std::move(values));
}

bool Reaches(Better better, double ratio, double bar) {
  return better == Better::kHigher ? ratio >= bar : ratio <= bar;
}

}  // namespace

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  if (values.size() % 2 == 1) return values[middle];
  return (values[middle - 1] + values[middle]) / 2;
}

Outcome Judge(const Bar& bar, const std::vector<Pair>& pairs) {
  Outcome outcome{.ratio = MedianOf(pairs, [](const Pair& pair) { return pair.ours / pair.base; }),
                  .control = MedianOf(pairs, [](const Pair& pair) { return pair.control; }),
                  .ours = MedianOf(pairs, [](const Pair& pair) { return pair.ours; }),
                  .base = MedianOf(pairs, [](const Pair& pair) { return pair.base; }),
                  .pairs = pairs.size(),
                  .attempts = 1};
  const bool quiet = std::abs(outcome.control - 1) <= bar.tolerance;
  if (!quiet || pairs.size() < kPairs || !std::isfinite(outcome.ratio)) return outcome;
  if (!bar.must) {
    outcome.verdict = Verdict::kReported;
  } else if (bar.aim && Reaches(bar.better, outcome.ratio, *bar.aim)) {
    outcome.verdict = Verdict::kAim;
  } else {
    outcome.verdict =
        Reaches(bar.better, outcome.ratio, *bar.must) ? Verdict::kMust : Verdict::kMissed;
  }
  return outcome;
}

absl::StatusOr<Outcome> Measure(const Bar& bar,
                                const std::function<absl::StatusOr<std::vector<Pair>>()>& attempt) {
  Outcome outcome;
  for (int count = 1; count <= kMaxAttempts; ++count) {
    ASSIGN_OR_RETURN(const std::vector<Pair> pairs, attempt());
    outcome = Judge(bar, pairs);
    outcome.attempts = count;
    if (outcome.verdict != Verdict::kUndecided) break;
  }
  return outcome;
}

std::string VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kAim:
      return "aim";
    case Verdict::kMust:
      return "must";
    case Verdict::kMissed:
      return "MISSED";
    case Verdict::kUndecided:
      return "undecided";
    case Verdict::kReported:
      return "reported";
  }
  return "?";
}

}  // namespace holdfast::bench
