// Where a file's bytes lie.
#include <fmt/format.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "base/sizes.h"
#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/fd_name.h"
#include "os/filesystem_types.h"
#include "os/linux_host.h"

namespace holdfast {
namespace {

constexpr uint32_t kExtentsPerCall = 1024;

absl::Status LimitCopyOnWriteExtent(const UniqueFd& file) {
  fsxattr attributes = {};
  if (ioctl(file.get(), FS_IOC_FSGETXATTR, &attributes) != 0) {
    return ErrnoStatus(errno, "FS_IOC_FSGETXATTR", FdName(file));
  }
  attributes.fsx_xflags |= FS_XFLAG_COWEXTSIZE;
  attributes.fsx_cowextsize = kBlockBytes;
  if (ioctl(file.get(), FS_IOC_FSSETXATTR, &attributes) != 0) {
    return ErrnoStatus(errno, "FS_IOC_FSSETXATTR", FdName(file));
  }
  return absl::OkStatus();
}

// Takes effect on an empty file only. A reflink copy needs it on both files or on neither.
absl::Status SwitchOffCopyOnWrite(const UniqueFd& file) {
  int flags = 0;  // declared as long, read and written as int
  if (ioctl(file.get(), FS_IOC_GETFLAGS, &flags) != 0) {
    return ErrnoStatus(errno, "FS_IOC_GETFLAGS", FdName(file));
  }
  flags |= FS_NOCOW_FL;
  if (ioctl(file.get(), FS_IOC_SETFLAGS, &flags) != 0) {
    return ErrnoStatus(errno, "FS_IOC_SETFLAGS", FdName(file));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Extent>> LinuxHost::Extents(const UniqueFd& file) {
  std::vector<char> buffer(sizeof(fiemap) + kExtentsPerCall * sizeof(fiemap_extent));
  auto* request = reinterpret_cast<fiemap*>(buffer.data());
  std::vector<Extent> extents;
  uint64_t start = 0;
  // Ends: each round begins behind the last extent, and a file's extents are finite.
  while (true) {
    *request = {};
    request->fm_start = start;
    request->fm_length = FIEMAP_MAX_OFFSET - start;
    // Without SYNC what is still in the page cache would look like a hole.
    request->fm_flags = FIEMAP_FLAG_SYNC;
    request->fm_extent_count = kExtentsPerCall;
    if (ioctl(file.get(), FS_IOC_FIEMAP, request) != 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, "FIEMAP", FdName(file));
    }
    for (uint32_t i = 0; i < request->fm_mapped_extents; ++i) {
      const fiemap_extent& found = request->fm_extents[i];
      extents.push_back({.logical = found.fe_logical,
                         .physical = found.fe_physical,
                         .length = found.fe_length,
                         .unwritten = (found.fe_flags & FIEMAP_EXTENT_UNWRITTEN) != 0,
                         .shared = (found.fe_flags & FIEMAP_EXTENT_SHARED) != 0});
      start = found.fe_logical + found.fe_length;
      if ((found.fe_flags & FIEMAP_EXTENT_LAST) != 0) return extents;
    }
    if (request->fm_mapped_extents == 0) return extents;
  }
}

absl::StatusOr<uint64_t> LinuxHost::ExtentCount(const UniqueFd& file) {
  struct statfs facts;
  if (fstatfs(file.get(), &facts) != 0) return ErrnoStatus(errno, "fstatfs", FdName(file));
  if (facts.f_type != kXfsMagic) {
    ASSIGN_OR_RETURN(const auto extents, Extents(file));
    return extents.size();
  }
  fsxattr attributes = {};
  if (ioctl(file.get(), FS_IOC_FSGETXATTR, &attributes) != 0) {
    return ErrnoStatus(errno, "FS_IOC_FSGETXATTR", FdName(file));
  }
  return attributes.fsx_nextents;
}

absl::StatusOr<bool> LinuxHost::HasData(const UniqueFd& file) {
  if (lseek(file.get(), 0, SEEK_DATA) >= 0) return true;
  if (errno == ENXIO) return false;
  return ErrnoStatus(errno, "SEEK_DATA", FdName(file));
}

absl::Status LinuxHost::TuneImage(const UniqueFd& file) {
  struct statfs facts;
  if (fstatfs(file.get(), &facts) != 0) return ErrnoStatus(errno, "fstatfs", FdName(file));
  if (facts.f_type == kXfsMagic) return LimitCopyOnWriteExtent(file);
  if (facts.f_type == kBtrfsMagic) return SwitchOffCopyOnWrite(file);
  return absl::OkStatus();  // no pool lies on anything else
}

}  // namespace holdfast
