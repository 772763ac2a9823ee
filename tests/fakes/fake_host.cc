// The simulated machine itself: descriptors, paths, and what tests do behind the driver's back.
#include "tests/fakes/fake_host.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/status_macros.h"
#include "base/uuid.h"

namespace holdfast {
namespace {

// A test that sets up something impossible is wrong itself.
[[noreturn]] void BadSetup(const std::string& what) {
  std::fprintf(stderr, "FakeHost: %s\n", what.c_str());
  std::abort();
}

std::vector<std::string> Components(const std::string& path) {
  std::vector<std::string> components;
  size_t start = 0;
  while (start < path.size()) {
    const size_t end = std::min(path.find('/', start), path.size());
    if (end > start) components.push_back(path.substr(start, end - start));
    start = end + 1;
  }
  return components;
}

}  // namespace

FakeHost::FakeHost(std::vector<std::string> target_roots)
    : target_roots_(std::move(target_roots)), boot_id_(NewUuid()) {
  pools_.push_back(
      std::unique_ptr<FakePool>(new FakePool{"ext4", false, false, 0x801, 2, FakeDisk(kTiB)}));
  root_ = std::make_shared<FakeInode>(FakeInode::Kind::kFolder, pools_.front().get());
  for (const std::string& target_root : target_roots_) MakeFolders(target_root);
}

FakeHost::~FakeHost() = default;

// --- Descriptors --------------------------------------------------------------------------------

std::unique_lock<std::mutex> FakeHost::Enter() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (auto it = handles_.begin(); it != handles_.end();) {
    struct stat facts;
    const bool open = fstat(it->second.fd, &facts) == 0 && facts.st_ino == it->first &&
                      facts.st_dev == memfd_device_;
    it = open ? std::next(it) : handles_.erase(it);
  }
  return lock;
}

absl::StatusOr<UniqueFd> FakeHost::HandOut(FakeHandle handle) {
  UniqueFd fd(memfd_create("fake-host", MFD_CLOEXEC));
  struct stat facts;
  if (!fd.valid() || fstat(fd.get(), &facts) != 0) return KernelError("open", "a file", errno);
  handle.fd = fd.get();
  memfd_device_ = facts.st_dev;
  handles_[facts.st_ino] = std::move(handle);
  return fd;
}

absl::StatusOr<FakeHandle*> FakeHost::Handle(const char* call, const UniqueFd& fd) {
  struct stat facts;
  if (fstat(fd.get(), &facts) != 0) return KernelError(call, "a closed descriptor", EBADF);
  const auto handle = handles_.find(facts.st_ino);
  if (handle == handles_.end()) return KernelError(call, "a foreign descriptor", EINVAL);
  return &handle->second;
}

absl::StatusOr<FakeHandle*> FakeHost::FolderOf(const char* call, const UniqueFd& fd) {
  ASSIGN_OR_RETURN(FakeHandle * handle, Handle(call, fd));
  if (!handle->inode || handle->inode->kind != FakeInode::Kind::kFolder) {
    return KernelError(call, "no folder", ENOTDIR);
  }
  return handle;
}

absl::StatusOr<FakeHandle*> FakeHost::FileOf(const char* call, const UniqueFd& fd) {
  ASSIGN_OR_RETURN(FakeHandle * handle, Handle(call, fd));
  if (!handle->inode || handle->inode->kind != FakeInode::Kind::kFile) {
    return KernelError(call, "no regular file", EINVAL);
  }
  return handle;
}

absl::StatusOr<FakeHandle*> FakeHost::WritableFileOf(const char* call, const UniqueFd& fd) {
  ASSIGN_OR_RETURN(FakeHandle * handle, FileOf(call, fd));
  if (handle->access == Access::kReadOnly) return KernelError(call, "a read-only file", EBADF);
  return handle;
}

// --- Paths --------------------------------------------------------------------------------------

std::string FakeHost::PathOf(const FakeInode* inode) {
  std::vector<std::pair<std::string, const FakeInode*>> waiting = {{"", root_.get()}};
  while (!waiting.empty()) {
    const auto [path, at] = waiting.back();
    waiting.pop_back();
    if (at == inode) return path.empty() ? "/" : path;
    for (const auto& [name, entry] : at->entries) {
      waiting.emplace_back(path + "/" + name, entry.get());
    }
  }
  return "";
}

FakeHost::InodePtr FakeHost::Walk(const std::string& path, int links_left) {
  InodePtr at = root_;
  for (const std::string& name : Components(path)) {
    if (at->kind != FakeInode::Kind::kFolder) return nullptr;
    const auto entry = at->entries.find(name);
    if (entry == at->entries.end()) return nullptr;
    at = entry->second;
    if (at->kind == FakeInode::Kind::kSymlink) {
      at = links_left == 0 ? nullptr : Walk(at->link, links_left - 1);
      if (!at) return nullptr;
    }
  }
  return at;
}

FakeHost::InodePtr FakeHost::MustWalk(const std::string& path) {
  InodePtr inode = Walk(path);
  if (!inode) BadSetup("there is no " + path);
  return inode;
}

FakeHost::InodePtr FakeHost::MakeFoldersLocked(const std::string& path) {
  InodePtr at = root_;
  for (const std::string& name : Components(path)) {
    InodePtr& entry = at->entries[name];
    if (!entry) entry = std::make_shared<FakeInode>(FakeInode::Kind::kFolder, at->pool);
    at = entry;
  }
  return at;
}

// --- The administrator --------------------------------------------------------------------------

void FakeHost::MakePool(const std::string& path, const FakePoolOptions& options) {
  const auto lock = Enter();
  const auto like = options.type == "btrfs" ? FakeDisk::Like::kBtrfs : FakeDisk::Like::kXfs;
  pools_.push_back(std::unique_ptr<FakePool>(new FakePool{options.type, options.reflink, false,
                                                          0x801 + pools_.size(), 128,
                                                          FakeDisk(options.size_bytes, like)}));
  const size_t slash = path.rfind('/');
  MakeFoldersLocked(path.substr(0, slash))->entries[path.substr(slash + 1)] =
      std::make_shared<FakeInode>(FakeInode::Kind::kFolder, pools_.back().get());
}

void FakeHost::SetPoolReadOnly(const std::string& path, bool read_only) {
  const auto lock = Enter();
  MustWalk(path)->pool->read_only = read_only;
}

void FakeHost::EnlargePoolDisk(const std::string& path, uint64_t device_bytes) {
  const auto lock = Enter();
  MustWalk(path)->pool->device_bytes = device_bytes;
}

void FakeHost::FillPool(const std::string& path, uint64_t left_bytes) {
  const auto lock = Enter();
  const InodePtr folder = MustWalk(path);
  FakeDisk& disk = folder->pool->disk;
  disk.Commit();
  InodePtr& ballast = folder->entries["ballast"];
  if (!ballast) ballast = std::make_shared<FakeInode>(FakeInode::Kind::kFile, folder->pool);
  const uint64_t taken = SaturatingSubtract(disk.free_bytes(), left_bytes);
  if (!disk.Preallocate(ballast->file, disk.Size(ballast->file), taken).ok()) {
    BadSetup("cannot fill " + path);
  }
}

void FakeHost::MakeFolders(const std::string& path) {
  const auto lock = Enter();
  MakeFoldersLocked(path);
}

void FakeHost::MakeSymlink(const std::string& path, const std::string& to) {
  const auto lock = Enter();
  const size_t slash = path.rfind('/');
  const InodePtr folder = MakeFoldersLocked(path.substr(0, slash));
  auto link = std::make_shared<FakeInode>(FakeInode::Kind::kSymlink, folder->pool);
  link->link = to;
  folder->entries[path.substr(slash + 1)] = link;
}

void FakeHost::MakeFile(const std::string& path) {
  const auto lock = Enter();
  const size_t slash = path.rfind('/');
  const InodePtr folder = MakeFoldersLocked(path.substr(0, slash));
  folder->entries[path.substr(slash + 1)] =
      std::make_shared<FakeInode>(FakeInode::Kind::kFile, folder->pool);
}

void FakeHost::RemovePath(const std::string& path) {
  const auto lock = Enter();
  const size_t slash = path.rfind('/');
  MustWalk(path.substr(0, slash))->entries.erase(path.substr(slash + 1));
}

void FakeHost::SetCanGrowExt4Mounted(bool can) {
  const auto lock = Enter();
  can_grow_ext4_mounted_ = can;
}

// --- Other processes ----------------------------------------------------------------------------

void FakeHost::OpenImageAs(const std::string& path, const std::string& who) {
  const auto lock = Enter();
  MustWalk(path)->foreign_openers.push_back(who);
}

void FakeHost::CloseImageAs(const std::string& path) {
  const auto lock = Enter();
  MustWalk(path)->foreign_openers.clear();
}

void FakeHost::OpenLoopAs(int number, const std::string& who) {
  const auto lock = Enter();
  const LoopPtr loop = LoopNumber(number);
  if (!loop) BadSetup("there is no such loop");
  loop->foreign_openers.push_back(who);
  opened_by_others_.push_back(loop);
}

void FakeHost::CloseLoopAs(int number) {
  const auto lock = Enter();
  std::erase_if(opened_by_others_, [&](const LoopPtr& loop) {
    if (loop->number != number) return false;
    loop->foreign_openers.clear();
    return true;
  });
}

void FakeHost::SetBusy(const std::string& target, const std::string& who) {
  const auto lock = Enter();
  busy_[target] = who;
}

void FakeHost::ClearBusy(const std::string& target) {
  const auto lock = Enter();
  busy_.erase(target);
}

Loop FakeHost::AttachForeign(const std::string& image_path) {
  const auto lock = Enter();
  auto loop = AttachLocked(MustWalk(image_path), /*read_only=*/false, /*discard=*/true);
  if (!loop.ok()) BadSetup("cannot attach " + image_path);
  (*loop)->autoclear = false;
  pinned_.insert(*loop);
  return Facts(**loop);
}

void FakeHost::DetachForeign(int number) {
  const auto lock = Enter();
  pinned_.erase(LoopNumber(number));
}

void FakeHost::CopyMountsToOtherNamespace(const std::string& who) {
  const auto lock = Enter();
  for (const MountPtr& mount : table_) {
    elsewhere_.emplace_back(std::make_shared<FakeMount>(*mount), who);
  }
}

void FakeHost::EndOtherNamespaces() {
  const auto lock = Enter();
  elsewhere_.clear();
}

void FakeHost::EditSuperblock(const std::string& image_path,
                              const std::function<void(FakeSuperblock&)>& edit) {
  const auto lock = Enter();
  const InodePtr image = MustWalk(image_path);
  auto superblock = ProbeSuperblock(*image);
  if (!superblock.ok() || !superblock->has_value()) BadSetup("no filesystem in " + image_path);
  edit(**superblock);
  if (!WriteSuperblock(*image, **superblock).ok()) BadSetup("the pool is full");
}

void FakeHost::EditRootOffline(const std::string& image_path,
                               const std::function<void(RootAttributes&)>& edit) {
  EditSuperblock(image_path, [&](FakeSuperblock& superblock) { edit(superblock.root); });
}

void FakeHost::EditRootMounted(const std::string& target,
                               const std::function<void(RootAttributes&)>& edit) {
  const auto lock = Enter();
  const MountPtr mount = TopmostAt(target);
  if (!mount || !mount->super) BadSetup("no filesystem is mounted at " + target);
  const FakeInode& image = *mount->super->loop->image;
  auto superblock = ReadSuperblock(image, mount->super->content);
  if (!superblock) BadSetup("the superblock of the mount is gone");
  edit(superblock->root);
  superblock->root.change_time = Now();
  if (!WriteSuperblock(image, *superblock).ok()) BadSetup("the pool is full");
}

// --- The machine --------------------------------------------------------------------------------

void FakeHost::Reboot() {
  const auto lock = Enter();
  for (const MountPtr& mount : AllMounts()) {
    if (mount->super) mount->super->crashed = true;
  }
  for (const auto& super : frozen_) super->crashed = true;
  table_.clear();
  elsewhere_.clear();
  frozen_.clear();
  pinned_.clear();
  opened_by_others_.clear();
  busy_.clear();
  std::erase_if(handles_, [](const auto& entry) { return !entry.second.inode; });
  loops_.clear();
  spoilt_.clear();
  freeze_records_.clear();
  boot_id_ = NewUuid();
}

void FakeHost::SetBootId(const std::string& boot_id) {
  const auto lock = Enter();
  boot_id_ = boot_id;
}

std::vector<Loop> FakeHost::OpenLoops() {
  const auto lock = Enter();
  std::vector<Loop> loops;
  for (const LoopPtr& loop : LiveLoops()) loops.push_back(Facts(*loop));
  return loops;
}

std::vector<uint64_t> FakeHost::DirtyLimits() {
  const auto lock = Enter();
  std::vector<uint64_t> limits;
  for (const LoopPtr& loop : LiveLoops()) limits.push_back(loop->dirty_limit_bytes);
  return limits;
}

size_t FakeHost::MountCount() {
  const auto lock = Enter();
  return AllMounts().size();
}

size_t FakeHost::FrozenCount() {
  const auto lock = Enter();
  return frozen_.size();
}

std::vector<std::string> FakeHost::FilesIn(const std::string& folder) {
  const auto lock = Enter();
  std::vector<std::string> names;
  for (const auto& [name, inode] : MustWalk(folder)->entries) names.push_back(name);
  return names;
}

uint64_t FakeHost::FreeBytes(const std::string& pool_path) {
  const auto lock = Enter();
  return MustWalk(pool_path)->pool->disk.free_bytes();
}

Timestamp FakeHost::Now() { return {++now_seconds_, 123'456'789}; }

}  // namespace holdfast
