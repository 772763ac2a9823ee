// A complete simulated machine behind os/host.h: folders and pools, reflinks, loop devices,
// filesystems in images, a mount table. What it refuses is what Linux refuses;
// tests/contract runs one suite on this and on LinuxHost to keep it so.
//
// Descriptors handed out are real (memfds), so a leak shows in /proc/self/fd; what one stands for
// is found by its inode, and forgotten once it is closed. A simulated object goes away when its
// last reference does, as in the kernel. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/sizes.h"
#include "os/host.h"
#include "tests/fakes/fake_objects.h"

namespace holdfast {

struct FakePoolOptions {
  std::string type = "xfs";
  bool reflink = true;
  uint64_t size_bytes = 20 * kGiB;
};

class FakeHost : public Host {
 public:
  explicit FakeHost(std::vector<std::string> target_roots = {"/var/lib/kubelet"});
  ~FakeHost() override;

  // --- For tests: the administrator ------------------------------------------------------------
  // Mounts an empty filesystem at `path`, making the folders.
  void MakePool(const std::string& path, const FakePoolOptions& options = {});
  void SetPoolReadOnly(const std::string& path, bool read_only);
  // Fills the pool with the file "ballast" until `left_bytes` are free.
  // The disk below the pool's filesystem gets larger, not yet the filesystem.
  void EnlargePoolDisk(const std::string& path, uint64_t device_bytes);
  void FillPool(const std::string& path, uint64_t left_bytes);
  void MakeFolders(const std::string& path);
  void MakeSymlink(const std::string& path, const std::string& to);
  void MakeFile(const std::string& path);
  void RemovePath(const std::string& path);
  void SetCanGrowExt4Mounted(bool can);

  // --- For tests: other processes --------------------------------------------------------------
  // `who` has the image file open / the loop device open / a file under the mount open.
  void OpenImageAs(const std::string& path, const std::string& who);
  void CloseImageAs(const std::string& path);
  void OpenLoopAs(int number, const std::string& who);
  void CloseLoopAs(int number);
  void SetBusy(const std::string& target, const std::string& who);
  void ClearBusy(const std::string& target);
  // losetup by somebody else; stays until DetachForeign.
  Loop AttachForeign(const std::string& image_path);
  void DetachForeign(int number);
  // A container with a private mount namespace was started: its copies of all mounts live on.
  void CopyMountsToOtherNamespace(const std::string& who);
  void EndOtherNamespaces();
  // Changes the root directory of the filesystem in an image: behind everybody's back, or as a
  // chmod does it, which moves ctime (`target`: where it is mounted).
  void EditRootOffline(const std::string& image_path,
                       const std::function<void(RootAttributes&)>& edit);
  void EditRootMounted(const std::string& target, const std::function<void(RootAttributes&)>& edit);
  // The same for the whole superblock: errors, damaged, dirty, uuid.
  void EditSuperblock(const std::string& image_path,
                      const std::function<void(FakeSuperblock&)>& edit);
  // Bytes of "files" of the filesystem (or of the device) at `target`.
  absl::Status WriteAt(const std::string& target, uint64_t offset, std::string_view data);
  std::string ReadAt(const std::string& target, uint64_t offset, uint64_t length);

  // --- For tests: the machine ------------------------------------------------------------------
  // Power cut and boot: mounts, loops and freeze records are gone, filesystems stay dirty.
  void Reboot();
  void SetBootId(const std::string& boot_id);

  // --- For tests: what is there ----------------------------------------------------------------
  std::vector<Loop> OpenLoops();
  // Of the same loops; 0: no limit.
  std::vector<uint64_t> DirtyLimits();
  // What is dirty above each loop that there is now, and elsewhere.
  void SetDirtyBytes(uint64_t each_loop, uint64_t rest_of_the_machine);
  // Whether ShutDown of an ext4 waits for good for what is dirty: until its device is cut off.
  void SetFlushesNeverEnd(bool never);
  // Free numbers that keep "no discards" or a limit of their last life.
  std::vector<int> SpoiltLoops();
  size_t MountCount();  // in every namespace, detached ones too
  size_t FrozenCount();
  std::vector<std::string> FilesIn(const std::string& folder);
  uint64_t FreeBytes(const std::string& pool_path);

  // --- Files ------------------------------------------------------------------------------------
  absl::StatusOr<UniqueFd> OpenFolder(const std::string& path) override;
  absl::StatusOr<UniqueFd> EnsureFolder(const UniqueFd& parent, const std::string& name) override;
  absl::StatusOr<std::vector<std::string>> ListFolder(const UniqueFd& folder) override;
  absl::Status SyncFolder(const UniqueFd& folder) override;
  absl::Status SyncFilesystem(const UniqueFd& folder) override;
  absl::StatusOr<FolderFilesystem> DescribeFilesystem(const UniqueFd& folder) override;
  absl::Status GrowFilesystemOf(const UniqueFd& folder) override;
  absl::StatusOr<UniqueFd> CreateFile(const UniqueFd& folder, const std::string& name) override;
  absl::StatusOr<std::optional<UniqueFd>> OpenFile(const UniqueFd& folder, const std::string& name,
                                                   Access access) override;
  absl::StatusOr<std::optional<uint64_t>> FileSize(const UniqueFd& folder,
                                                   const std::string& name) override;
  absl::Status Rename(const UniqueFd& from_folder, const std::string& from,
                      const UniqueFd& to_folder, const std::string& to) override;
  absl::StatusOr<bool> Remove(const UniqueFd& folder, const std::string& name) override;
  absl::StatusOr<FileFacts> Describe(const UniqueFd& file) override;
  absl::Status Resize(const UniqueFd& file, uint64_t size_bytes) override;
  absl::Status Preallocate(const UniqueFd& file, uint64_t offset, uint64_t length) override;
  absl::Status Clone(const UniqueFd& from, const UniqueFd& to) override;
  absl::StatusOr<std::vector<Extent>> Extents(const UniqueFd& file) override;
  absl::StatusOr<uint64_t> ExtentCount(const UniqueFd& file) override;
  absl::StatusOr<bool> HasData(const UniqueFd& file) override;
  absl::StatusOr<std::string> Read(const UniqueFd& file, uint64_t offset, uint64_t length) override;
  absl::Status Write(const UniqueFd& file, uint64_t offset, std::string_view data) override;
  absl::Status Sync(const UniqueFd& file) override;
  absl::Status TuneImage(const UniqueFd& file) override;
  absl::Status LockFile(const UniqueFd& file) override;
  absl::StatusOr<std::optional<std::string>> OtherWriter(const UniqueFd& file) override;
  absl::StatusOr<bool> IsOpenElsewhere(const UniqueFd& file) override;

  // --- LoopDevices ------------------------------------------------------------------------------
  absl::StatusOr<AttachedLoop> Attach(const UniqueFd& image, const LoopOptions& options) override;
  absl::Status PinLoop(const Loop& loop) override;
  absl::Status LimitDirty(const Loop& loop, uint64_t bytes) override;
  absl::Status CutOff(const Loop& loop) override;
  absl::StatusOr<uint64_t> DirtyBytes(const std::vector<Loop>& loops) override;
  absl::StatusOr<uint64_t> MachineDirtyBytes() override;
  absl::Status Detach(const Loop& loop) override;
  void RemoveSpoilt() override;
  absl::StatusOr<std::vector<Loop>> Attachments(const FileFacts& image) override;
  absl::StatusOr<bool> IsAttached(const Loop& loop) override;
  absl::StatusOr<std::vector<Loop>> AllLoops() override;
  absl::Status UpdateLoopSize(const Loop& loop) override;
  absl::Status SyncLoop(const Loop& loop) override;

  // --- Filesystems ------------------------------------------------------------------------------
  absl::Status Format(const UniqueFd& image, const FormatOptions& options) override;
  absl::StatusOr<std::optional<Superblock>> Identify(const UniqueFd& image) override;
  absl::StatusOr<std::vector<MountedDevice>> MountedWithUuid(Content content,
                                                             const std::string& uuid) override;
  absl::Status SetFilesystemUuid(const UniqueFd& image, Content content,
                                 const std::string& uuid) override;
  absl::Status CheckFilesystem(const UniqueFd& image, Content content) override;
  absl::Status GrowUnmounted(const UniqueFd& image, Content content) override;
  bool CanGrowMounted(Content content) override;
  absl::Status GrowMounted(const UniqueFd& root, Content content) override;
  absl::Status Freeze(const UniqueFd& root) override;
  absl::StatusOr<bool> Thaw(const UniqueFd& root) override;
  absl::StatusOr<bool> ThawDevice(uint64_t device) override;
  absl::Status ShutDown(const UniqueFd& root) override;
  absl::StatusOr<RootAttributes> ReadRoot(const UniqueFd& root) override;
  absl::Status SetRoot(const UniqueFd& root, std::optional<uint32_t> mode,
                       std::optional<Owner> owner) override;
  absl::StatusOr<Usage> ReadUsage(const UniqueFd& root) override;
  absl::Status SyncMounted(const UniqueFd& root) override;
  absl::Status Trim(const UniqueFd& root, uint64_t start, uint64_t length) override;

  // --- Mounts -----------------------------------------------------------------------------------
  absl::StatusOr<UniqueFd> MountDetached(const Loop& loop, const MountOptions& options) override;
  absl::StatusOr<UniqueFd> CloneMount(const UniqueFd& mount, const MountFlags& flags) override;
  absl::StatusOr<UniqueFd> CloneDevice(const Loop& loop) override;
  absl::Status MoveMount(const UniqueFd& mount, const std::string& target) override;
  absl::StatusOr<std::optional<MountEntry>> MountedAt(const std::string& target) override;
  absl::StatusOr<std::vector<MountEntry>> MountsOf(const Loop& loop) override;
  absl::StatusOr<FolderPlace> PlaceOf(const UniqueFd& folder) override;
  absl::StatusOr<UniqueFd> OpenMount(const std::string& target) override;
  absl::StatusOr<bool> IsReadOnly(const UniqueFd& mount) override;
  absl::Status Unmount(const std::string& target) override;
  absl::StatusOr<std::vector<std::string>> HoldersOf(const Loop& loop) override;
  absl::Status EnsureTarget(const std::string& target, TargetKind kind) override;
  absl::Status RemoveTarget(const std::string& target) override;
  absl::StatusOr<std::string> ResolveTarget(const std::string& target) override;
  absl::StatusOr<bool> TargetExists(const std::string& target) override;
  absl::StatusOr<std::string> BootId() override;

  absl::Status RecordFreeze(uint64_t device) override;
  absl::Status ForgetFreeze(uint64_t device) override;
  absl::StatusOr<std::vector<uint64_t>> RecordedFreezes() override;

 private:
  using InodePtr = std::shared_ptr<FakeInode>;
  using LoopPtr = std::shared_ptr<FakeLoop>;
  using MountPtr = std::shared_ptr<FakeMount>;

  // Where a target path leads. `inode` null: only its last component is missing; `parent` null:
  // more than that.
  struct Target {
    InodePtr parent, inode;
    std::string name;
    std::string path;  // as the mount table has it
  };

  // Takes the lock and lets go of everything whose descriptor was closed since.
  std::unique_lock<std::mutex> Enter();
  absl::StatusOr<UniqueFd> HandOut(FakeHandle handle);
  absl::StatusOr<FakeHandle*> Handle(const char* call, const UniqueFd& fd);
  absl::StatusOr<FakeHandle*> FolderOf(const char* call, const UniqueFd& fd);
  absl::StatusOr<FakeHandle*> FileOf(const char* call, const UniqueFd& fd);
  absl::StatusOr<FakeHandle*> WritableFileOf(const char* call, const UniqueFd& fd);
  absl::StatusOr<MountPtr> MountOf(const char* call, const UniqueFd& fd);
  // The filesystem an fd of a mount's root belongs to, with its superblock.
  absl::StatusOr<std::pair<std::shared_ptr<FakeSuper>, FakeSuperblock>> SuperOf(const char* call,
                                                                                const UniqueFd& fd);
  absl::StatusOr<bool> ThawSuper(const std::shared_ptr<FakeSuper>& super,
                                 FakeSuperblock superblock);
  FakeInode* Inode(const UniqueFd& fd);
  bool IsOpen(uint64_t handle) const { return handles_.count(handle) > 0; }

  // The path of an inode by names from the root, "" when it has none any more.
  std::string PathOf(const FakeInode* inode);
  InodePtr Walk(const std::string& path, int links_left = 8);
  InodePtr MustWalk(const std::string& path);
  InodePtr MakeFoldersLocked(const std::string& path);
  absl::StatusOr<Target> Resolve(const std::string& target);
  absl::Status CheckOutsideVolumes(const Target& place);

  std::vector<LoopPtr> LiveLoops();
  LoopPtr FindLoop(const Loop& loop);  // null when it is gone or backs something else by now
  LoopPtr LoopNumber(int number);
  absl::StatusOr<LoopPtr> AttachLocked(const InodePtr& image, bool read_only, bool discard);
  static Loop Facts(const FakeLoop& loop);
  bool IsHeld(const LoopPtr& loop);

  absl::Status CheckMountable(const FakeLoop& loop, const FakeSuperblock& superblock,
                              const MountOptions& options);
  MountPtr TopmostAt(const std::string& target);
  MountEntry Entry(const FakeMount& mount);
  std::vector<MountPtr> AllMounts();
  Timestamp Now();

  std::mutex mutex_;
  std::vector<std::unique_ptr<FakePool>> pools_;  // first: outlives every inode
  InodePtr root_;
  std::vector<std::string> target_roots_;
  bool can_grow_ext4_mounted_ = false;
  int64_t now_seconds_ = 1'700'000'000;
  uint64_t dirty_elsewhere_ = 0;
  bool flushes_never_end_ = false;

  std::map<int, std::weak_ptr<FakeLoop>> loops_;
  std::set<LoopPtr> pinned_;  // not autoclear
  std::set<int> spoilt_;      // numbers that refuse discards or are limited
  uint64_t attachments_ = 0;  // since the boot
  std::vector<LoopPtr> opened_by_others_;
  std::vector<std::shared_ptr<FakeSuper>> frozen_;           // a freeze holds the filesystem
  std::vector<MountPtr> table_;                              // of our namespace, later ones on top
  std::vector<std::pair<MountPtr, std::string>> elsewhere_;  // other namespaces: mount, who
  std::map<std::string, std::string> busy_;                  // target: who
  int next_mount_id_ = 100;
  std::string boot_id_;
  std::vector<uint64_t> freeze_records_;

  uint64_t memfd_device_ = 0;
  std::map<uint64_t, FakeHandle> handles_;  // by the memfd's inode
};

}  // namespace holdfast
