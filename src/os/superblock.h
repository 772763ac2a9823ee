// Superblocks of ext4, XFS and btrfs, read without the kernel's or a library's help.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "os/filesystems.h"

namespace holdfast {

// Up to the end of btrfs's superblock at 64 KiB, which begins last.
inline constexpr size_t kSuperblockRegionBytes = 68 * 1024;

// `region`: the first kSuperblockRegionBytes of an image (fewer only of a shorter image). nullopt:
// all zeroes. DATA_LOSS: anything else than exactly one superblock whose checksum holds.
absl::StatusOr<std::optional<Superblock>> ParseSuperblock(std::string_view region);

// Where the filesystem's UUID lies on its device: 16 bytes, which nothing changes while it is
// mounted (checksums beside it are stale then). Not for kBlock.
uint64_t UuidOffset(Content content);
// "01234567-89ab-…" of 16 bytes.
std::string UuidText(std::string_view bytes);

}  // namespace holdfast
