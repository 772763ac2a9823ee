// Taking mounts away, and who stands in the way.
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/linux_host.h"
#include "os/mount_table.h"
#include "os/processes.h"
#include "os/target_path.h"

namespace holdfast {
namespace {

constexpr size_t kMaxHolders = 8;

std::string HoldersOfMount(const MountEntry& entry) {
  HeldThings things;
  things.mount_ids.insert(entry.id);
  std::vector<std::string> holders = FindHolders(things, kMaxHolders);
  if (holders.empty()) {
    // A copy that other namespaces got by propagation is busy in ours too; files that are only
    // mapped are seen by their filesystem.
    things.filesystem_device = entry.device;
    things.mapped_device = entry.device;
    holders = FindHolders(things, kMaxHolders);
  }
  std::string names;
  for (const std::string& holder : holders) names += (names.empty() ? "" : ", ") + holder;
  return names.empty() ? "somebody who cannot be found" : names;
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
    if (umount2(place.c_str(), UMOUNT_NOFOLLOW) != 0) {
      if (errno != EBUSY) return ErrnoStatus(errno, "umount", target);
      return absl::FailedPreconditionError(fmt::format(
          "umount {}: is held by {}; end that and try again", target, HoldersOfMount(*before)));
    }
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
  HeldThings things;
  // The filesystem's and, of a raw block volume, the device's own users.
  things.filesystem_device = loop.device;
  things.node_device = loop.device;
  std::vector<std::string> holders = FindMountsElsewhere(loop, kMaxHolders, things);
  for (std::string& holder : FindHolders(things, kMaxHolders)) {
    if (holders.size() >= kMaxHolders) break;
    if (std::find(holders.begin(), holders.end(), holder) == holders.end()) {
      holders.push_back(std::move(holder));
    }
  }
  return holders;
}

}  // namespace holdfast
