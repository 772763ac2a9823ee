// Loop devices that exist.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/linux_host.h"
#include "os/loop_device.h"
#include "os/small_file.h"

namespace holdfast {
namespace {

constexpr uint64_t kSectorBytes = 512;
constexpr std::chrono::milliseconds kLongestLook{64};
constexpr size_t kMaxRemovals = 10;

// Whether the kernel can say what the device backs. It asks the file's filesystem, and one that was
// shut down (EIO) or lost its server (the rest) knows no answer.
bool BackingAnswers(const UniqueFd& device) {
  loop_info64 info = {};
  if (ioctl(device.get(), LOOP_GET_STATUS64, &info) == 0) return true;
  return errno != EIO && errno != ENOTCONN && errno != ECONNABORTED && errno != ESTALE;
}

// Of somebody else's file when its filesystem does not answer: ours did just now, when the image it
// is looked for was opened. One broken disk of a machine must not stop the volumes of all others.
absl::StatusOr<std::optional<Loop>> FindLoop(int number) {
  const UniqueFd device(open(LoopPath(number).c_str(), O_RDONLY | O_CLOEXEC));
  if (!device.valid()) {
    if (errno == ENOENT || errno == ENXIO || errno == ENODEV) return std::optional<Loop>();
    return ErrnoStatus(errno, "open", LoopPath(number));
  }
  absl::StatusOr<std::optional<Loop>> loop = ReadLoop(device, number);
  if (!loop.ok() && !BackingAnswers(device)) return std::optional<Loop>();
  return loop;
}

// The device, or FAILED_PRECONDITION: it does not back that image any more.
absl::StatusOr<UniqueFd> RequireLoop(const Loop& loop, Access access) {
  ASSIGN_OR_RETURN(std::optional<UniqueFd> device, OpenLoop(loop, access));
  if (device.has_value()) return *std::move(device);
  return absl::FailedPreconditionError(
      fmt::format("{}: expected inode {} behind it, found it free or backing another file",
                  loop.path, loop.backing_inode));
}

}  // namespace

absl::Status LinuxHost::PinLoop(const Loop& loop) {
  ASSIGN_OR_RETURN(const UniqueFd device, RequireLoop(loop, Access::kReadOnly));
  loop_info64 info = {};
  if (ioctl(device.get(), LOOP_GET_STATUS64, &info) != 0) {
    return ErrnoStatus(errno, "LOOP_GET_STATUS64", loop.path);
  }
  info.lo_flags &= ~static_cast<uint32_t>(LO_FLAGS_AUTOCLEAR);
  // EAGAIN: the kernel could not drop the device's page cache at once.
  for (int attempt = 0; ioctl(device.get(), LOOP_SET_STATUS64, &info) != 0; ++attempt) {
    if (errno != EAGAIN || attempt == 64) {
      return ErrnoStatus(errno, "LOOP_SET_STATUS64", loop.path);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ASSIGN_OR_RETURN(const std::optional<Loop> now, ReadLoop(device, loop.number));
  if (!now.has_value() || now->autoclear) {
    return absl::InternalError(
        fmt::format("{}: expected autoclear off, found it still on", loop.path));
  }
  return absl::OkStatus();
}

absl::Status LinuxHost::Detach(const Loop& loop) {
  bool pinned = false;
  {
    ASSIGN_OR_RETURN(const std::optional<UniqueFd> device, OpenLoop(loop, Access::kReadOnly));
    if (device.has_value()) {
      ASSIGN_OR_RETURN(const std::optional<Loop> now, ReadLoop(*device, loop.number));
      pinned = now.has_value() && !now->autoclear;
    }
    // With openers left, ours among them, the kernel clears it when the last one closes.
    if (device.has_value() && ioctl(device->get(), LOOP_CLR_FD) != 0 && errno != ENXIO) {
      return ErrnoStatus(errno, "LOOP_CLR_FD", loop.path);
    }
  }
  ASSIGN_OR_RETURN(bool cleared, WaitUntilCleared(loop));
  if (!cleared && pinned) {
    // Else the kernel would clear it when its user goes, under whoever shows it by then.
    const absl::Status kept = PinLoop(loop);
    ASSIGN_OR_RETURN(const bool attached, IsLoopAttached(loop));
    if (attached) RETURN_IF_ERROR(kept);
    cleared = !attached;
  }
  if (!cleared) {
    ASSIGN_OR_RETURN(const std::vector<std::string> holders, HoldersOf(loop));
    std::string names;
    for (const std::string& holder : holders) names += (names.empty() ? "" : ", ") + holder;
    return absl::FailedPreconditionError(
        fmt::format("{}: expected to be free, is held by {}; end that and try again", loop.path,
                    names.empty() ? "somebody who cannot be found" : names));
  }
  // Refused by the kernel when the number backs something else by now.
  if (pinned) RemoveLoopDevice(loop.number);
  return absl::OkStatus();
}

void LinuxHost::RemoveSpoilt() {
  size_t removals = 0;
  for (const int one : LoopNumbers()) {
    if (!IsSpoilt(one)) continue;
    if (++removals > kMaxRemovals) return;
    // udev looks at a device when it was cleared, and while it does the kernel keeps it.
    for (std::chrono::milliseconds pause{2}; true; pause *= 2) {
      RemoveLoopDevice(one);
      if (pause > kLongestLook || !IsSpoilt(one)) break;
      std::this_thread::sleep_for(pause);
    }
  }
}

absl::StatusOr<std::vector<Loop>> LinuxHost::Attachments(const FileFacts& image) {
  ASSIGN_OR_RETURN(const std::vector<int> numbers, BackedLoops());
  std::vector<Loop> found;
  for (const int number : numbers) {
    ASSIGN_OR_RETURN(std::optional<Loop> loop, FindLoop(number));
    if (loop.has_value() && loop->backing_device == image.device &&
        loop->backing_inode == image.inode) {
      found.push_back(*std::move(loop));
    }
  }
  return found;
}

absl::StatusOr<bool> LinuxHost::IsAttached(const Loop& loop) { return IsLoopAttached(loop); }

absl::StatusOr<std::vector<Loop>> LinuxHost::AllLoops() {
  ASSIGN_OR_RETURN(const std::vector<int> numbers, BackedLoops());
  std::vector<Loop> found;
  for (const int number : numbers) {
    ASSIGN_OR_RETURN(std::optional<Loop> loop, FindLoop(number));
    if (!loop.has_value()) continue;
    loop->backing_path = ReadSmallFile(LoopSysfs(number, "loop/backing_file")).value_or("");
    found.push_back(*std::move(loop));
  }
  return found;
}

absl::Status LinuxHost::UpdateLoopSize(const Loop& loop) {
  ASSIGN_OR_RETURN(const UniqueFd device, RequireLoop(loop, Access::kReadOnly));
  if (ioctl(device.get(), LOOP_SET_CAPACITY, 0) != 0) {
    return ErrnoStatus(errno, "LOOP_SET_CAPACITY", loop.path);
  }
  return absl::OkStatus();
}

absl::Status LinuxHost::LimitDirty(const Loop& loop, uint64_t bytes) {
  // Open, so that the number stays this image's.
  ASSIGN_OR_RETURN(const UniqueFd device, RequireLoop(loop, Access::kReadOnly));
  if (bytes == 0) return ForgetDirtyLimit(loop.number);
  const std::string strict = LoopSysfs(loop.number, "bdi/strict_limit");
  if (access(strict.c_str(), F_OK) != 0) {
    return absl::FailedPreconditionError(
        fmt::format("{}: expected a kernel that can limit what is dirty of one device (6.2 or "
                    "newer), found none with {}; upgrade it",
                    loop.path, strict));
  }
  RETURN_IF_ERROR(WriteSysfs(LoopSysfs(loop.number, "bdi/max_bytes"), fmt::to_string(bytes)));
  return WriteSysfs(strict, "1");
}

absl::Status LinuxHost::CutOff(const Loop& loop) {
  ASSIGN_OR_RETURN(const UniqueFd device, RequireLoop(loop, Access::kReadOnly));
  loop_info64 info = {};
  if (ioctl(device.get(), LOOP_GET_STATUS64, &info) != 0) {
    return ErrnoStatus(errno, "LOOP_GET_STATUS64", loop.path);
  }
  info.lo_sizelimit = kSectorBytes;
  if (ioctl(device.get(), LOOP_SET_STATUS64, &info) == 0) return absl::OkStatus();
  // Older kernels want the device's page cache to be empty, newer ones nobody who has it for
  // himself: both never so under a mount.
  if (errno == EAGAIN || errno == EBUSY) {
    return absl::UnavailableError(fmt::format(
        "{}: expected a kernel that cuts off a mounted device (5.18 to 6.18), found another",
        loop.path));
  }
  return ErrnoStatus(errno, "LOOP_SET_STATUS64", loop.path);
}

absl::Status LinuxHost::SyncLoop(const Loop& loop) {
  ASSIGN_OR_RETURN(const UniqueFd device, RequireLoop(loop, Access::kReadOnly));
  if (fsync(device.get()) != 0) return ErrnoStatus(errno, "fsync", loop.path);
  return absl::OkStatus();
}

}  // namespace holdfast
