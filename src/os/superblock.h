// Superblocks of ext4, XFS and btrfs, read without the kernel's or a library's help.
#pragma once

#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "os/filesystems.h"

namespace holdfast {

// Up to the end of btrfs's superblock at 64 KiB, which begins last.
inline constexpr size_t kSuperblockRegionBytes = 68 * 1024;

// `region`: the first kSuperblockRegionBytes of an image (fewer only of a shorter image). nullopt:
// all zeroes. DATA_LOSS: anything else than exactly one superblock whose checksum holds.
absl::StatusOr<std::optional<Superblock>> ParseSuperblock(std::string_view region);

}  // namespace holdfast
