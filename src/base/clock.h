// Wall-clock time, behind a seam so that tests can move it.
#pragma once

#include <chrono>
#include <cstdint>

namespace holdfast {

// Thread-safe. Wall-clock steps, so it dates records and is never compared to decide about data.
class Clock {
 public:
  virtual ~Clock() = default;
  // Nanoseconds since the Unix epoch.
  virtual int64_t UnixNanos() const = 0;
};

class SystemClock final : public Clock {
 public:
  int64_t UnixNanos() const override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

}  // namespace holdfast
