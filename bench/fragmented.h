// A volume in many pieces, which is what a cut takes its time for.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "bench/driver.h"

namespace holdfast::bench {

inline constexpr uint64_t kFragmentedBytes = uint64_t{256} << 20;

// A raw block volume of kFragmentedBytes, closed.
struct Fragmented {
  std::string id, image;
  uint64_t extents = 0;
};

// Its image has about `extents` of them: every second block is overwritten after a snapshot.
absl::StatusOr<Fragmented> FragmentedVolume(Driver& driver, const std::string& name,
                                            uint64_t extents);

}  // namespace holdfast::bench
