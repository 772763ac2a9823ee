#include "node/presence.h"

#include <fmt/format.h>

#include "base/refusal.h"
#include "base/status_macros.h"
#include "engine/image/attached.h"

namespace holdfast {

const MountEntry* Presence::MountAt(const std::string& target) const {
  for (const MountEntry& mount : mounts) {
    const bool whole = mount.root == "/" || mount.type == "devtmpfs";
    if (mount.target == target && whole && mount.visible) return &mount;
  }
  return nullptr;
}

const MountEntry* Presence::WritableMount() const {
  for (const MountEntry& mount : mounts) {
    if (mount.root == "/" && !mount.read_only && mount.visible) return &mount;
  }
  return nullptr;
}

const MountEntry* Presence::MountElsewhere(const std::string& first,
                                           const std::string& second) const {
  for (const MountEntry& mount : mounts) {
    if (mount.target != first && mount.target != second) return &mount;
  }
  return nullptr;
}

absl::StatusOr<Presence> AskPresence(const Pool& pool, const Volume& volume) {
  Presence presence;
  ASSIGN_OR_RETURN(const auto loops, LoopsByInode(pool, volume));
  if (loops.empty()) return presence;
  if (loops.size() > 1) {
    return absl::FailedPreconditionError(
        Refusal{"image of volume " + volume.id, "attached once at most",
                fmt::format("attached as {} and {}", loops[0].path, loops[1].path),
                "detach the one that is not Holdfast's, then check the volume's data"}
            .Sentence());
  }
  presence.loop = loops.front();
  ASSIGN_OR_RETURN(presence.mounts, pool.host.MountsOf(*presence.loop));
  return presence;
}

absl::StatusOr<bool> IsBeingMade(Host& host, const Pool& pool, const MountedDevice& device) {
  if (!device.loop) return false;
  ASSIGN_OR_RETURN(const auto names, host.ListFolder(pool.work));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const auto image, host.OpenFile(pool.work, name, Access::kReadOnly));
    if (!image) continue;  // made and moved meanwhile
    ASSIGN_OR_RETURN(const FileFacts facts, host.Describe(*image));
    if (facts.device == device.loop->backing_device && facts.inode == device.loop->backing_inode) {
      return true;
    }
  }
  return false;
}

}  // namespace holdfast
