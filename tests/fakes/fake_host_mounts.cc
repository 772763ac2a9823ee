// The mount table of the simulated machine, and the paths mounts are shown at.
#include <algorithm>
#include <array>
#include <cerrno>

#include <fmt/format.h>
#include "base/status_macros.h"
#include "tests/fakes/fake_host.h"

namespace holdfast {
namespace {

constexpr std::array kKnownOptions = {"discard", "nodiscard", "commit",  "context", "inode64",
                                      "largeio", "ssd",       "barrier", "stripe",  "compress"};

bool IsKnownOption(const MountFlags::Option& option) {
  return std::any_of(kKnownOptions.begin(), kKnownOptions.end(),
                     [&](const char* known) { return option.name == known; });
}

std::string OptionText(const MountOptions& options, bool read_only) {
  std::string text = read_only ? "ro" : "rw";
  if (options.content == Content::kExt4) text += ",errors=remount-ro,data_err=abort";
  if (options.content == Content::kBtrfs && !options.discard) text += ",nodiscard";
  if (options.discard) text += ",discard";
  if (options.private_clone) text += ",nouuid";
  for (const auto& option : options.flags.filesystem_options) {
    text += "," + option.name + (option.value ? "=" + *option.value : "");
  }
  return text;
}

}  // namespace

// --- Making mounts ------------------------------------------------------------------------------

absl::Status FakeHost::CheckMountable(const FakeLoop& loop, const FakeSuperblock& superblock,
                                      const MountOptions& options) {
  if (superblock.content != options.content) {
    return absl::FailedPreconditionError(fmt::format("fsconfig /dev/loop{}: wrong fs type, {}",
                                                     loop.number, ContentName(superblock.content)));
  }
  for (const auto& option : options.flags.filesystem_options) {
    if (IsKnownOption(option)) continue;
    return absl::FailedPreconditionError(
        fmt::format("fsconfig /dev/loop{}: Unknown parameter '{}'", loop.number, option.name));
  }
  if (!loop.super.expired()) {
    return absl::FailedPreconditionError(
        fmt::format("fsconfig /dev/loop{}: it is mounted already", loop.number));
  }
  if (superblock.size_bytes > loop.size_bytes) {
    return absl::FailedPreconditionError(
        fmt::format("fsconfig /dev/loop{}: the filesystem is larger than the device", loop.number));
  }
  if (superblock.dirty && loop.read_only) {  // the log would have to be replayed
    return absl::FailedPreconditionError(
        fmt::format("fsconfig /dev/loop{}: Read-only file system", loop.number));
  }
  if (superblock.content != Content::kXfs || options.private_clone) return absl::OkStatus();
  for (const LoopPtr& other : LiveLoops()) {
    const auto super = other->super.lock();
    if (!super || super->content != Content::kXfs) continue;
    if (super->options.find(",nouuid") != std::string::npos) continue;  // not in the kernel's list
    const auto mounted = ReadSuperblock(*other->image, Content::kXfs);
    if (mounted && mounted->uuid == superblock.uuid) {
      return absl::FailedPreconditionError(fmt::format(
          "fsconfig /dev/loop{}: Filesystem has duplicate UUID {}", loop.number, superblock.uuid));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> FakeHost::MountDetached(const Loop& loop, const MountOptions& options) {
  const auto lock = Enter();
  if (options.content == Content::kBlock) {
    return absl::InvalidArgumentError("mount: a raw block volume has no filesystem");
  }
  LoopPtr found = FindLoop(loop);
  if (!found) return KernelError("fsconfig", loop.path, ENXIO);
  ASSIGN_OR_RETURN(auto superblock, ProbeSuperblock(*found->image));
  if (!superblock) {
    return absl::FailedPreconditionError(
        fmt::format("fsconfig {}: Can't find a valid filesystem", loop.path));
  }
  RETURN_IF_ERROR(CheckMountable(*found, *superblock, options));
  const bool read_only = found->read_only || options.flags.read_only;
  auto super = std::make_shared<FakeSuper>(found, options.content, read_only);
  super->options = OptionText(options, read_only);
  if (!read_only) {  // a read-write mount replays the log and writes the superblock
    superblock->dirty = options.content != Content::kBtrfs;
    RETURN_IF_ERROR(WriteSuperblock(*found->image, *superblock));
  }
  found->super = super;
  auto mount = std::make_shared<FakeMount>();
  mount->id = next_mount_id_++;
  mount->super = std::move(super);
  mount->read_only = read_only;
  mount->flags = options.flags;
  return HandOut({.mount = std::move(mount)});
}

absl::StatusOr<UniqueFd> FakeHost::CloneMount(const UniqueFd& mount, const MountFlags& flags) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(MountPtr original, MountOf("open_tree", mount));
  auto clone = std::make_shared<FakeMount>(*original);
  clone->id = next_mount_id_++;
  clone->target.clear();
  clone->read_only = clone->read_only || flags.read_only;
  clone->flags = flags;
  clone->flags.no_exec = flags.no_exec || original->flags.no_exec;
  clone->flags.no_dir_atime = flags.no_dir_atime || original->flags.no_dir_atime;
  if (!flags.atime) clone->flags.atime = original->flags.atime;
  return HandOut({.mount = std::move(clone)});
}

absl::StatusOr<UniqueFd> FakeHost::CloneDevice(const Loop& loop) {
  const auto lock = Enter();
  if (!FindLoop(loop)) return KernelError("open_tree", loop.path, ENOENT);
  auto mount = std::make_shared<FakeMount>();
  mount->id = next_mount_id_++;
  mount->device_number = loop.number;
  return HandOut({.mount = std::move(mount)});
}

absl::Status FakeHost::MoveMount(const UniqueFd& mount, const std::string& target) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(MountPtr moved, MountOf("move_mount", mount));
  ASSIGN_OR_RETURN(Target place, Resolve(target));
  if (!place.inode) {
    return absl::FailedPreconditionError(
        fmt::format("target {}: expected to exist, found nothing", target));
  }
  RETURN_IF_ERROR(CheckOutsideVolumes(place));
  const bool folder = place.inode->kind == FakeInode::Kind::kFolder;
  if (folder != (moved->super != nullptr)) {
    return absl::InvalidArgumentError(fmt::format("move_mount {}: Not a directory", target));
  }
  for (const MountPtr& entry : table_) {
    if (entry->target.rfind(place.path + "/", 0) != 0) continue;
    return absl::FailedPreconditionError(
        fmt::format("target {}: would cover the mount at {}", target, entry->target));
  }
  if (folder && !place.inode->entries.empty()) {
    return absl::FailedPreconditionError(
        fmt::format("target {}: would hide '{}'", target, place.inode->entries.begin()->first));
  }
  if (!moved->target.empty()) return KernelError("move_mount", target, EINVAL);
  moved->target = place.path;
  table_.push_back(moved);
  return absl::OkStatus();
}

// --- The table ----------------------------------------------------------------------------------

FakeHost::MountPtr FakeHost::TopmostAt(const std::string& target) {
  const auto mount = std::find_if(table_.rbegin(), table_.rend(),
                                  [&](const MountPtr& entry) { return entry->target == target; });
  return mount == table_.rend() ? nullptr : *mount;
}

MountEntry FakeHost::Entry(const FakeMount& mount) {
  MountEntry entry;
  entry.id = mount.id;
  entry.target = mount.target;
  entry.read_only = mount.read_only;
  entry.no_exec = mount.flags.no_exec;
  entry.no_dir_atime = mount.flags.no_dir_atime;
  entry.atime = mount.flags.atime.value_or("relatime");
  if (!mount.super) {
    entry.root = fmt::format("/loop{}", mount.device_number);
    entry.type = "devtmpfs";
    entry.source = "devtmpfs";
    entry.device = 6;
    entry.options = "rw";
    return entry;
  }
  const Loop loop = Facts(*mount.super->loop);
  entry.root = "/";
  entry.type = ContentName(mount.super->content);
  entry.source = loop.path;
  entry.device = mount.super->content == Content::kBtrfs ? 0x100 + loop.number : loop.device;
  entry.filesystem_read_only = mount.super->read_only;
  entry.options = mount.super->options;
  return entry;
}

absl::StatusOr<std::optional<MountEntry>> FakeHost::MountedAt(const std::string& target) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(const Target place, Resolve(target));
  const MountPtr mount = TopmostAt(place.path);
  if (!mount) return std::nullopt;
  MountEntry entry = Entry(*mount);
  entry.visible = true;
  return entry;
}

absl::StatusOr<std::vector<MountEntry>> FakeHost::MountsOf(const Loop& loop) {
  const auto lock = Enter();
  std::vector<MountEntry> entries;
  for (const MountPtr& mount : table_) {
    const int number = mount->super ? mount->super->loop->number : mount->device_number;
    if (number != loop.number) continue;
    entries.push_back(Entry(*mount));
    entries.back().visible = TopmostAt(mount->target) == mount;
  }
  return entries;
}

absl::StatusOr<FolderPlace> FakeHost::PlaceOf(const UniqueFd& folder) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FolderOf("statx", folder));
  const FakePool* const pool = handle->inode->pool;
  FolderPlace place{.path = PathOf(handle->inode.get()), .mount = {}};
  place.mount.type = pool->type;
  place.mount.device = pool->device;
  place.mount.root = "/";
  // The filesystem is mounted at the first folder from the root that is of it.
  place.mount.target = place.path;
  for (size_t slash = place.path.find('/', 1);; slash = place.path.find('/', slash + 1)) {
    const std::string above = place.path.substr(0, slash);
    const InodePtr inode = Walk(above);
    if (inode != nullptr && inode->pool == pool) {
      place.mount.target = above;
      break;
    }
    if (slash == std::string::npos) break;
  }
  place.mount.source = "/dev/fake-disk";
  return place;
}

absl::StatusOr<UniqueFd> FakeHost::OpenMount(const std::string& target) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(const Target place, Resolve(target));
  MountPtr mount = TopmostAt(place.path);
  if (!mount) return absl::FailedPreconditionError(fmt::format("{} is no mount", target));
  return HandOut({.mount = std::move(mount)});
}

absl::StatusOr<bool> FakeHost::IsReadOnly(const UniqueFd& mount) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(const MountPtr shown, MountOf("fstatvfs", mount));
  return shown->read_only || (shown->super && shown->super->read_only);
}

absl::Status FakeHost::Unmount(const std::string& target) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(const Target place, Resolve(target));
  const MountPtr mount = TopmostAt(place.path);
  if (!mount) return absl::OkStatus();
  const auto busy = busy_.find(place.path);
  const bool ours = std::any_of(handles_.begin(), handles_.end(),
                                [&](const auto& entry) { return entry.second.mount == mount; });
  if (ours || busy != busy_.end()) {
    return absl::FailedPreconditionError(
        fmt::format("{} is held by {}", target, ours ? "this process" : busy->second));
  }
  std::erase(table_, mount);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FakeHost::HoldersOf(const Loop& loop) {
  const auto lock = Enter();
  std::vector<std::string> holders;
  for (const auto& [mount, who] : elsewhere_) {
    if (mount->super && mount->super->loop->number == loop.number) holders.push_back(who);
  }
  for (const LoopPtr& open : opened_by_others_) {
    if (open->number == loop.number) {
      holders.insert(holders.end(), open->foreign_openers.begin(), open->foreign_openers.end());
    }
  }
  for (const MountPtr& mount : table_) {
    const auto busy = busy_.find(mount->target);
    if (busy != busy_.end() && mount->super && mount->super->loop->number == loop.number) {
      holders.push_back(busy->second);
    }
  }
  std::sort(holders.begin(), holders.end());
  holders.erase(std::unique(holders.begin(), holders.end()), holders.end());
  if (holders.size() > 8) holders.resize(8);
  return holders;
}

std::vector<FakeHost::MountPtr> FakeHost::AllMounts() {
  std::vector<MountPtr> mounts = table_;
  for (const auto& [mount, who] : elsewhere_) mounts.push_back(mount);
  for (const auto& [key, handle] : handles_) {
    if (handle.mount && handle.mount->target.empty()) mounts.push_back(handle.mount);
  }
  return mounts;
}

absl::Status FakeHost::WriteAt(const std::string& target, uint64_t offset, std::string_view data) {
  const auto lock = Enter();
  const MountPtr mount = TopmostAt(target);
  const LoopPtr loop = !mount         ? nullptr
                       : mount->super ? mount->super->loop
                                      : LoopNumber(mount->device_number);
  if (!loop) return KernelError("pwrite", target, ENOENT);
  if (mount->read_only || loop->read_only) return KernelError("pwrite", target, EROFS);
  // File data lies behind the place of every superblock.
  const uint64_t start = mount->super ? kMiB : 0;
  if (start + offset + data.size() > loop->size_bytes) return KernelError("pwrite", target, ENOSPC);
  return loop->image->pool->disk.Write(loop->image->file, start + offset, data);
}

std::string FakeHost::ReadAt(const std::string& target, uint64_t offset, uint64_t length) {
  const auto lock = Enter();
  const MountPtr mount = TopmostAt(target);
  const LoopPtr loop = !mount         ? nullptr
                       : mount->super ? mount->super->loop
                                      : LoopNumber(mount->device_number);
  if (!loop) return "";
  const uint64_t start = mount->super ? kMiB : 0;
  return loop->image->pool->disk.Read(loop->image->file, start + offset, length);
}

}  // namespace holdfast
