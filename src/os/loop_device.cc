#include "os/loop_device.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/status_macros.h"
#include "os/errno_status.h"

namespace holdfast {

std::string LoopPath(int number) { return fmt::format("/dev/loop{}", number); }

std::string LoopSysfs(int number, const std::string& attribute) {
  return fmt::format("/sys/block/loop{}/{}", number, attribute);
}

absl::StatusOr<std::optional<Loop>> ReadLoop(const UniqueFd& device, int number) {
  Loop loop;
  loop.number = number;
  loop.path = LoopPath(number);
  struct stat facts;
  if (fstat(device.get(), &facts) != 0) return ErrnoStatus(errno, "stat", loop.path);
  loop.device = facts.st_rdev;
  loop_info64 info = {};
  if (ioctl(device.get(), LOOP_GET_STATUS64, &info) != 0) {
    if (errno == ENXIO) return std::optional<Loop>();
    return ErrnoStatus(errno, "LOOP_GET_STATUS64", loop.path);
  }
  if (ioctl(device.get(), BLKGETSIZE64, &loop.size_bytes) != 0) {
    return ErrnoStatus(errno, "BLKGETSIZE64", loop.path);
  }
  loop.backing_device = info.lo_device;
  loop.backing_inode = info.lo_inode;
  loop.read_only = (info.lo_flags & LO_FLAGS_READ_ONLY) != 0;
  loop.direct_io = (info.lo_flags & LO_FLAGS_DIRECT_IO) != 0;
  loop.autoclear = (info.lo_flags & LO_FLAGS_AUTOCLEAR) != 0;
  return std::optional<Loop>(loop);
}

absl::StatusOr<std::optional<UniqueFd>> OpenLoop(const Loop& loop, Access access) {
  const int mode = access == Access::kReadOnly ? O_RDONLY : O_RDWR;
  UniqueFd device(open(loop.path.c_str(), mode | O_CLOEXEC));
  if (!device.valid()) {
    if (errno == ENOENT || errno == ENXIO || errno == ENODEV) return std::optional<UniqueFd>();
    return ErrnoStatus(errno, "open", loop.path);
  }
  ASSIGN_OR_RETURN(const std::optional<Loop> found, ReadLoop(device, loop.number));
  if (!found.has_value() || found->backing_device != loop.backing_device ||
      found->backing_inode != loop.backing_inode) {
    return std::optional<UniqueFd>();
  }
  return std::optional<UniqueFd>(std::move(device));
}

void RemoveLoopDevice(int number) {
  const UniqueFd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (control.valid()) (void)ioctl(control.get(), LOOP_CTL_REMOVE, number);
}

}  // namespace holdfast
