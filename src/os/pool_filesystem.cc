// The filesystem that holds a pool.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>

#include "base/status_macros.h"
#include "os/btrfs_space.h"
#include "os/errno_status.h"
#include "os/fd_name.h"
#include "os/filesystem_types.h"
#include "os/linux_host.h"
#include "os/xfs_ioctl.h"

namespace holdfast {

std::string FilesystemTypeName(int64_t magic) {
  constexpr int64_t kTmpfsMagic = 0x01021994, kOverlayMagic = 0x794c7630, kNfsMagic = 0x6969;
  switch (magic) {
    case kExt4Magic:
      return "ext4";
    case kXfsMagic:
      return "xfs";
    case kBtrfsMagic:
      return "btrfs";
    case kTmpfsMagic:
      return "tmpfs";
    case kOverlayMagic:
      return "overlay";
    case kNfsMagic:
      return "nfs";
    default:
      return fmt::format("0x{:x}", static_cast<uint64_t>(magic));
  }
}

absl::StatusOr<FolderFilesystem> LinuxHost::DescribeFilesystem(const UniqueFd& folder) {
  struct statfs facts;
  if (fstatfs(folder.get(), &facts) != 0) return ErrnoStatus(errno, "fstatfs", FdName(folder));
  FolderFilesystem result;
  result.type = FilesystemTypeName(facts.f_type);
  result.read_only = (facts.f_flags & ST_RDONLY) != 0;
  result.size_bytes = facts.f_blocks * facts.f_bsize;
  // On XFS this leaves out what the allocation groups keep back for their reflink and free-space
  // trees already.
  result.free_bytes = facts.f_bavail * facts.f_bsize;
  if (facts.f_type == kXfsMagic) {
    XfsGeometryV4 geometry = {};
    if (ioctl(folder.get(), kXfsGeometry, &geometry) != 0) {
      return ErrnoStatus(errno, "XFS_IOC_FSGEOMETRY", FdName(folder));
    }
    result.reflink = (geometry.flags & kXfsGeometryReflink) != 0;
    struct stat folder_facts;
    if (fstat(folder.get(), &folder_facts) != 0) return ErrnoStatus(errno, "fstat", FdName(folder));
    result.id = fmt::format("device {}", folder_facts.st_dev);
  }
  if (facts.f_type == kBtrfsMagic) {
    result.reflink = true;
    ASSIGN_OR_RETURN(const BtrfsSpace space, ReadBtrfsSpace(folder));
    result.free_bytes = std::min(result.free_bytes, FreeForData(space));
    result.metadata_free_bytes = FreeForMetadata(space);
    result.quotas = space.quotas;
    result.id = space.uuid;  // each subvolume has a device number of its own
  }
  return result;
}

}  // namespace holdfast
