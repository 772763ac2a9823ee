#include "engine/image/fail_stop_threads.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "os/process.h"

namespace holdfast {

using std::chrono::milliseconds;

namespace {

constexpr std::chrono::seconds kTendEvery{1};

// Runs `turn`, which says when it is due again, until the thread is to stop.
std::jthread Repeat(std::function<milliseconds()> turn, bool preferred) {
  return std::jthread([turn = std::move(turn), preferred](const std::stop_token& stop) {
    if (preferred) PreferThisThread();
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
      const milliseconds next = turn();
      wake.wait_for(lock, stop, next, [&stop] { return stop.stop_requested(); });
    }
  });
}

}  // namespace

FailStopThreads::FailStopThreads(FailStop& fail_stop, FailStop::Tell tell)
    : tell_(std::move(tell)),
      looking_(Repeat([this, &fail_stop] { return fail_stop.Look(tell_); }, true)),
      tending_(Repeat(
          [this, &fail_stop] {
            fail_stop.Tend(tell_);
            return milliseconds(kTendEvery);
          },
          false)) {}

}  // namespace holdfast
