#include "os/btrfs_space.h"

#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/sizes.h"
#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/fd_name.h"
#include "os/small_file.h"

namespace holdfast {
namespace {

// No chunk begins in a device's first MiB.
constexpr uint64_t kDeviceHead = kMiB;
constexpr uint64_t kMaxDevices = 1024;

uint64_t Copies(uint64_t profile) {
  if ((profile & BTRFS_BLOCK_GROUP_RAID1C4) != 0) return 4;
  if ((profile & BTRFS_BLOCK_GROUP_RAID1C3) != 0) return 3;
  constexpr uint64_t kTwice =
      BTRFS_BLOCK_GROUP_DUP | BTRFS_BLOCK_GROUP_RAID1 | BTRFS_BLOCK_GROUP_RAID10;
  return (profile & kTwice) != 0 ? 2 : 1;
}

void AddTo(BtrfsClass& one, const btrfs_ioctl_space_info& info) {
  one.total += info.total_bytes;
  one.used += info.used_bytes;
  one.copies = std::max(one.copies, Copies(info.flags));
}

absl::Status ReadClasses(const UniqueFd& folder, BtrfsSpace& space) {
  btrfs_ioctl_space_args count = {};
  if (ioctl(folder.get(), BTRFS_IOC_SPACE_INFO, &count) != 0) {
    return ErrnoStatus(errno, "BTRFS_IOC_SPACE_INFO", FdName(folder));
  }
  std::vector<uint64_t> buffer(
      (sizeof(btrfs_ioctl_space_args) + count.total_spaces * sizeof(btrfs_ioctl_space_info)) /
          sizeof(uint64_t) +
      1);
  auto* spaces = reinterpret_cast<btrfs_ioctl_space_args*>(buffer.data());
  spaces->space_slots = count.total_spaces;
  if (ioctl(folder.get(), BTRFS_IOC_SPACE_INFO, spaces) != 0) {
    return ErrnoStatus(errno, "BTRFS_IOC_SPACE_INFO", FdName(folder));
  }
  for (uint64_t i = 0; i < std::min<uint64_t>(spaces->total_spaces, spaces->space_slots); ++i) {
    const btrfs_ioctl_space_info& info = spaces->spaces[i];
    if ((info.flags & BTRFS_SPACE_INFO_GLOBAL_RSV) != 0) {
      space.global_reserve = info.total_bytes;
    } else if ((info.flags & BTRFS_BLOCK_GROUP_DATA) != 0) {
      AddTo(space.data, info);
    } else if ((info.flags & BTRFS_BLOCK_GROUP_METADATA) != 0) {
      AddTo(space.metadata, info);
    }
  }
  return absl::OkStatus();
}

std::string UuidOf(const btrfs_ioctl_fs_info_args& filesystem) {
  std::string uuid;
  for (size_t i = 0; i < sizeof(filesystem.fsid); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) uuid += '-';
    uuid += fmt::format("{:02x}", filesystem.fsid[i]);
  }
  return uuid;
}

std::string SysfsOf(const btrfs_ioctl_fs_info_args& filesystem) {
  return "/sys/fs/btrfs/" + UuidOf(filesystem);
}

// What fallocate and writers took since the last commit: SPACE_INFO counts it only from then on.
uint64_t UncommittedData(const btrfs_ioctl_fs_info_args& filesystem) {
  uint64_t bytes = 0;
  for (const char* counter : {"bytes_reserved", "bytes_may_use"}) {
    const auto text =
        ReadSmallFile(fmt::format("{}/allocation/data/{}", SysfsOf(filesystem), counter));
    if (text) bytes += std::strtoull(text->c_str(), nullptr, 10);
  }
  return bytes;
}

uint64_t FreeMetadata(const BtrfsSpace& space) {
  return SaturatingSubtract(space.metadata.total, space.metadata.used + space.global_reserve);
}

}  // namespace

absl::StatusOr<BtrfsSpace> ReadBtrfsSpace(const UniqueFd& folder) {
  BtrfsSpace space;
  RETURN_IF_ERROR(ReadClasses(folder, space));
  btrfs_ioctl_fs_info_args filesystem = {};
  if (ioctl(folder.get(), BTRFS_IOC_FS_INFO, &filesystem) != 0) {
    return ErrnoStatus(errno, "BTRFS_IOC_FS_INFO", FdName(folder));
  }
  space.uuid = UuidOf(filesystem);
  space.data.used += UncommittedData(filesystem);
  space.quotas = access((SysfsOf(filesystem) + "/qgroups").c_str(), F_OK) == 0;
  for (uint64_t id = 1; id <= std::min<uint64_t>(filesystem.max_id, kMaxDevices); ++id) {
    btrfs_ioctl_dev_info_args device = {};
    device.devid = id;
    if (ioctl(folder.get(), BTRFS_IOC_DEV_INFO, &device) != 0) {
      if (errno == ENODEV) continue;  // numbers of removed devices are not used again
      return ErrnoStatus(errno, "BTRFS_IOC_DEV_INFO", FdName(folder));
    }
    space.device_bytes += device.total_bytes;
    space.unallocated += SaturatingSubtract(device.total_bytes, device.bytes_used + kDeviceHead);
  }
  return space;
}

uint64_t FreeForData(const BtrfsSpace& space) {
  // The kernel's chunk sizes: 256 MiB of metadata up to 50 GiB, 1 GiB above, a tenth at most.
  const uint64_t chunk =
      std::min(space.device_bytes > 50 * kGiB ? kGiB : 256 * kMiB, space.device_bytes / 10);
  const uint64_t reserved = SaturatingSubtract(chunk, FreeMetadata(space)) * space.metadata.copies;
  return SaturatingSubtract(space.data.total, space.data.used) +
         SaturatingSubtract(space.unallocated, reserved) / space.data.copies;
}

uint64_t FreeForMetadata(const BtrfsSpace& space) {
  return space.unallocated + FreeMetadata(space) * space.metadata.copies;
}

}  // namespace holdfast
