#include "os/freed_space.h"

#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "os/errno_status.h"
#include "os/fd_name.h"
#include "os/filesystem_types.h"
#include "os/xfs_ioctl.h"

namespace holdfast {

absl::Status SyncFreedSpace(const UniqueFd& folder) {
  if (syncfs(folder.get()) != 0) return ErrnoStatus(errno, "syncfs", FdName(folder));
  struct statfs facts;
  if (fstatfs(folder.get(), &facts) != 0) return ErrnoStatus(errno, "fstatfs", FdName(folder));
  if (facts.f_type != kXfsMagic) return absl::OkStatus();
  // Its workers are waited for by the end of xfs_blockgc_free_space (fs/xfs/xfs_icache.c), which
  // this asks for, with a filter that no file passes: no preallocation is trimmed.
  XfsFreeEofBlocks request = {.version = kXfsFreeEofBlocksVersion,
                              .flags = kXfsFreeEofBlocksMinFileSize,
                              .min_file_size = UINT64_MAX};
  if (ioctl(folder.get(), kXfsFreeEofBlocks, &request) != 0) {
    return ErrnoStatus(errno, "XFS_IOC_FREE_EOFBLOCKS", FdName(folder));
  }
  return absl::OkStatus();
}

}  // namespace holdfast
