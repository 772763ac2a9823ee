#pragma once

#include <thread>

#include "engine/image/fail_stop.h"

namespace holdfast {

// The two threads of a FailStop that is not idle; they end with the object.
class FailStopThreads {
 public:
  FailStopThreads(FailStop& fail_stop, FailStop::Tell tell);

 private:
  const FailStop::Tell tell_;
  std::jthread looking_, tending_;
};

}  // namespace holdfast
