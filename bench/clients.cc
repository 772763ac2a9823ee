#include "bench/clients.h"

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/machine.h"

namespace holdfast::bench {
namespace {

using Once = std::function<absl::Status(const std::string& name)>;

absl::Status CallWhile(const std::function<bool()>& more, const Once& once) {
  std::mutex mutex;
  absl::Status first;
  std::atomic<bool> failed = false;
  {
    std::vector<std::jthread> clients;
    for (size_t i = 0; i < kClients; ++i) {
      clients.emplace_back([&] {
        while (!failed && more()) {
          const absl::Status status = once(NewName());
          if (status.ok()) continue;
          failed = true;
          const std::lock_guard lock(mutex);
          if (first.ok()) first = status;
        }
      });
    }
  }
  return first;
}

}  // namespace

std::string NewName() {
  static std::atomic<uint64_t> number = 0;
  return fmt::format("client-{}", number++);
}

absl::StatusOr<double> CallsPerSecond(std::chrono::milliseconds length, const Once& once) {
  const Stopwatch watch;
  std::atomic<uint64_t> ended = 0;
  const auto more = [&] { return watch.Milliseconds() < static_cast<double>(length.count()); };
  const auto counted = [&](const std::string& name) {
    absl::Status status = once(name);
    if (status.ok()) ++ended;
    return status;
  };
  RETURN_IF_ERROR(CallWhile(more, counted));
  return static_cast<double>(ended) * 1000 / watch.Milliseconds();
}

absl::Status CallTimes(size_t count, const Once& once) {
  std::atomic<size_t> begun = 0;
  return CallWhile([&] { return begun++ < count; }, once);
}

}  // namespace holdfast::bench
