#include "os/loop_device.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "base/status_macros.h"
#include "os/errno_status.h"

namespace holdfast {
namespace {

// Virtual block devices, each a folder of its own. Reached by this path at half the cost of
// /sys/block, which holds links to them.
constexpr const char* kDevices = "/sys/devices/virtual/block";

}  // namespace

std::string LoopPath(int number) { return fmt::format("/dev/loop{}", number); }

std::string LoopSysfs(int number, const std::string& attribute) {
  return fmt::format("/sys/block/loop{}/{}", number, attribute);
}

// sysfs gives a device a folder "loop" while something is attached. /proc/partitions would be
// cheaper, but it counts its way through the devices again at each page and passes over one when
// another was removed meanwhile: an attached image would look free.
absl::StatusOr<std::vector<int>> BackedLoops() {
  const std::unique_ptr<DIR, int (*)(DIR*)> devices(opendir(kDevices), closedir);
  if (devices == nullptr) return ErrnoStatus(errno, "open", kDevices);
  std::vector<int> numbers;
  while (const dirent* entry = readdir(devices.get())) {
    int number = 0;
    if (sscanf(entry->d_name, "loop%d", &number) != 1) continue;
    const std::string attached = std::string(entry->d_name) + "/loop";
    if (faccessat(dirfd(devices.get()), attached.c_str(), F_OK, 0) == 0) numbers.push_back(number);
  }
  // When devices come and go meanwhile, the kernel may tell one twice.
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
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
