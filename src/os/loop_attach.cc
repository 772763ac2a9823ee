// Attaching an image to a free loop device.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "base/sizes.h"
#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/fd_name.h"
#include "os/linux_host.h"
#include "os/loop_device.h"
#include "os/small_file.h"

namespace holdfast {
namespace {

constexpr std::chrono::seconds kTakeLimit{5};
constexpr std::chrono::milliseconds kLongestPause{2};
constexpr int kTriesBeforeANewOne = 32;

// GET_FREE only looks: others take the number before us as often as they are many. And as long as
// somebody is about to take it, or has it open exclusively, it names no other.
absl::StatusOr<int> FindFree(const UniqueFd& control, int attempt) {
  const bool anew = attempt % kTriesBeforeANewOne == kTriesBeforeANewOne - 1;
  const int number =
      anew ? ioctl(control.get(), LOOP_CTL_ADD, -1) : ioctl(control.get(), LOOP_CTL_GET_FREE);
  if (number >= 0) return number;
  return ErrnoStatus(errno, anew ? "LOOP_CTL_ADD" : "LOOP_CTL_GET_FREE", "/dev/loop-control");
}

absl::Status CheckReadBack(const Loop& loop, const LoopOptions& options) {
  const std::string block =
      ReadSmallFile(LoopSysfs(loop.number, "queue/logical_block_size")).value_or("unreadable");
  const bool read_only = options.access == Access::kReadOnly;
  if (loop.direct_io && loop.autoclear && loop.read_only == read_only &&
      block == fmt::to_string(kBlockBytes)) {
    return absl::OkStatus();
  }
  return absl::InternalError(fmt::format(
      "{}: expected direct I/O, {}-byte blocks, autoclear, {}, found direct I/O {}, block size {}, "
      "autoclear {}, {}; the filesystem under the image must allow direct I/O in such blocks",
      loop.path, kBlockBytes, read_only ? "read-only" : "writable", loop.direct_io ? "on" : "off",
      block, loop.autoclear ? "on" : "off", loop.read_only ? "read-only" : "writable"));
}

// nullopt: somebody took this number first, take another.
absl::StatusOr<std::optional<AttachedLoop>> Configure(int number, const UniqueFd& image,
                                                      const LoopOptions& options) {
  const bool read_only = options.access == Access::kReadOnly;
  AttachedLoop attached;
  attached.fd =
      UniqueFd(open(LoopPath(number).c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC));
  if (!attached.fd.valid()) {
    // ENOENT: devtmpfs has not made the node yet; ENXIO: removed meanwhile.
    if (errno == ENOENT || errno == ENXIO || errno == ENODEV || errno == EBUSY) {
      return std::optional<AttachedLoop>();
    }
    return ErrnoStatus(errno, "open", LoopPath(number));
  }
  loop_config config = {};
  config.fd = static_cast<uint32_t>(image.get());
  config.block_size = kBlockBytes;
  config.info.lo_flags =
      LO_FLAGS_DIRECT_IO | LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0);
  if (ioctl(attached.fd.get(), LOOP_CONFIGURE, &config) != 0) {
    if (errno == EBUSY || errno == ENXIO) return std::optional<AttachedLoop>();
    return ErrnoStatus(errno, "LOOP_CONFIGURE " + LoopPath(number), FdName(image));
  }
  ASSIGN_OR_RETURN(std::optional<Loop> loop, ReadLoop(attached.fd, number));
  if (!loop.has_value()) {
    return absl::InternalError(fmt::format("{}: was detached by somebody", LoopPath(number)));
  }
  attached.loop = *std::move(loop);
  RETURN_IF_ERROR(CheckReadBack(attached.loop, options));
  return std::optional<AttachedLoop>(std::move(attached));
}

// True: as asked. False: the number carries the "no discards" of an earlier, thick life.
absl::StatusOr<bool> SettleDiscard(int number, const LoopOptions& options) {
  const std::string path = LoopSysfs(number, "queue/discard_max_bytes");
  // A read-only device refuses them by itself.
  if (options.access == Access::kReadOnly) return true;
  const bool off = ReadSmallFile(path).value_or("") == "0";
  if (options.discard) return !off;
  // The write waits for the queue to drain, 10 ms and more, so that a number which has it from its
  // last life, and which nobody removed yet (RemoveSpoilt), is welcome: an attach takes 0.3 ms
  // then.
  if (!off) RETURN_IF_ERROR(WriteSysfs(path, "0"));
  return true;
}

}  // namespace

absl::StatusOr<AttachedLoop> LinuxHost::Attach(const UniqueFd& image, const LoopOptions& options) {
  const UniqueFd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control.valid()) return ErrnoStatus(errno, "open", "/dev/loop-control");
  const auto deadline = std::chrono::steady_clock::now() + kTakeLimit;
  std::chrono::microseconds pause{100};
  for (int attempt = 0; std::chrono::steady_clock::now() < deadline; ++attempt) {
    ASSIGN_OR_RETURN(const int number, FindFree(control, attempt));
    ASSIGN_OR_RETURN(std::optional<AttachedLoop> attached, Configure(number, image, options));
    if (!attached.has_value()) {
      std::this_thread::sleep_for(pause);
      pause = std::min<std::chrono::microseconds>(pause * 11 / 10, kLongestPause);
      continue;
    }
    // A number keeps the limit of an earlier life too (LimitDirty).
    RETURN_IF_ERROR(ForgetDirtyLimit(number));
    ASSIGN_OR_RETURN(const bool settled, SettleDiscard(number, options));
    if (settled) return *std::move(attached);
    // A number made anew has the defaults. Autoclear frees this one, but not while anybody has it
    // open: left to that, the image would still look attached when its volume is done with.
    attached->fd.Close();
    ASSIGN_OR_RETURN(const bool cleared, WaitUntilCleared(attached->loop));
    if (!cleared) {
      return absl::UnavailableError(fmt::format(
          "{}: expected to be free, is kept open by somebody; try again", attached->loop.path));
    }
    RemoveLoopDevice(number);
  }
  return absl::UnavailableError(
      fmt::format("{}: expected a free loop device within {} s, found every one taken by others "
                  "meanwhile; try again",
                  FdName(image), kTakeLimit.count()));
}

}  // namespace holdfast
