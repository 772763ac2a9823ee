// Giving back what a filesystem does not use.
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/fd_name.h"
#include "os/linux_host.h"
#include "os/mounted_root.h"

namespace holdfast {

absl::Status LinuxHost::Trim(const UniqueFd& root, uint64_t start, uint64_t length) {
  ASSIGN_OR_RETURN(const UniqueFd folder, OpenRoot(root));
  fstrim_range range = {.start = start, .len = length, .minlen = 0};
  if (ioctl(folder.get(), FITRIM, &range) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, "FITRIM", FdName(folder));
}

}  // namespace holdfast
