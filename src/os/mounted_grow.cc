// Growing filesystems under their users.
#include <fmt/format.h>
#include <linux/btrfs.h>
#include <linux/capability.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>

#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/fd_name.h"
#include "os/linux_host.h"
#include "os/mounted_root.h"
#include "os/small_file.h"
#include "os/xfs_ioctl.h"

namespace holdfast {
namespace {

// fs/ext4/ext4.h; not in the kernel's uapi headers.
constexpr unsigned long kExt4Resize = _IOW('f', 16, uint64_t);

// Of the block device below the filesystem of `folder`.
absl::StatusOr<uint64_t> DeviceBytes(const UniqueFd& folder) {
  struct stat facts;
  if (fstat(folder.get(), &facts) != 0) return ErrnoStatus(errno, "stat", FdName(folder));
  const std::string path =
      fmt::format("/sys/dev/block/{}:{}/size", major(facts.st_dev), minor(facts.st_dev));
  const std::optional<std::string> text = ReadSmallFile(path);
  if (!text.has_value()) return ErrnoStatus(errno, "read", path);
  uint64_t sectors = 0;
  std::from_chars(text->data(), text->data() + text->size(), sectors);
  return sectors * 512;
}

absl::Status GrowExt4(const UniqueFd& folder) {
  struct statfs facts;
  if (fstatfs(folder.get(), &facts) != 0) return ErrnoStatus(errno, "fstatfs", FdName(folder));
  ASSIGN_OR_RETURN(const uint64_t bytes, DeviceBytes(folder));
  uint64_t blocks = bytes / facts.f_bsize;
  if (ioctl(folder.get(), kExt4Resize, &blocks) == 0) return absl::OkStatus();
  if (errno == EPERM) {
    return absl::FailedPreconditionError(
        fmt::format("EXT4_IOC_RESIZE_FS {}: expected CAP_SYS_RESOURCE, which this process does not "
                    "have; unmount the volume to grow it, or grant the capability",
                    FdName(folder)));
  }
  return ErrnoStatus(errno, "EXT4_IOC_RESIZE_FS", FdName(folder));
}

absl::Status GrowXfs(const UniqueFd& folder) {
  XfsGeometryV4 geometry = {};
  if (ioctl(folder.get(), kXfsGeometry, &geometry) != 0) {
    return ErrnoStatus(errno, "XFS_IOC_FSGEOMETRY", FdName(folder));
  }
  ASSIGN_OR_RETURN(const uint64_t bytes, DeviceBytes(folder));
  XfsGrowData grow = {.new_blocks = bytes / geometry.block_size,
                      .max_inode_percent = geometry.max_inode_percent};
  // It never shrinks here: XFS would try, and the request is to grow.
  if (grow.new_blocks <= geometry.data_blocks) return absl::OkStatus();
  if (ioctl(folder.get(), kXfsGrowData, &grow) != 0) {
    return ErrnoStatus(errno, "XFS_IOC_FSGROWFSDATA", FdName(folder));
  }
  return absl::OkStatus();
}

absl::Status GrowBtrfs(const UniqueFd& folder) {
  btrfs_ioctl_vol_args request = {};
  std::strcpy(request.name, "max");
  if (ioctl(folder.get(), BTRFS_IOC_RESIZE, &request) != 0) {
    return ErrnoStatus(errno, "BTRFS_IOC_RESIZE", FdName(folder));
  }
  return absl::OkStatus();
}

bool HasResourceCapability() {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  return (data[CAP_TO_INDEX(CAP_SYS_RESOURCE)].effective & CAP_TO_MASK(CAP_SYS_RESOURCE)) != 0;
}

}  // namespace

bool LinuxHost::CanGrowMounted(Content content) {
  return content != Content::kExt4 || HasResourceCapability();
}

absl::Status LinuxHost::GrowFilesystemOf(const UniqueFd& folder) {
  ASSIGN_OR_RETURN(const FolderFilesystem filesystem, DescribeFilesystem(folder));
  if (filesystem.type == "xfs") return GrowXfs(folder);
  if (filesystem.type == "btrfs") return GrowBtrfs(folder);
  return absl::FailedPreconditionError(
      fmt::format("grow of {}: expected XFS or btrfs, found {}", FdName(folder), filesystem.type));
}

absl::Status LinuxHost::GrowMounted(const UniqueFd& root, Content content) {
  ASSIGN_OR_RETURN(const UniqueFd folder, OpenRoot(root));
  switch (content) {
    case Content::kExt4:
      return GrowExt4(folder);
    case Content::kXfs:
      return GrowXfs(folder);
    case Content::kBtrfs:
      return GrowBtrfs(folder);
    case Content::kBlock:
      break;
  }
  return absl::InvalidArgumentError("grow: a raw block volume has no filesystem");
}

}  // namespace holdfast
