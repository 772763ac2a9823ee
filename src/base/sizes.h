// Sizes in bytes: units, rounding, and text for humans.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast {

inline constexpr uint64_t kKiB = 1024;
inline constexpr uint64_t kMiB = 1024 * kKiB;
inline constexpr uint64_t kGiB = 1024 * kMiB;
inline constexpr uint64_t kTiB = 1024 * kGiB;

// The unit of every image: filesystem block, XFS sector and loop block size.
inline constexpr uint64_t kBlockBytes = 4 * kKiB;

// `bytes` rounded up to a multiple of `unit` (> 0). `bytes` must be at most 2^63.
constexpr uint64_t RoundUp(uint64_t bytes, uint64_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

// a - b, or 0 where that would be negative.
constexpr uint64_t SaturatingSubtract(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

// "10 GiB", "1.5 MiB", "512 B": exact where the number is a whole one, else one decimal.
std::string FormatBytes(uint64_t bytes);

}  // namespace holdfast
