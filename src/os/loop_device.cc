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
#include <chrono>
#include <cstdio>
#include <memory>
#include <sstream>
#include <thread>

#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/small_file.h"

namespace holdfast {
namespace {

// Virtual block devices, each a folder of its own. Reached by this path at half the cost of
// /sys/block, which holds links to them.
constexpr const char* kDevices = "/sys/devices/virtual/block";
// What the kernel surely tells in one pass over its devices: it ends one when a page is full, which
// no line then fits into any more.
constexpr ssize_t kOnePassBytes = 3072;

constexpr auto kClearLimit = std::chrono::seconds(1);

// 3 for "loop3"; nullopt for anything else, its partition "loop3p1" as well.
std::optional<int> LoopNumber(const std::string& name) {
  int number = 0, end = 0;
  const bool matches = sscanf(name.c_str(), "loop%d%n", &number, &end) == 1;
  return matches && name[end] == '\0' ? std::optional(number) : std::nullopt;
}

// By /proc/partitions, which names the devices with a size at a tenth of what asking each costs.
// Only in one pass: for each further one the kernel counts its way through the devices again, and
// passes over one when another was removed meanwhile. An attached image would look free. nullopt:
// too many.
absl::StatusOr<std::optional<std::vector<int>>> FewBackedLoops() {
  const UniqueFd partitions(open("/proc/partitions", O_RDONLY | O_CLOEXEC));
  if (!partitions.valid()) return ErrnoStatus(errno, "open", "/proc/partitions");
  std::string text(kOnePassBytes + 1, '\0');
  const ssize_t length = read(partitions.get(), text.data(), text.size());
  if (length < 0) return ErrnoStatus(errno, "read", "/proc/partitions");
  if (length > kOnePassBytes) return std::nullopt;
  text.resize(length);
  std::vector<int> numbers;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    // "   7        3    1048576 loop3"
    const auto number = LoopNumber(line.substr(line.rfind(' ') + 1));
    if (number.has_value()) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

// By sysfs, which gives a device a folder "loop" while something is attached.
absl::StatusOr<std::vector<int>> ManyBackedLoops() {
  const std::unique_ptr<DIR, int (*)(DIR*)> devices(opendir(kDevices), closedir);
  if (devices == nullptr) return ErrnoStatus(errno, "open", kDevices);
  std::vector<int> numbers;
  while (const dirent* entry = readdir(devices.get())) {
    const auto number = LoopNumber(entry->d_name);
    if (!number.has_value()) continue;
    const std::string attached = std::string(entry->d_name) + "/loop";
    if (faccessat(dirfd(devices.get()), attached.c_str(), F_OK, 0) == 0) numbers.push_back(*number);
  }
  // When devices come and go meanwhile, the kernel may tell one twice.
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

}  // namespace

std::string LoopPath(int number) { return fmt::format("/dev/loop{}", number); }

std::string LoopSysfs(int number, const std::string& attribute) {
  return fmt::format("/sys/block/loop{}/{}", number, attribute);
}

absl::StatusOr<std::vector<int>> BackedLoops() {
  ASSIGN_OR_RETURN(const auto few, FewBackedLoops());
  return few.has_value() ? *few : ManyBackedLoops();
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
  // Not worth an error: without it an attachment is known by its image alone.
  if (ioctl(device.get(), BLKGETDISKSEQ, &loop.disk_sequence) != 0) loop.disk_sequence = 0;
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

absl::StatusOr<bool> IsLoopAttached(const Loop& loop) {
  // By sysfs first: opening the device would itself keep it from being cleared.
  if (access(LoopSysfs(loop.number, "loop").c_str(), F_OK) != 0) return false;
  ASSIGN_OR_RETURN(const std::optional<UniqueFd> device, OpenLoop(loop, Access::kReadOnly));
  return device.has_value();
}

absl::StatusOr<bool> WaitUntilCleared(const Loop& loop) {
  const auto deadline = std::chrono::steady_clock::now() + kClearLimit;
  auto pause = std::chrono::microseconds(50);
  while (true) {
    ASSIGN_OR_RETURN(const bool attached, IsLoopAttached(loop));
    if (!attached) return true;
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(20'000));
  }
}

absl::Status ForgetDirtyLimit(int number) {
  const std::string strict = LoopSysfs(number, "bdi/strict_limit");
  if (ReadSmallFile(strict).value_or("0") == "0") return absl::OkStatus();
  RETURN_IF_ERROR(WriteSysfs(LoopSysfs(number, "bdi/max_ratio"), "100"));
  return WriteSysfs(strict, "0");
}

void RemoveLoopDevice(int number) {
  const UniqueFd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (control.valid()) (void)ioctl(control.get(), LOOP_CTL_REMOVE, number);
}

std::vector<int> LoopNumbers() {
  std::vector<int> numbers;
  const std::unique_ptr<DIR, int (*)(DIR*)> devices(opendir(kDevices), closedir);
  if (devices == nullptr) return numbers;
  while (const dirent* entry = readdir(devices.get())) {
    if (const auto number = LoopNumber(entry->d_name)) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

bool IsSpoilt(int number) {
  if (access(LoopSysfs(number, "loop").c_str(), F_OK) == 0) return false;
  if (ReadSmallFile(LoopSysfs(number, "bdi/strict_limit")).value_or("0") != "0") return true;
  // What a device could do stays as it was at its last attachment; 0 when it never had one.
  return ReadSmallFile(LoopSysfs(number, "queue/discard_max_bytes")).value_or("") == "0" &&
         ReadSmallFile(LoopSysfs(number, "queue/discard_max_hw_bytes")).value_or("0") != "0";
}

}  // namespace holdfast
