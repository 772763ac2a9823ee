// Files and folders of the simulated machine.
#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include "base/status_macros.h"
#include "tests/fakes/fake_host.h"

namespace holdfast {
namespace {

std::string Name(const FakeInode& inode) { return fmt::format("inode {}", inode.number); }

}  // namespace

absl::StatusOr<UniqueFd> FakeHost::OpenFolder(const std::string& path) {
  const auto lock = Enter();
  InodePtr inode = Walk(path);
  if (!inode) return absl::NotFoundError(fmt::format("open {}: No such file or directory", path));
  if (inode->kind != FakeInode::Kind::kFolder) {
    return absl::FailedPreconditionError(fmt::format("open {}: Not a directory", path));
  }
  return HandOut({.inode = std::move(inode)});
}

absl::StatusOr<UniqueFd> FakeHost::EnsureFolder(const UniqueFd& parent, const std::string& name) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FolderOf("mkdirat", parent));
  FakeInode& folder = *handle->inode;
  if (folder.entries.count(name) == 0) {
    if (folder.pool->read_only) return KernelError("mkdirat", name, EROFS);
    folder.entries[name] = std::make_shared<FakeInode>(FakeInode::Kind::kFolder, folder.pool);
  }
  const InodePtr made = folder.entries[name];
  if (made->kind != FakeInode::Kind::kFolder) {
    return absl::FailedPreconditionError(fmt::format("open {}: Not a directory", name));
  }
  return HandOut({.inode = made});
}

absl::StatusOr<std::vector<std::string>> FakeHost::ListFolder(const UniqueFd& folder) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FolderOf("getdents", folder));
  std::vector<std::string> names;
  for (const auto& [name, inode] : handle->inode->entries) names.push_back(name);
  return names;
}

absl::Status FakeHost::SyncFolder(const UniqueFd& folder) {
  const auto lock = Enter();
  return FolderOf("fsync", folder).status();
}

absl::Status FakeHost::SyncFilesystem(const UniqueFd& folder) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FolderOf("syncfs", folder));
  handle->inode->pool->disk.Commit();
  return absl::OkStatus();
}

absl::StatusOr<FolderFilesystem> FakeHost::DescribeFilesystem(const UniqueFd& folder) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FolderOf("fstatfs", folder));
  const FakePool& pool = *handle->inode->pool;
  return FolderFilesystem{pool.type,
                          pool.reflink,
                          pool.read_only,
                          pool.disk.size_bytes(),
                          pool.disk.free_bytes(),
                          pool.btrfs() ? pool.disk.free_bytes() : UINT64_MAX,
                          /*quotas=*/false,
                          fmt::format("device {}", pool.device)};
}

absl::Status FakeHost::GrowFilesystemOf(const UniqueFd& folder) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FolderOf("XFS_IOC_FSGROWFSDATA", folder));
  FakePool& pool = *handle->inode->pool;
  if (pool.type != "xfs" && !pool.btrfs()) {
    return absl::FailedPreconditionError("grow: expected XFS or btrfs, found " + pool.type);
  }
  pool.disk.Grow(pool.device_bytes);
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> FakeHost::CreateFile(const UniqueFd& folder, const std::string& name) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FolderOf("openat", folder));
  FakeInode& parent = *handle->inode;
  if (parent.entries.count(name) > 0) {
    return absl::AlreadyExistsError(fmt::format("openat {}: File exists", name));
  }
  if (parent.pool->read_only) return KernelError("openat", name, EROFS);
  auto inode = std::make_shared<FakeInode>(FakeInode::Kind::kFile, parent.pool);
  ASSIGN_OR_RETURN(UniqueFd fd, HandOut({.inode = inode}));
  parent.entries[name] = inode;
  return fd;
}

absl::StatusOr<std::optional<UniqueFd>> FakeHost::OpenFile(const UniqueFd& folder,
                                                           const std::string& name, Access access) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FolderOf("openat", folder));
  const auto entry = handle->inode->entries.find(name);
  if (entry == handle->inode->entries.end()) return std::nullopt;
  const InodePtr inode = entry->second;
  if (inode->kind != FakeInode::Kind::kFile) {
    return absl::FailedPreconditionError(
        fmt::format("{}: expected a regular file, found another thing", name));
  }
  if (access == Access::kReadWrite && inode->pool->read_only) {
    return KernelError("openat", name, EROFS);
  }
  ASSIGN_OR_RETURN(UniqueFd fd, HandOut({.access = access, .inode = inode}));
  return fd;
}

absl::StatusOr<std::optional<uint64_t>> FakeHost::FileSize(const UniqueFd& folder,
                                                           const std::string& name) {
  const auto opened = OpenFile(folder, name, Access::kReadOnly);
  if (absl::IsFailedPrecondition(opened.status())) return std::optional<uint64_t>();
  RETURN_IF_ERROR(opened.status());
  if (!*opened) return std::optional<uint64_t>();
  ASSIGN_OR_RETURN(const FileFacts facts, Describe(**opened));
  return std::optional<uint64_t>(facts.size_bytes);
}

absl::Status FakeHost::Rename(const UniqueFd& from_folder, const std::string& from,
                              const UniqueFd& to_folder, const std::string& to) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * source, FolderOf("renameat2", from_folder));
  ASSIGN_OR_RETURN(FakeHandle * target, FolderOf("renameat2", to_folder));
  auto& entries = source->inode->entries;
  const auto entry = entries.find(from);
  if (entry == entries.end()) {
    return absl::NotFoundError(fmt::format("renameat2 {}: No such file or directory", from));
  }
  if (source->inode->pool != target->inode->pool) return KernelError("renameat2", from, EXDEV);
  if (source->inode->pool->read_only) return KernelError("renameat2", from, EROFS);
  if (target->inode->entries.count(to) > 0) {
    return absl::AlreadyExistsError(fmt::format("renameat2 {}: File exists", to));
  }
  target->inode->entries[to] = entry->second;
  entries.erase(entry);
  return absl::OkStatus();
}

absl::StatusOr<bool> FakeHost::Remove(const UniqueFd& folder, const std::string& name) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FolderOf("unlinkat", folder));
  auto& entries = handle->inode->entries;
  const auto entry = entries.find(name);
  if (entry == entries.end()) return false;
  if (entry->second->kind == FakeInode::Kind::kFolder) return KernelError("unlinkat", name, EISDIR);
  if (handle->inode->pool->read_only) return KernelError("unlinkat", name, EROFS);
  entries.erase(entry);
  return true;
}

absl::StatusOr<FileFacts> FakeHost::Describe(const UniqueFd& file) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FileOf("fstat", file));
  const FakeInode& inode = *handle->inode;
  const FakeDisk& disk = inode.pool->disk;
  return FileFacts{inode.pool->device, inode.number, inode.generation, disk.Size(inode.file),
                   disk.AllocatedBytes(inode.file)};
}

absl::Status FakeHost::Resize(const UniqueFd& file, uint64_t size_bytes) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, WritableFileOf("ftruncate", file));
  return handle->inode->pool->disk.Resize(handle->inode->file, size_bytes);
}

absl::Status FakeHost::Preallocate(const UniqueFd& file, uint64_t offset, uint64_t length) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, WritableFileOf("fallocate", file));
  if (length == 0) return KernelError("fallocate", Name(*handle->inode), EINVAL);
  return handle->inode->pool->disk.Preallocate(handle->inode->file, offset, length);
}

absl::Status FakeHost::Clone(const UniqueFd& from, const UniqueFd& to) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * source, FileOf("FICLONE", from));
  ASSIGN_OR_RETURN(FakeHandle * target, WritableFileOf("FICLONE", to));
  const FakeInode& original = *source->inode;
  const FakeInode& copy = *target->inode;
  FakePool& pool = *copy.pool;
  if (original.pool != copy.pool) return KernelError("FICLONE", Name(copy), EXDEV);
  if (!pool.reflink) return KernelError("FICLONE", Name(copy), EOPNOTSUPP);
  // btrfs: both files checksummed or neither. The second is our contract: `to` is empty.
  if (original.no_copy_on_write != copy.no_copy_on_write || pool.disk.Size(copy.file) > 0) {
    return KernelError("FICLONE", Name(copy), EINVAL);
  }
  pool.disk.Clone(original.file, copy.file);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Extent>> FakeHost::Extents(const UniqueFd& file) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FileOf("FIEMAP", file));
  return handle->inode->pool->disk.Extents(handle->inode->file);
}

absl::StatusOr<uint64_t> FakeHost::ExtentCount(const UniqueFd& file) {
  ASSIGN_OR_RETURN(const auto extents, Extents(file));
  return extents.size();
}

absl::StatusOr<bool> FakeHost::HasData(const UniqueFd& file) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FileOf("lseek", file));
  return handle->inode->pool->disk.HasData(handle->inode->file);
}

absl::StatusOr<std::string> FakeHost::Read(const UniqueFd& file, uint64_t offset, uint64_t length) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FileOf("pread", file));
  return handle->inode->pool->disk.Read(handle->inode->file, offset, length);
}

absl::Status FakeHost::Write(const UniqueFd& file, uint64_t offset, std::string_view data) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, WritableFileOf("pwrite", file));
  return handle->inode->pool->disk.Write(handle->inode->file, offset, data);
}

absl::Status FakeHost::Sync(const UniqueFd& file) {
  const auto lock = Enter();
  return FileOf("fsync", file).status();
}

absl::Status FakeHost::TuneImage(const UniqueFd& file) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, WritableFileOf("FS_IOC_FSSETXATTR", file));
  FakeInode& inode = *handle->inode;
  // btrfs takes the flag on an empty file only, and says nothing otherwise.
  if (inode.pool->btrfs() && inode.pool->disk.Size(inode.file) == 0) inode.no_copy_on_write = true;
  return absl::OkStatus();
}

absl::Status FakeHost::LockFile(const UniqueFd& file) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FileOf("flock", file));
  FakeInode& inode = *handle->inode;
  const auto self = std::find_if(handles_.begin(), handles_.end(),
                                 [&](const auto& entry) { return &entry.second == handle; });
  if (IsOpen(inode.lock_handle) && inode.lock_handle != self->first) {
    return absl::FailedPreconditionError(
        fmt::format("flock {}: another process holds it", Name(inode)));
  }
  inode.lock_handle = self->first;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> FakeHost::OtherWriter(const UniqueFd& file) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FileOf("F_SETLEASE", file));
  const InodePtr& inode = handle->inode;
  if (!inode->foreign_openers.empty()) return inode->foreign_openers.front();
  for (const LoopPtr& loop : LiveLoops()) {
    if (loop->image == inode && !loop->read_only) {
      return fmt::format("loop device /dev/loop{}", loop->number);
    }
  }
  for (const auto& [key, other] : handles_) {
    if (other.inode == inode && other.access == Access::kReadWrite) return "this process";
  }
  return std::nullopt;
}

absl::StatusOr<bool> FakeHost::IsOpenElsewhere(const UniqueFd& file) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FileOf("F_SETLEASE", file));
  const InodePtr& inode = handle->inode;
  if (!inode->foreign_openers.empty()) return true;
  for (const LoopPtr& loop : LiveLoops()) {
    if (loop->image == inode) return true;
  }
  for (const auto& [key, other] : handles_) {
    if (other.inode == inode && &other != handle) return true;
  }
  return false;
}

}  // namespace holdfast
