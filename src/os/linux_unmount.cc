// Taking mounts away.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/linux_host.h"
#include "os/loop_device.h"
#include "os/mount_holders.h"
#include "os/mount_table.h"
#include "os/processes.h"
#include "os/small_file.h"
#include "os/target_path.h"

namespace holdfast {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Calls that take no lock (stats) look at a mount, and a child of ours has all descriptors until it
// executes its program: both pin it for a moment, and neither is a reason to refuse.
constexpr milliseconds kBrief{16}, kAtMost{1000};

// Those that no process has open: loop devices on top of it, and swap.
absl::StatusOr<std::vector<std::string>> KernelUsersOf(const Loop& loop) {
  std::vector<std::string> users;
  ASSIGN_OR_RETURN(const std::vector<int> numbers, BackedLoops());
  for (const int number : numbers) {
    if (users.size() >= kMaxHolders) break;
    const std::string backing = ReadSmallFile(LoopSysfs(number, "loop/backing_file")).value_or("");
    if (backing == loop.path) users.push_back("loop device " + LoopPath(number));
  }
  const std::string swaps = ReadSmallFile("/proc/swaps").value_or("");
  if (absl::StrContains(swaps, "\n" + loop.path + " ")) users.push_back("swap");
  return users;
}

bool IsOurselves(const std::string& holder) {
  return holder.ends_with(fmt::format("(pid {})", getpid()));
}

// Held by somebody else, or for longer than any look of ours takes: FAILED_PRECONDITION.
absl::Status UnmountWhenFree(LinuxHost& host, const std::string& place, const MountEntry& entry) {
  const SteadyClock::time_point begin = SteadyClock::now();
  for (milliseconds pause{1}; umount2(place.c_str(), UMOUNT_NOFOLLOW) != 0; pause *= 2) {
    if (errno != EBUSY) return ErrnoStatus(errno, "umount", entry.target);
    const SteadyClock::duration waited = SteadyClock::now() - begin;
    if (waited > kBrief) {
      // Without them when they cannot be told: the others are worth naming.
      const std::vector<std::string> holders =
          HoldersOfMount(entry, host.AllLoops().value_or(std::vector<Loop>()));
      if (!std::all_of(holders.begin(), holders.end(), IsOurselves) || waited > kAtMost) {
        return absl::FailedPreconditionError(
            fmt::format("umount {}: is held by {}; end that and try again", entry.target,
                        holders.empty() ? "somebody who cannot be found"
                                        : fmt::format("{}", fmt::join(holders, ", "))));
      }
    }
    std::this_thread::sleep_for(pause);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status LinuxHost::Unmount(const std::string& target) {
  ASSIGN_OR_RETURN(const std::optional<MountEntry> before, MountedAt(target));
  if (!before.has_value()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const TargetPath path, ParseTarget(target_roots_, target));
  {
    ASSIGN_OR_RETURN(const UniqueFd parent, OpenTargetParent(path));
    // The parent is pinned by its descriptor, and the last component may not be a link: nobody can
    // make this unmount something else.
    const std::string place = fmt::format("/proc/self/fd/{}/{}", parent.get(), path.Name());
    RETURN_IF_ERROR(UnmountWhenFree(*this, place, *before));
  }
  ASSIGN_OR_RETURN(const std::vector<MountEntry> table, ReadMountTable());
  const bool still = std::any_of(table.begin(), table.end(), [&](const MountEntry& entry) {
    return entry.id == before->id && entry.target == before->target;
  });
  if (still) {
    return absl::InternalError(fmt::format(
        "umount {}: the kernel said it is done, and the mount is still in the table", target));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> LinuxHost::HoldersOf(const Loop& loop) {
  ASSIGN_OR_RETURN(std::vector<std::string> kernel, KernelUsersOf(loop));
  if (!kernel.empty()) return kernel;
  HeldThings things;
  // The filesystem's and, of a raw block volume, the device's own users.
  things.filesystem_device = loop.device;
  things.node_device = loop.device;
  std::vector<std::string> holders = FindMountsElsewhere(loop, kMaxHolders, things);
  for (std::string& holder : FindHolders(things, kMaxHolders + 1)) {
    if (holders.size() >= kMaxHolders) break;
    // Every call that asks what is attached opens every device for a moment.
    if (IsOurselves(holder)) continue;
    if (std::find(holders.begin(), holders.end(), holder) == holders.end()) {
      holders.push_back(std::move(holder));
    }
  }
  return holders;
}

}  // namespace holdfast
