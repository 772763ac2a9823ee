// How long, how much and with which seed a suite of random tests runs: what tools/test was told by
// --budget, --full and --seed.
#pragma once

#include <chrono>
#include <cstdint>

namespace holdfast {

struct RunOptions {
  uint64_t seed = 0;  // of the time unless it was given; the suite prints it
  std::chrono::seconds budget{0};
  bool full = false;

  // From HOLDFAST_TEST_SEED, HOLDFAST_TEST_BUDGET and HOLDFAST_TEST_FULL, read once a process. What
  // is no number ends the process: a run that ignores what it was told proves something else.
  static const RunOptions& FromEnvironment(std::chrono::seconds default_budget);
};

}  // namespace holdfast
