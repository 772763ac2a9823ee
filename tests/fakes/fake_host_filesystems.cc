// Filesystems in images of the simulated machine.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include <fmt/format.h>
#include "base/sizes.h"
#include "base/status_macros.h"
#include "tests/fakes/fake_host.h"

namespace holdfast {
namespace {

// What a mount, tool or check needs: exactly one intact filesystem, of that content.
absl::StatusOr<FakeSuperblock> Intact(const FakeInode& image, Content content, const char* call) {
  ASSIGN_OR_RETURN(auto superblock, ProbeSuperblock(image));
  if (!superblock || superblock->content != content) {
    return absl::FailedPreconditionError(
        fmt::format("{}: expected {} in the image, found {}", call, ContentName(content),
                    superblock ? ContentName(superblock->content) : "nothing"));
  }
  return *superblock;
}

}  // namespace

absl::Status FakeHost::Format(const UniqueFd& image, const FormatOptions& options) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, WritableFileOf("mkfs", image));
  if (options.content == Content::kBlock) {
    return absl::InvalidArgumentError("mkfs: a raw block volume has no filesystem");
  }
  const FakeInode& inode = *handle->inode;
  FakeDisk& disk = inode.pool->disk;
  if (disk.HasData(inode.file)) {
    return absl::FailedPreconditionError(
        "mkfs: expected an image without data, found data; it was never formatted over");
  }
  FakeSuperblock superblock;
  superblock.content = options.content;
  superblock.uuid = options.uuid;
  superblock.size_bytes = disk.Size(inode.file);
  superblock.root.inode = RootInode(options.content);
  superblock.root.birth_time = Now();
  superblock.root.change_time = superblock.root.birth_time;
  superblock.root.generation = static_cast<uint32_t>(superblock.root.birth_time.seconds);
  superblock.root.mode = 0755;
  return WriteSuperblock(inode, superblock);
}

absl::StatusOr<std::optional<Superblock>> FakeHost::Identify(const UniqueFd& image) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FileOf("identify", image));
  ASSIGN_OR_RETURN(auto found, ProbeSuperblock(*handle->inode));
  if (!found) return std::nullopt;
  const FakeInode& inode = *handle->inode;
  if (found->size_bytes > inode.pool->disk.Size(inode.file)) {
    return absl::DataLossError("superblock: the filesystem is larger than the image");
  }
  const bool needs_recovery = found->content == Content::kXfs || found->dirty;
  return Superblock{found->content, found->uuid, found->size_bytes, needs_recovery, found->errors};
}

absl::StatusOr<std::vector<MountedDevice>> FakeHost::MountedWithUuid(Content content,
                                                                     const std::string& uuid) {
  const auto lock = Enter();
  std::vector<MountedDevice> found;
  for (const LoopPtr& loop : LiveLoops()) {
    const auto super = loop->super.lock();
    if (!super || super->content != content) continue;
    const auto superblock = ReadSuperblock(*loop->image, content);
    if (!superblock || superblock->uuid != uuid) continue;
    const Loop facts = Facts(*loop);
    found.push_back({.path = facts.path, .loop = facts});
  }
  return found;
}

absl::Status FakeHost::SetFilesystemUuid(const UniqueFd& image, Content content,
                                         const std::string& uuid) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, WritableFileOf("set uuid", image));
  ASSIGN_OR_RETURN(FakeSuperblock superblock, Intact(*handle->inode, content, "set uuid"));
  if (superblock.dirty) {
    return absl::FailedPreconditionError(
        "set uuid: expected an unmounted filesystem with its log replayed, found it dirty");
  }
  superblock.uuid = uuid;
  return WriteSuperblock(*handle->inode, superblock);
}

absl::Status FakeHost::CheckFilesystem(const UniqueFd& image, Content content) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FileOf("fsck", image));
  auto superblock = Intact(*handle->inode, content, "fsck");
  if (!superblock.ok()) return absl::DataLossError(superblock.status().message());
  if (superblock->dirty) {
    return absl::FailedPreconditionError("fsck: expected an empty log, found one to be replayed");
  }
  if (superblock->damaged) return absl::DataLossError("fsck: root directory is damaged");
  return absl::OkStatus();
}

absl::Status FakeHost::GrowUnmounted(const UniqueFd& image, Content content) {
  const auto lock = Enter();
  if (content != Content::kExt4) {
    return absl::InvalidArgumentError(
        fmt::format("grow: {} grows while it is mounted", ContentName(content)));
  }
  ASSIGN_OR_RETURN(FakeHandle * handle, WritableFileOf("resize2fs", image));
  const FakeInode& inode = *handle->inode;
  ASSIGN_OR_RETURN(FakeSuperblock superblock, Intact(inode, content, "resize2fs"));
  if (superblock.dirty) return absl::FailedPreconditionError("resize2fs: it was not unmounted");
  superblock.size_bytes = inode.pool->disk.Size(inode.file) / kBlockBytes * kBlockBytes;
  return WriteSuperblock(inode, superblock);
}

bool FakeHost::CanGrowMounted(Content content) {
  const auto lock = Enter();
  return content != Content::kExt4 || can_grow_ext4_mounted_;
}

absl::StatusOr<FakeHost::MountPtr> FakeHost::MountOf(const char* call, const UniqueFd& fd) {
  ASSIGN_OR_RETURN(FakeHandle * handle, Handle(call, fd));
  if (!handle->mount) return KernelError(call, "no mount", EINVAL);
  return handle->mount;
}

absl::StatusOr<std::pair<std::shared_ptr<FakeSuper>, FakeSuperblock>> FakeHost::SuperOf(
    const char* call, const UniqueFd& fd) {
  ASSIGN_OR_RETURN(MountPtr mount, MountOf(call, fd));
  if (!mount->super) return KernelError(call, "a device node", ENOTTY);
  if (mount->super->shut_down) return KernelError(call, "a filesystem that was shut down", EIO);
  auto superblock = ReadSuperblock(*mount->super->loop->image, mount->super->content);
  if (!superblock) return KernelError(call, "a mount", EUCLEAN);
  return std::make_pair(mount->super, *superblock);
}

absl::Status FakeHost::GrowMounted(const UniqueFd& root, Content content) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(auto mounted, SuperOf("grow", root));
  auto& [super, superblock] = mounted;
  if (content != super->content) return KernelError("grow", ContentName(content), ENOTTY);
  if (content == Content::kExt4 && !can_grow_ext4_mounted_) {
    return absl::FailedPreconditionError("EXT4_IOC_RESIZE_FS: expected CAP_SYS_RESOURCE");
  }
  if (super->read_only) return KernelError("grow", "a read-only mount", EROFS);
  superblock.size_bytes = std::max(superblock.size_bytes, super->loop->size_bytes);
  return WriteSuperblock(*super->loop->image, superblock);
}

absl::Status FakeHost::Freeze(const UniqueFd& root) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(auto mounted, SuperOf("FIFREEZE", root));
  auto& [super, superblock] = mounted;
  if (super->frozen) return KernelError("FIFREEZE", "a frozen filesystem", EBUSY);
  // ext4 and btrfs are clean on disk while frozen; XFS keeps a record in its log.
  if (superblock.content != Content::kXfs && !super->read_only) {
    superblock.dirty = false;
    RETURN_IF_ERROR(WriteSuperblock(*super->loop->image, superblock));
  }
  super->frozen = true;
  frozen_.push_back(super);
  return absl::OkStatus();
}

absl::StatusOr<bool> FakeHost::Thaw(const UniqueFd& root) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(auto mounted, SuperOf("FITHAW", root));
  return ThawSuper(mounted.first, mounted.second);
}

absl::StatusOr<bool> FakeHost::ThawSuper(const std::shared_ptr<FakeSuper>& super,
                                         FakeSuperblock superblock) {
  if (!super->frozen) return false;
  super->frozen = false;
  std::erase(frozen_, super);
  if (!super->read_only) {
    superblock.dirty = superblock.content != Content::kBtrfs;
    RETURN_IF_ERROR(WriteSuperblock(*super->loop->image, superblock));
  }
  return true;
}

absl::StatusOr<bool> FakeHost::ThawDevice(uint64_t device) {
  const auto lock = Enter();
  bool covered = false;
  for (const MountPtr& mount : table_) {
    if (!mount->super || Entry(*mount).device != device) continue;
    covered = true;
    if (TopmostAt(mount->target) != mount) continue;
    const auto superblock = ReadSuperblock(*mount->super->loop->image, mount->super->content);
    if (!superblock) return KernelError("FITHAW", "a mount", EUCLEAN);
    return ThawSuper(mount->super, *superblock);
  }
  if (covered) return absl::FailedPreconditionError("every mount of it is covered");
  return false;
}

absl::Status FakeHost::ShutDown(const UniqueFd& root) {
  auto lock = Enter();
  ASSIGN_OR_RETURN(MountPtr mount, MountOf("FS_IOC_SHUTDOWN", root));
  if (!mount->super) return KernelError("FS_IOC_SHUTDOWN", "a device node", ENOTTY);
  const Content content = mount->super->content;
  if (content != Content::kExt4 && content != Content::kXfs) {
    return absl::FailedPreconditionError(
        fmt::format("FS_IOC_SHUTDOWN: expected ext4 or xfs, found {}", ContentName(content)));
  }
  // The flush of what is dirty.
  while (content == Content::kExt4 && flushes_never_end_ && !mount->super->loop->IsCutOff()) {
    lock.unlock();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    lock.lock();
  }
  mount->super->shut_down = true;
  return absl::OkStatus();
}

absl::StatusOr<RootAttributes> FakeHost::ReadRoot(const UniqueFd& root) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(auto mounted, SuperOf("statx", root));
  return mounted.second.root;
}

absl::Status FakeHost::SetRoot(const UniqueFd& root, std::optional<uint32_t> mode,
                               std::optional<Owner> owner) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(MountPtr mount, MountOf("fchmod", root));
  ASSIGN_OR_RETURN(auto mounted, SuperOf("fchmod", root));
  auto& [super, superblock] = mounted;
  if (super->frozen) return absl::InternalError("fchmod: would hang, the filesystem is frozen");
  if (super->read_only || mount->read_only) return KernelError("fchmod", "the root", EROFS);
  if (!mode && !owner) return absl::OkStatus();
  if (super->loop->IsCutOff()) return KernelError("fsync", "a device that was cut off", EIO);
  if (mode) superblock.root.mode = *mode;
  if (owner) {
    superblock.root.owner = owner->uid;
    superblock.root.group = owner->gid;
  }
  superblock.root.change_time = Now();
  return WriteSuperblock(*super->loop->image, superblock);
}

absl::StatusOr<Usage> FakeHost::ReadUsage(const UniqueFd& root) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(auto mounted, SuperOf("fstatfs", root));
  const auto& [super, superblock] = mounted;
  Usage usage;
  usage.total_bytes = superblock.size_bytes;
  for (const Extent& extent : super->loop->image->pool->disk.Extents(super->loop->image->file)) {
    if (!extent.unwritten) usage.used_bytes += extent.length;
  }
  usage.available_bytes = SaturatingSubtract(usage.total_bytes, usage.used_bytes);
  if (superblock.content == Content::kBtrfs) return usage;
  usage.total_inodes = superblock.size_bytes / (16 * kKiB);
  usage.used_inodes = 11;
  usage.available_inodes = usage.total_inodes - usage.used_inodes;
  return usage;
}

// What lies in its filesystems is not modelled: nothing in them is unused.
absl::Status FakeHost::Trim(const UniqueFd& root, uint64_t, uint64_t) {
  const auto lock = Enter();
  return SuperOf("FITRIM", root).status();
}

absl::Status FakeHost::SyncMounted(const UniqueFd& root) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(const auto mounted, SuperOf("syncfs", root));
  if (mounted.first->loop->IsCutOff()) return KernelError("syncfs", "a device cut off", EIO);
  return absl::OkStatus();
}

}  // namespace holdfast
