// Making mounts that nobody sees yet.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/btrfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>

#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/fd_name.h"
#include "os/kernel_calls.h"
#include "os/linux_host.h"
#include "os/mounted_root.h"

namespace holdfast {
namespace {

using Option = MountFlags::Option;

// What the kernel wrote into the context's log: "e ext4: Unknown parameter 'x'" and the like.
std::string KernelWords(const UniqueFd& context) {
  std::string words;
  char message[1024];
  // One message a read; ENODATA ends it. The kernel keeps eight.
  for (int i = 0; i < 8; ++i) {
    const ssize_t length = read(context.get(), message, sizeof(message));
    if (length <= 0) break;
    std::string_view line(message, length);
    while (!line.empty() && line.back() == '\n') line.remove_suffix(1);
    words += fmt::format("{}{}", words.empty() ? "; the kernel says: " : ", ", line);
  }
  return words;
}

absl::Status Refused(int error, const UniqueFd& context, std::string_view call, const Loop& loop) {
  absl::StatusCode code = CodeOfErrno(error);
  if (error == EINVAL || error == EBUSY || error == EROFS || error == EOPNOTSUPP ||
      error == EACCES || error == EEXIST) {
    code = absl::StatusCode::kFailedPrecondition;
  }
  const absl::Status plain = ErrnoStatusAs(code, error, call, loop.path);
  return absl::Status(code, std::string(plain.message()) + KernelWords(context));
}

// Ours first, so that a lawful choice of the user's (commit=30) stands; refusing unlawful ones is
// the layers' above. What keeps blocks allocated comes last.
std::vector<Option> FilesystemOptions(const Loop& loop, const MountOptions& options) {
  std::vector<Option> all;
  const MountFlags& flags = options.flags;
  if (flags.read_only || loop.read_only) all.push_back({"ro", std::nullopt});
  if (flags.synchronous) all.push_back({"sync", std::nullopt});
  if (flags.dir_synchronous) all.push_back({"dirsync", std::nullopt});
  if (options.content == Content::kExt4) {
    all.push_back({"errors", "remount-ro"});
    // In so many words: the image may name others as its defaults (tune2fs -o).
    all.push_back({"barrier", "1"});
    if (options.without_log) {
      all.push_back({"noload", std::nullopt});
    } else {
      all.push_back({"data", "ordered"});
      all.push_back({"data_err", "abort"});
    }
  }
  // Its workload may have made another subvolume the default one; the volume's root stays its root.
  if (options.content == Content::kBtrfs) all.push_back({"subvolid", "5"});
  if (options.content == Content::kXfs && options.private_clone) {
    all.push_back({"nouuid", std::nullopt});
  }
  // ext4 and XFS are trimmed on a schedule (node/trim_volumes.cc): their "discard" trims in
  // the path of every commit. btrfs has an asynchronous one.
  if (options.content == Content::kBtrfs && options.discard) all.push_back({"discard", "async"});
  all.insert(all.end(), flags.filesystem_options.begin(), flags.filesystem_options.end());
  if (options.content == Content::kBtrfs && !options.discard) {
    all.push_back({"nodiscard", std::nullopt});
  }
  return all;
}

uint64_t AtimeAttribute(const MountFlags& flags) {
  if (flags.atime == "noatime") return MOUNT_ATTR_NOATIME;
  if (flags.atime == "strictatime") return MOUNT_ATTR_STRICTATIME;
  return MOUNT_ATTR_RELATIME;
}

uint64_t MountAttributes(const MountFlags& flags) {
  return (flags.read_only ? MOUNT_ATTR_RDONLY : 0) | (flags.no_exec ? MOUNT_ATTR_NOEXEC : 0) |
         (flags.no_dir_atime ? MOUNT_ATTR_NODIRATIME : 0) | AtimeAttribute(flags);
}

absl::Status WrongDevice(const Loop& loop, const std::string& found) {
  return absl::InternalError(
      fmt::format("mount of {}: expected its filesystem, found that of {}", loop.path, found));
}

// btrfs has device numbers of its own, and finds its devices itself: ask which one it took.
absl::Status CheckBtrfsDevice(const UniqueFd& mount, const Loop& loop) {
  ASSIGN_OR_RETURN(const UniqueFd folder, OpenRoot(mount));
  btrfs_ioctl_fs_info_args filesystem = {};
  if (ioctl(folder.get(), BTRFS_IOC_FS_INFO, &filesystem) != 0) {
    return ErrnoStatus(errno, "BTRFS_IOC_FS_INFO", loop.path);
  }
  if (filesystem.num_devices != 1) {
    return WrongDevice(loop, fmt::format("{} devices", filesystem.num_devices));
  }
  btrfs_ioctl_dev_info_args device = {};
  device.devid = filesystem.max_id;
  if (ioctl(folder.get(), BTRFS_IOC_DEV_INFO, &device) != 0) {
    return ErrnoStatus(errno, "BTRFS_IOC_DEV_INFO", loop.path);
  }
  const std::string path = reinterpret_cast<const char*>(device.path);
  struct stat facts;
  if (stat(path.c_str(), &facts) != 0) return ErrnoStatus(errno, "stat", path);
  return facts.st_rdev == loop.device ? absl::OkStatus() : WrongDevice(loop, path);
}

absl::Status CheckDevice(const UniqueFd& mount, const Loop& loop, Content content) {
  if (content == Content::kBtrfs) return CheckBtrfsDevice(mount, loop);
  struct stat facts;
  if (fstat(mount.get(), &facts) != 0) return ErrnoStatus(errno, "stat", loop.path);
  if (facts.st_dev == loop.device) return absl::OkStatus();
  return WrongDevice(loop, fmt::format("device {:#x}", facts.st_dev));
}

}  // namespace

absl::StatusOr<UniqueFd> LinuxHost::MountDetached(const Loop& loop, const MountOptions& options) {
  if (options.content == Content::kBlock) {
    return absl::InvalidArgumentError("mount: a raw block volume has no filesystem");
  }
  const UniqueFd context(fsopen(ContentName(options.content), FSOPEN_CLOEXEC));
  if (!context.valid()) return ErrnoStatus(errno, "fsopen", ContentName(options.content));
  if (fsconfig(context.get(), FSCONFIG_SET_STRING, "source", loop.path.c_str(), 0) != 0) {
    return Refused(errno, context, "fsconfig source", loop);
  }
  for (const Option& option : FilesystemOptions(loop, options)) {
    const bool has_value = option.value.has_value();
    if (fsconfig(context.get(), has_value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
                 option.name.c_str(), has_value ? option.value->c_str() : nullptr, 0) != 0) {
      return Refused(errno, context, fmt::format("mount option {}", option.name), loop);
    }
  }
  const fsconfig_command create =
      has_exclusive_creation_ ? kFsconfigCreateExclusive : FSCONFIG_CMD_CREATE;
  if (fsconfig(context.get(), create, nullptr, nullptr, 0) != 0) {
    // A damaged tree is EIO to btrfs, where the others say EUCLEAN or EBADMSG.
    const bool damaged = errno == EIO && options.content == Content::kBtrfs;
    return Refused(damaged ? EUCLEAN : errno, context, "mount", loop);
  }
  MountFlags flags = options.flags;
  flags.read_only = flags.read_only || loop.read_only;
  UniqueFd mount(fsmount(context.get(), FSMOUNT_CLOEXEC,
                         MountAttributes(flags) | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  if (!mount.valid()) return Refused(errno, context, "fsmount", loop);
  RETURN_IF_ERROR(CheckDevice(mount, loop, options.content));
  return mount;
}

absl::StatusOr<UniqueFd> LinuxHost::CloneMount(const UniqueFd& mount, const MountFlags& flags) {
  UniqueFd clone(open_tree(mount.get(), "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!clone.valid()) return ErrnoStatus(errno, "open_tree", "mount");
  struct mount_attr attributes = {};
  attributes.attr_set = MountAttributes(flags) | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  attributes.attr_clr = MOUNT_ATTR__ATIME;  // what the flags do not name stays as staged
  if (!flags.atime.has_value()) attributes.attr_clr = 0;
  // A clone is a peer of what it was cloned from: what one pod mounts in its volume would show in
  // the staged mount and in every other pod. Where it is moved, it joins its surroundings.
  attributes.propagation = MS_PRIVATE;
  if (mount_setattr(clone.get(), "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) != 0) {
    return ErrnoStatus(errno, "mount_setattr", "clone");
  }
  return clone;
}

absl::StatusOr<bool> LinuxHost::IsReadOnly(const UniqueFd& mount) {
  struct statvfs facts;
  if (fstatvfs(mount.get(), &facts) != 0) return ErrnoStatus(errno, "fstatvfs", FdName(mount));
  return (facts.f_flag & ST_RDONLY) != 0;
}

absl::StatusOr<UniqueFd> LinuxHost::CloneDevice(const Loop& loop) {
  UniqueFd clone(open_tree(AT_FDCWD, loop.path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!clone.valid()) return ErrnoStatus(errno, "open_tree", loop.path);
  struct stat facts;
  if (fstat(clone.get(), &facts) != 0) return ErrnoStatus(errno, "stat", loop.path);
  if (!S_ISBLK(facts.st_mode) || facts.st_rdev != loop.device) {
    return absl::InternalError(
        fmt::format("{}: expected the node of that loop device, found another", loop.path));
  }
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  attributes.attr_clr = MOUNT_ATTR_NODEV;
  attributes.propagation = MS_PRIVATE;
  if (mount_setattr(clone.get(), "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) != 0) {
    return ErrnoStatus(errno, "mount_setattr", loop.path);
  }
  return clone;
}

}  // namespace holdfast
