// Whether answers to calls that overlapped can be explained: by one order of their steps, each
// between its call's begin and end, in which every answer is the lawful one (linearizability).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/load/lawful.h"

namespace holdfast::load {

// Times are counted by one clock that never gives the same twice.
struct TimedCall {
  Call call;
  Answer answer;
  uint64_t begin = 0, end = 0;
};

// Every world in which the calls can have ended, begun in one of `worlds`; empty: there is no
// lawful explanation. ABORTED changes nothing, and is lawful only beside a call that worked on the
// same object meanwhile.
std::vector<World> Explain(const Rules& rules, const std::vector<World>& worlds,
                           const std::vector<TimedCall>& calls);

}  // namespace holdfast::load
