// Mounts, made by fd: detached first, checked, then moved into place.
//
// Target paths are absolute, lie beneath one of the roots the host was made with (kubelet's), and
// are opened with openat2(RESOLVE_NO_SYMLINKS): INVALID_ARGUMENT when they do not or a component
// is a symbolic link. Nothing is made, shown or removed at a target whose parent folder lies in a
// filesystem that a loop device shows beneath the root, which is a volume: FAILED_PRECONDITION.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "os/loops.h"
#include "os/unique_fd.h"
#include "volume/volume.h"

namespace holdfast {

// Mount flags of a StorageClass or PV, taken apart by libmount.
struct MountFlags {
  bool read_only = false;
  bool no_exec = false;
  std::optional<std::string> atime;  // "noatime", "relatime", "strictatime"
  bool no_dir_atime = false;
  bool synchronous = false;      // "sync"
  bool dir_synchronous = false;  // "dirsync"
  // Of the filesystem itself: ("discard", nullopt), ("commit", "5"), ("context", "…,…").
  struct Option {
    std::string name;
    std::optional<std::string> value;
    bool operator==(const Option&) const = default;
  };
  std::vector<Option> filesystem_options;
  bool operator==(const MountFlags&) const = default;
};

// INVALID_ARGUMENT when libmount cannot parse it. Says nothing about which are allowed.
absl::StatusOr<MountFlags> ParseMountFlags(const std::vector<std::string>& flags);

struct MountOptions {
  MountFlags flags;  // nosuid and nodev are always set
  Content content = Content::kExt4;
  // What is freed in it goes back to the pool; if not, btrfs is mounted with nodiscard, for its
  // default is async.
  bool discard = false;
  // Only for the engine's private clones: an XFS whose UUID is not yet its own.
  bool private_clone = false;
  // Only for the engine's look at what mkfs has just made: an ext4 without its journal's thread.
  bool without_log = false;
};

struct MountEntry {
  int id = 0;
  int parent_id = 0;  // of the mount that it stands on
  std::string target;
  std::string root;        // of the mount within its filesystem; "/loop3" for a bound device node
  std::string type;        // "ext4", "devtmpfs", …
  std::string source;      // "/dev/loop3"
  uint64_t device = 0;     // st_dev; on btrfs not the loop's
  bool read_only = false;  // the mount
  bool no_exec = false;
  bool no_dir_atime = false;
  std::string atime;  // of the mount: "noatime", "relatime", "strictatime"
  bool filesystem_read_only = false;
  std::string options;   // of the filesystem, as the kernel prints them
  bool visible = false;  // a stranger who opens `target` gets this mount: nothing covers it
};

// Where a folder lies.
struct FolderPlace {
  std::string path;  // without symbolic links, as this process sees it
  MountEntry mount;  // that holds it
};

enum class TargetKind { kFolder, kFile };

class Mounts {
 public:
  virtual ~Mounts() = default;

  // fsopen, fsconfig (exclusive creation where the kernel has it), fsmount: a mount nobody sees.
  // Gone when the fd is closed. ext4 gets errors=remount-ro,data_err=abort. DATA_LOSS when the
  // kernel calls the filesystem corrupt; FAILED_PRECONDITION with the kernel's words (fsopen's
  // message log) when it refuses an option; checks that the mount's device is the loop.
  virtual absl::StatusOr<UniqueFd> MountDetached(const Loop& loop, const MountOptions& options) = 0;
  // open_tree(OPEN_TREE_CLONE) of a mount's root, then mount_setattr. Detached as above.
  virtual absl::StatusOr<UniqueFd> CloneMount(const UniqueFd& mount, const MountFlags& flags) = 0;
  // A detached bind of a device node, for block publishing.
  virtual absl::StatusOr<UniqueFd> CloneDevice(const Loop& loop) = 0;
  // Shows a detached mount at `target`, which exists. The last step of stage and publish.
  // FAILED_PRECONDITION when something lies or is mounted in there, which it would hide.
  virtual absl::Status MoveMount(const UniqueFd& mount, const std::string& target) = 0;

  // The topmost mount at exactly `target` in our mount namespace, nullopt when it is none.
  virtual absl::StatusOr<std::optional<MountEntry>> MountedAt(const std::string& target) = 0;
  // Every mount of that loop in our mount namespace: its filesystem's, and binds of its node. One
  // outside of the target roots is not looked at and not called visible.
  virtual absl::StatusOr<std::vector<MountEntry>> MountsOf(const Loop& loop) = 0;
  // Of any open folder, which need not lie beneath a target root. NOT_FOUND when its mount is not
  // in our mount namespace's table.
  virtual absl::StatusOr<FolderPlace> PlaceOf(const UniqueFd& folder) = 0;
  // An fd of the root of the mount at `target`; FAILED_PRECONDITION when it is no mount.
  virtual absl::StatusOr<UniqueFd> OpenMount(const std::string& target) = 0;
  // Whether the kernel refuses writes through that mount (statfs: the mount itself, or all of its
  // filesystem, is read-only).
  virtual absl::StatusOr<bool> IsReadOnly(const UniqueFd& mount) = 0;
  // umount2(UMOUNT_NOFOLLOW), never lazily. FAILED_PRECONDITION when busy: "… is held by postgres
  // (pid 4711)", or by a mount beneath, a loop device or swap on a file in there, a bound socket.
  // OK only when the entry is gone from the table.
  virtual absl::Status Unmount(const std::string& target) = 0;
  // Who else keeps the loop's filesystem or device alive in other mount namespaces or by open
  // files: "postgres (pid 4711)" each, at most 8. Empty when nobody can be found.
  virtual absl::StatusOr<std::vector<std::string>> HoldersOf(const Loop& loop) = 0;

  // Makes the target's last component when it is absent (0750 folder; empty file), its parent must
  // exist: FAILED_PRECONDITION. INVALID_ARGUMENT when there is something of the other kind.
  virtual absl::Status EnsureTarget(const std::string& target, TargetKind kind) = 0;
  // rmdir, or unlink of an empty regular file, of something that is no mount. OK when absent.
  // FAILED_PRECONDITION when a folder is not empty: nothing is ever removed recursively.
  virtual absl::Status RemoveTarget(const std::string& target) = 0;
  // The target as the mount table has it: without doubled slashes, its root's links resolved.
  // INVALID_ARGUMENT as said above; nothing is touched, and nothing need be there.
  virtual absl::StatusOr<std::string> ResolveTarget(const std::string& target) = 0;
  // Whether anything is there (a mount or not). False where a component is missing.
  virtual absl::StatusOr<bool> TargetExists(const std::string& target) = 0;

  // /proc/sys/kernel/random/boot_id.
  virtual absl::StatusOr<std::string> BootId() = 0;
};

}  // namespace holdfast
