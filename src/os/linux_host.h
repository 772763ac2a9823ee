// The Host that is this machine. Keeps nothing that a restart would lose: every answer comes from
// the kernel.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "os/host.h"
#include "os/target_path.h"

namespace holdfast {

struct LinuxHostOptions {
  // Folders beneath which targets may lie (kubelet's). Their own paths may have symbolic links.
  std::vector<std::string> target_roots;
  std::string run_folder = "/run/holdfast";
};

// The programs it runs, by absolute path.
struct HostPrograms {
  std::string mke2fs, e2fsck, resize2fs, tune2fs;
  std::string mkfs_xfs, xfs_repair, xfs_db;
  std::string mkfs_btrfs, btrfs, btrfstune;
};

// Thread-safe: immutable after Create.
class LinuxHost final : public Host {
 public:
  // FAILED_PRECONDITION with the names of all programs that are missing in /usr/sbin, /usr/bin,
  // /sbin and /bin, or with a target root that is no folder.
  static absl::StatusOr<std::unique_ptr<LinuxHost>> Create(LinuxHostOptions options);

  // Files (linux_files.cc, file_extents.cc, pool_filesystem.cc, lease.cc)
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

  // LoopDevices (linux_loops.cc, loop_attach.cc)
  absl::StatusOr<AttachedLoop> Attach(const UniqueFd& image, const LoopOptions& options) override;
  absl::Status PinLoop(const Loop& loop) override;
  absl::Status CutOff(const Loop& loop) override;
  absl::Status LimitDirty(const Loop& loop, uint64_t bytes) override;
  absl::StatusOr<uint64_t> DirtyBytes(const std::vector<Loop>& loops) override;
  absl::StatusOr<uint64_t> MachineDirtyBytes() override;
  absl::Status Detach(const Loop& loop) override;
  void RemoveSpoilt() override;
  absl::StatusOr<std::vector<Loop>> Attachments(const FileFacts& image) override;
  absl::StatusOr<bool> IsAttached(const Loop& loop) override;
  absl::StatusOr<std::vector<Loop>> AllLoops() override;
  absl::Status UpdateLoopSize(const Loop& loop) override;
  absl::Status SyncLoop(const Loop& loop) override;

  // Filesystems (linux_mkfs.cc, linux_check.cc, linux_superblock.cc, linux_mounted.cc,
  // mounted_devices.cc)
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

  // Mounts (linux_mounts.cc, linux_targets.cc, linux_unmount.cc)
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

  // Host (freeze_records.cc)
  absl::Status RecordFreeze(uint64_t device) override;
  absl::Status ForgetFreeze(uint64_t device) override;
  absl::StatusOr<std::vector<uint64_t>> RecordedFreezes() override;

 private:
  LinuxHost() = default;

  // Whether a stranger who opens its target gets this mount.
  absl::StatusOr<bool> IsVisible(const MountEntry& entry) const;

  HostPrograms programs_;
  std::vector<TargetRoot> target_roots_;
  std::string run_folder_;
  // FSCONFIG_CMD_CREATE_EXCL (Linux 6.6): creating a superblock fails when it exists already.
  bool has_exclusive_creation_ = false;
  UniqueFd debugfs_;  // its root; not valid where there is none
};

}  // namespace holdfast
