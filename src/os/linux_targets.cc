// Targets: what is at a path, and showing mounts there.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/kernel_calls.h"
#include "os/linux_host.h"
#include "os/mount_identity.h"
#include "os/mount_table.h"
#include "os/target_path.h"

namespace holdfast {
namespace {

absl::Status WrongKind(const std::string& target, TargetKind wanted) {
  return absl::InvalidArgumentError(
      fmt::format("target {}: expected a {}, found something else; remove it", target,
                  wanted == TargetKind::kFolder ? "folder" : "file"));
}

absl::Status NotAMount(const std::string& target) {
  return absl::FailedPreconditionError(
      fmt::format("target {}: expected a mount, found none", target));
}

// A folder goes onto a folder and a device onto a file: the kernel's refusal says neither.
absl::Status CheckSameKind(const UniqueFd& mount, const UniqueFd& place,
                           const std::string& target) {
  struct stat shown, covered;
  if (fstat(mount.get(), &shown) != 0) return ErrnoStatus(errno, "stat", "mount");
  if (fstat(place.get(), &covered) != 0) return ErrnoStatus(errno, "stat", target);
  if (S_ISDIR(shown.st_mode) == S_ISDIR(covered.st_mode)) return absl::OkStatus();
  return WrongKind(target, S_ISDIR(shown.st_mode) ? TargetKind::kFolder : TargetKind::kFile);
}

// What a loop device shows beneath a target root is a volume, and nothing is changed in one: not
// by a folder for a target, not by a mount. The root itself may lie wherever it likes.
absl::Status CheckOutsideVolumes(const TargetPath& path, const UniqueFd& parent) {
  ASSIGN_OR_RETURN(const UniqueFd root, OpenTargetRoot(path));
  ASSIGN_OR_RETURN(const MountIdentity beneath, IdentifyMount(root));
  ASSIGN_OR_RETURN(const MountIdentity found, IdentifyMount(parent));
  if (found.id == beneath.id) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<MountEntry> table, ReadMountTable());
  for (const MountEntry& entry : table) {
    if (static_cast<uint64_t>(entry.id) != found.id || !ShowsAnyLoop(entry)) continue;
    return absl::FailedPreconditionError(
        fmt::format("target {}: expected a parent folder outside of every volume, found it in {} "
                    "mounted at {}; name another path",
                    path.given, entry.source, entry.target));
  }
  return absl::OkStatus();
}

// What is mounted further in would be covered: its own target would show something else, and nobody
// could unmount it.
absl::Status CheckCoversNothing(const TargetPath& path) {
  ASSIGN_OR_RETURN(const std::vector<MountEntry> table, ReadMountTable());
  const std::string beneath = path.Absolute() + "/";
  for (const MountEntry& entry : table) {
    if (entry.target.compare(0, beneath.size(), beneath) != 0) continue;
    return absl::FailedPreconditionError(fmt::format(
        "target {}: expected nothing mounted beneath it, found {} at {}, which would be "
        "covered; unmount that first",
        path.given, entry.source, entry.target));
  }
  return absl::OkStatus();
}

// What lies there would be hidden, and the target could not be removed after its unmount.
absl::Status CheckHidesNothing(LinuxHost& host, const TargetPath& path, const UniqueFd& place) {
  struct stat facts;
  if (fstat(place.get(), &facts) != 0) return ErrnoStatus(errno, "stat", path.given);
  std::string found;
  if (S_ISDIR(facts.st_mode)) {
    ASSIGN_OR_RETURN(const auto inside, host.ListFolder(place));
    if (inside.empty()) return absl::OkStatus();
    RETURN_IF_ERROR(CheckCoversNothing(path));
    found = fmt::format("'{}' in it", inside.front());
  } else if (S_ISREG(facts.st_mode)) {
    if (facts.st_size != 0) found = fmt::format("a file of {} bytes", facts.st_size);
  } else {
    found = "a device";
  }
  // What is in a mount stays there beneath the new one.
  ASSIGN_OR_RETURN(const MountIdentity identity, IdentifyMount(place));
  if (!S_ISREG(facts.st_mode) && identity.is_root.value_or(false)) found.clear();
  if (found.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "target {}: expected to be empty, found {}, which would be hidden; look at it and "
      "move it away",
      path.given, found));
}

// The target's parent; a missing one is the caller's mistake.
absl::StatusOr<UniqueFd> RequireParent(const TargetPath& path) {
  absl::StatusOr<UniqueFd> parent = OpenTargetParent(path);
  if (absl::IsNotFound(parent.status())) {
    return absl::FailedPreconditionError(
        fmt::format("target {}: expected its parent folder to exist, found none", path.given));
  }
  if (parent.ok()) RETURN_IF_ERROR(CheckOutsideVolumes(path, *parent));
  return parent;
}

}  // namespace

absl::Status LinuxHost::MoveMount(const UniqueFd& mount, const std::string& target) {
  ASSIGN_OR_RETURN(const TargetPath path, ParseTarget(target_roots_, target));
  ASSIGN_OR_RETURN(const MountIdentity wanted, IdentifyMount(mount));
  {
    absl::StatusOr<UniqueFd> place = OpenTarget(path);
    if (absl::IsNotFound(place.status())) {
      return absl::FailedPreconditionError(fmt::format(
          "target {}: expected to exist, found nothing; whoever calls (kubelet) makes it "
          "first",
          target));
    }
    RETURN_IF_ERROR(place.status());
    RETURN_IF_ERROR(RequireParent(path).status());
    RETURN_IF_ERROR(CheckSameKind(mount, *place, target));
    RETURN_IF_ERROR(CheckHidesNothing(*this, path, *place));
    if (move_mount(mount.get(), "", place->get(), "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
      return ErrnoStatus(errno, "move_mount", target);
    }
  }
  // What a stranger who opens the path now would get.
  ASSIGN_OR_RETURN(const UniqueFd shown, OpenTarget(path));
  ASSIGN_OR_RETURN(const MountIdentity found, IdentifyMount(shown));
  if (found.id != wanted.id) {
    return absl::InternalError(
        fmt::format("target {}: expected mount {} on top, found {}", target, wanted.id, found.id));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<MountEntry>> LinuxHost::MountedAt(const std::string& target) {
  ASSIGN_OR_RETURN(const TargetPath path, ParseTarget(target_roots_, target));
  absl::StatusOr<UniqueFd> place = OpenTarget(path);
  if (absl::IsNotFound(place.status())) return std::optional<MountEntry>();
  RETURN_IF_ERROR(place.status());
  ASSIGN_OR_RETURN(const MountIdentity identity, IdentifyMount(*place));
  if (identity.is_root == false) return std::optional<MountEntry>();
  ASSIGN_OR_RETURN(std::vector<MountEntry> table, ReadMountTable());
  for (MountEntry& entry : table) {
    if (static_cast<uint64_t>(entry.id) == identity.id && entry.target == path.Absolute()) {
      entry.visible = true;
      return std::optional<MountEntry>(std::move(entry));
    }
  }
  return std::optional<MountEntry>();
}

absl::StatusOr<bool> LinuxHost::IsVisible(const MountEntry& entry) const {
  const absl::StatusOr<TargetPath> path = ParseTarget(target_roots_, entry.target);
  if (!path.ok()) return false;  // outside of kubelet's folders: nobody's staging path or target
  absl::StatusOr<UniqueFd> place = OpenTarget(*path);
  if (absl::IsNotFound(place.status()) || absl::IsInvalidArgument(place.status())) return false;
  RETURN_IF_ERROR(place.status());
  ASSIGN_OR_RETURN(const MountIdentity identity, IdentifyMount(*place));
  return static_cast<uint64_t>(entry.id) == identity.id;
}

absl::StatusOr<std::vector<MountEntry>> LinuxHost::MountsOf(const Loop& loop) {
  ASSIGN_OR_RETURN(std::vector<MountEntry> table, ReadMountTable());
  std::vector<MountEntry> found;
  for (MountEntry& entry : table) {
    if (!ShowsLoop(entry, loop)) continue;
    ASSIGN_OR_RETURN(entry.visible, IsVisible(entry));
    found.push_back(std::move(entry));
  }
  return found;
}

absl::StatusOr<UniqueFd> LinuxHost::OpenMount(const std::string& target) {
  ASSIGN_OR_RETURN(const TargetPath path, ParseTarget(target_roots_, target));
  absl::StatusOr<UniqueFd> place = OpenTarget(path);
  if (absl::IsNotFound(place.status())) return NotAMount(target);
  RETURN_IF_ERROR(place.status());
  ASSIGN_OR_RETURN(const MountIdentity identity, IdentifyMount(*place));
  if (identity.is_root == false) return NotAMount(target);
  if (!identity.is_root.has_value()) {
    ASSIGN_OR_RETURN(const std::optional<MountEntry> entry, MountedAt(target));
    if (!entry.has_value()) return NotAMount(target);
  }
  return place;
}

absl::StatusOr<FolderPlace> LinuxHost::PlaceOf(const UniqueFd& folder) {
  char path[PATH_MAX];
  const std::string link = fmt::format("/proc/self/fd/{}", folder.get());
  const ssize_t length = readlink(link.c_str(), path, sizeof(path));
  if (length <= 0) return ErrnoStatus(errno, "readlink", link);
  FolderPlace place{.path = std::string(path, length), .mount = {}};
  ASSIGN_OR_RETURN(const MountIdentity identity, IdentifyMount(folder));
  ASSIGN_OR_RETURN(const std::vector<MountEntry> table, ReadMountTable());
  for (const MountEntry& entry : table) {
    if (static_cast<uint64_t>(entry.id) != identity.id) continue;
    place.mount = entry;
    return place;
  }
  return absl::NotFoundError(
      fmt::format("{}: expected its mount in this process's table, found none", place.path));
}

absl::Status LinuxHost::EnsureTarget(const std::string& target, TargetKind kind) {
  ASSIGN_OR_RETURN(const TargetPath path, ParseTarget(target_roots_, target));
  ASSIGN_OR_RETURN(const UniqueFd parent, RequireParent(path));
  const std::string name = path.Name();
  int made = -1;
  if (kind == TargetKind::kFolder) {
    made = mkdirat(parent.get(), name.c_str(), 0750);
  } else {
    const UniqueFd file(openat(parent.get(), name.c_str(),
                               O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640));
    made = file.valid() ? 0 : -1;
  }
  if (made == 0) return absl::OkStatus();
  if (errno != EEXIST) return ErrnoStatus(errno, "make target", target);
  ASSIGN_OR_RETURN(const UniqueFd place, OpenTarget(path));
  struct stat facts;
  if (fstat(place.get(), &facts) != 0) return ErrnoStatus(errno, "stat", target);
  // A published block volume shows its device where the file was.
  const bool right = kind == TargetKind::kFolder ? S_ISDIR(facts.st_mode)
                                                 : S_ISREG(facts.st_mode) || S_ISBLK(facts.st_mode);
  return right ? absl::OkStatus() : WrongKind(target, kind);
}

absl::Status LinuxHost::RemoveTarget(const std::string& target) {
  ASSIGN_OR_RETURN(const std::optional<MountEntry> mounted, MountedAt(target));
  if (mounted.has_value()) {
    return absl::FailedPreconditionError(
        fmt::format("target {}: expected no mount, found {} mounted", target, mounted->source));
  }
  ASSIGN_OR_RETURN(const TargetPath path, ParseTarget(target_roots_, target));
  absl::StatusOr<UniqueFd> parent = OpenTargetParent(path);
  if (absl::IsNotFound(parent.status())) return absl::OkStatus();
  RETURN_IF_ERROR(parent.status());
  const std::string name = path.Name();
  struct stat facts;
  if (fstatat(parent->get(), name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, "stat", target);
  }
  RETURN_IF_ERROR(CheckOutsideVolumes(path, *parent));
  const bool folder = S_ISDIR(facts.st_mode);
  if (!folder && (!S_ISREG(facts.st_mode) || facts.st_size != 0)) {
    return absl::FailedPreconditionError(fmt::format(
        "target {}: expected an empty folder or file, found something else; look at it", target));
  }
  if (unlinkat(parent->get(), name.c_str(), folder ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  const bool refused = errno == ENOTEMPTY || errno == EEXIST || errno == EBUSY;
  return ErrnoStatusAs(refused ? absl::StatusCode::kFailedPrecondition : CodeOfErrno(errno), errno,
                       "remove target", target);
}

absl::StatusOr<std::string> LinuxHost::ResolveTarget(const std::string& target) {
  RETURN_IF_ERROR(TargetExists(target).status());
  ASSIGN_OR_RETURN(const TargetPath path, ParseTarget(target_roots_, target));
  return path.Absolute();
}

absl::StatusOr<bool> LinuxHost::TargetExists(const std::string& target) {
  ASSIGN_OR_RETURN(const TargetPath path, ParseTarget(target_roots_, target));
  const absl::StatusOr<UniqueFd> place = OpenTarget(path);
  if (absl::IsNotFound(place.status())) return false;
  RETURN_IF_ERROR(place.status());
  return true;
}

}  // namespace holdfast
