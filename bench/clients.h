// Many clients at once.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace holdfast::bench {

inline constexpr size_t kClients = 16;

// One that was not used before.
std::string NewName();

// Calls `once` from kClients threads, again and again for `length`, each time with a name that was
// not used before. How many calls ended in a second; the first error when one failed.
absl::StatusOr<double> CallsPerSecond(
    std::chrono::milliseconds length,
    const std::function<absl::Status(const std::string& name)>& once);

// The same until `count` calls have ended.
absl::Status CallTimes(size_t count,
                       const std::function<absl::Status(const std::string& name)>& once);

}  // namespace holdfast::bench
