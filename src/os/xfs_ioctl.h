// The few XFS ioctls used here; the kernel's uapi headers do not carry them. Layouts: xfs_fs.h.
#pragma once

#include <sys/ioctl.h>

#include <cstdint>

namespace holdfast {

struct XfsGeometryV4 {
  uint32_t block_size, rt_extent_size, ag_blocks, ag_count;
  uint32_t log_blocks, sector_size, inode_size, max_inode_percent;
  uint64_t data_blocks, rt_blocks, rt_extents, log_start;
  uint8_t uuid[16];
  uint32_t stripe_unit, stripe_width;
  int32_t version;
  uint32_t flags;
  uint32_t log_sector_size, rt_sector_size, dir_block_size, log_stripe_unit;
};
static_assert(sizeof(XfsGeometryV4) == 112);

struct XfsGrowData {
  uint64_t new_blocks;
  uint32_t max_inode_percent;
};

struct XfsFreeEofBlocks {
  uint32_t version, flags;
  uint32_t user, group, project, pad;
  uint64_t min_file_size;
  uint64_t pads[12];
};
static_assert(sizeof(XfsFreeEofBlocks) == 128);

inline constexpr unsigned long kXfsGeometry = _IOR('X', 124, XfsGeometryV4);
inline constexpr unsigned long kXfsGrowData = _IOW('X', 110, XfsGrowData);
inline constexpr unsigned long kXfsFreeEofBlocks = _IOR('X', 58, XfsFreeEofBlocks);
inline constexpr uint32_t kXfsFreeEofBlocksVersion = 1, kXfsFreeEofBlocksMinFileSize = 1U << 4;
inline constexpr uint32_t kXfsGeometryReflink = 1U << 20;

}  // namespace holdfast
