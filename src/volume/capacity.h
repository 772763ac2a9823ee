// Which sizes a volume can have.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "volume/volume.h"

namespace holdfast {

inline constexpr uint64_t kDefaultCapacityBytes = uint64_t{1} << 30;  // 1 GiB
inline constexpr uint64_t kMaximumCapacityBytes = uint64_t{1}
                                                  << 44;  // 16 TiB: ext4's limit at 4 KiB blocks

// A CSI CapacityRange: 0 means "not said".
struct CapacityRange {
  uint64_t required_bytes = 0;
  uint64_t limit_bytes = 0;
};

// The smallest volume that mkfs makes and the kernel mounts with the features we choose.
uint64_t MinimumCapacityBytes(Content content);

// The size a volume of `content` gets for `range`: the required size rounded up to whole blocks,
// at least the minimum. OUT_OF_RANGE with the numbers when no size lies in the range.
absl::StatusOr<uint64_t> ChooseCapacity(const CapacityRange& range, Content content);

// Whether a volume of `capacity_bytes` satisfies `range`.
bool Satisfies(uint64_t capacity_bytes, const CapacityRange& range);

}  // namespace holdfast
