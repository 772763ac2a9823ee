#include "volume/capacity.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/sizes.h"

namespace holdfast {

uint64_t MinimumCapacityBytes(Content content) {
  switch (content) {
    case Content::kBlock:
      return kMiB;
    case Content::kExt4:
      return 16 * kMiB;  // below 4 MiB the journal and tables leave no room for a file
    case Content::kXfs:
      return 300 * kMiB;  // mkfs.xfs makes nothing smaller
    case Content::kBtrfs:
      return 256 * kMiB;  // mkfs.btrfs makes 109 MiB, of which 28 can be used
  }
  return kMaximumCapacityBytes;
}

absl::StatusOr<uint64_t> ChooseCapacity(const CapacityRange& range, Content content) {
  const uint64_t minimum = MinimumCapacityBytes(content);
  if (range.required_bytes > kMaximumCapacityBytes) {
    return absl::OutOfRangeError(fmt::format(
        "capacity: expected at most {} ({} B), found required_bytes {}; ask for a smaller volume",
        FormatBytes(kMaximumCapacityBytes), kMaximumCapacityBytes, range.required_bytes));
  }
  if (range.limit_bytes != 0 && range.required_bytes > range.limit_bytes) {
    return absl::OutOfRangeError(fmt::format(
        "capacity: expected required_bytes at most limit_bytes, found {} above {}; correct the "
        "request",
        range.required_bytes, range.limit_bytes));
  }
  uint64_t size = RoundUp(range.required_bytes, kBlockBytes);
  if (range.required_bytes == 0) {
    size = kDefaultCapacityBytes;
    if (range.limit_bytes != 0) {
      size = std::min(size, range.limit_bytes / kBlockBytes * kBlockBytes);
    }
  }
  size = std::max(size, minimum);
  if (range.limit_bytes != 0 && size > range.limit_bytes) {
    return absl::OutOfRangeError(fmt::format(
        "capacity: expected a limit_bytes of at least {} (a multiple of {} B, and {} is the least "
        "for {}), found {}; raise the limit",
        size, kBlockBytes, FormatBytes(minimum), ContentName(content), range.limit_bytes));
  }
  return size;
}

bool Satisfies(uint64_t capacity_bytes, const CapacityRange& range) {
  return capacity_bytes >= range.required_bytes &&
         (range.limit_bytes == 0 || capacity_bytes <= range.limit_bytes);
}

}  // namespace holdfast
