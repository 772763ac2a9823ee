// Filesystems inside images. Child programs are found at start in fixed places; never a shell.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "os/loops.h"
#include "os/unique_fd.h"
#include "volume/root_attributes.h"
#include "volume/volume.h"

namespace holdfast {

struct FormatOptions {
  Content content = Content::kExt4;
  std::string uuid;
};

// What the superblock says, read by us with its checksum verified, and by libblkid as a second
// opinion.
struct Superblock {
  Content content = Content::kExt4;
  std::string uuid;
  uint64_t size_bytes = 0;
  bool needs_recovery = false;  // its log or journal is not empty (XFS: cannot be told, true)
  bool has_errors = false;      // the kernel recorded an error in it
};

// What a mounted filesystem lies on.
struct MountedDevice {
  std::string path;          // "/dev/loop3", "/dev/vda"
  std::optional<Loop> loop;  // when it is a loop device
};

struct Usage {
  uint64_t total_bytes = 0, used_bytes = 0, available_bytes = 0;
  uint64_t total_inodes = 0, used_inodes = 0, available_inodes = 0;  // 0 in all: has no inode table
};

class Filesystems {
 public:
  virtual ~Filesystems() = default;

  // mkfs with an explicit feature set, 4096-byte blocks, never a force flag. The image must have
  // no data: FAILED_PRECONDITION otherwise. Durable when the image is synced afterwards.
  virtual absl::Status Format(const UniqueFd& image, const FormatOptions& options) = 0;
  // nullopt: zeroes where a superblock would be. DATA_LOSS: something, but not one intact
  // filesystem of a kind we know (checksum, ambivalent, damaged, unreadable).
  virtual absl::StatusOr<std::optional<Superblock>> Identify(const UniqueFd& image) = 0;
  // The devices of mounted filesystems of that kind whose superblock has that UUID: in whatever
  // mount namespace, detached mounts too.
  virtual absl::StatusOr<std::vector<MountedDevice>> MountedWithUuid(Content content,
                                                                     const std::string& uuid) = 0;
  // Gives an unmounted filesystem, its log replayed, another UUID, and reads it back.
  virtual absl::Status SetFilesystemUuid(const UniqueFd& image, Content content,
                                         const std::string& uuid) = 0;
  // Full read-only check (e2fsck -fn, xfs_repair -n, btrfs check). DATA_LOSS with the first line
  // of what was found; UNAVAILABLE when the check could not run to its end.
  virtual absl::Status CheckFilesystem(const UniqueFd& image, Content content) = 0;
  // ext4 only (resize2fs): to the size of the image. xfs and btrfs grow mounted.
  virtual absl::Status GrowUnmounted(const UniqueFd& image, Content content) = 0;
  // Whether this host lets `content` grow while mounted (ext4 needs CAP_SYS_RESOURCE).
  virtual bool CanGrowMounted(Content content) = 0;
  // To the size of its device. `root`: any fd of the mount's root, O_PATH too.
  virtual absl::Status GrowMounted(const UniqueFd& root, Content content) = 0;

  // `root` as above. syncfs, then FIFREEZE. Writers block, unkillable, until Thaw.
  virtual absl::Status Freeze(const UniqueFd& root) = 0;
  // true: thawed; false: it was not frozen (any more).
  virtual absl::StatusOr<bool> Thaw(const UniqueFd& root) = 0;
  // The same through whichever mount of the filesystem with that device opens, wherever it lies in
  // our mount namespace. False also when it is mounted nowhere. FAILED_PRECONDITION when other
  // mounts cover all of its.
  virtual absl::StatusOr<bool> ThawDevice(uint64_t device) = 0;

  // ext4 and XFS: shuts down (FS_IOC_SHUTDOWN): what was acknowledged is on the disk, every later
  // write and fsync fails and keeps failing until the last unmount. What was not acknowledged is
  // dropped on XFS and written on ext4, so that its device wants a limit of what may be dirty
  // (LimitDirty). OK too when it was shut down before. Any other filesystem: FAILED_PRECONDITION,
  // and it goes on.
  virtual absl::Status ShutDown(const UniqueFd& root) = 0;

  virtual absl::StatusOr<RootAttributes> ReadRoot(const UniqueFd& root) = 0;
  // At creation only.
  virtual absl::Status SetRoot(const UniqueFd& root, std::optional<uint32_t> mode,
                               std::optional<Owner> owner) = 0;
  virtual absl::StatusOr<Usage> ReadUsage(const UniqueFd& root) = 0;
  // Flushes everything dirty of the filesystem.
  virtual absl::Status SyncMounted(const UniqueFd& root) = 0;
  // FITRIM: what is unused of those bytes of the filesystem is punched out of what lies below it.
  virtual absl::Status Trim(const UniqueFd& root, uint64_t start, uint64_t length) = 0;
};

}  // namespace holdfast
