// A Host that forwards to another and fails the call that its FaultPlan names.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "os/host.h"
#include "tests/fakes/fault_plan.h"

namespace holdfast {

class FaultyHost final : public Host {
 public:
  // `inner` must outlive it.
  explicit FaultyHost(Host& inner) : inner_(inner) {}

  FaultPlan& plan() { return plan_; }

  // clang-format off
#define READING(result, method, parameters, arguments) \
  HOLDFAST_FAULTY_FORWARD(Reading, result, method, parameters, arguments)
#define MUTATING(result, method, parameters, arguments) \
  HOLDFAST_FAULTY_FORWARD(Mutating, result, method, parameters, arguments)

  // Files. Opening for reading is no mutation, but a lock and a sync are: they promise something.
  READING(absl::StatusOr<UniqueFd>, OpenFolder, (const std::string& path), (path))
  MUTATING(absl::StatusOr<UniqueFd>, EnsureFolder, (const UniqueFd& parent, const std::string& name), (parent, name))
  READING(absl::StatusOr<std::vector<std::string>>, ListFolder, (const UniqueFd& folder), (folder))
  MUTATING(absl::Status, SyncFolder, (const UniqueFd& folder), (folder))
  MUTATING(absl::Status, SyncFilesystem, (const UniqueFd& folder), (folder))
  READING(absl::StatusOr<FolderFilesystem>, DescribeFilesystem, (const UniqueFd& folder), (folder))
  MUTATING(absl::Status, GrowFilesystemOf, (const UniqueFd& folder), (folder))
  MUTATING(absl::StatusOr<UniqueFd>, CreateFile, (const UniqueFd& folder, const std::string& name), (folder, name))
  READING(absl::StatusOr<std::optional<UniqueFd>>, OpenFile, (const UniqueFd& folder, const std::string& name, Access access), (folder, name, access))
  READING(absl::StatusOr<std::optional<uint64_t>>, FileSize, (const UniqueFd& folder, const std::string& name), (folder, name))
  MUTATING(absl::Status, Rename, (const UniqueFd& from_folder, const std::string& from, const UniqueFd& to_folder, const std::string& to), (from_folder, from, to_folder, to))
  MUTATING(absl::StatusOr<bool>, Remove, (const UniqueFd& folder, const std::string& name), (folder, name))
  READING(absl::StatusOr<FileFacts>, Describe, (const UniqueFd& file), (file))
  MUTATING(absl::Status, Resize, (const UniqueFd& file, uint64_t size_bytes), (file, size_bytes))
  MUTATING(absl::Status, Preallocate, (const UniqueFd& file, uint64_t offset, uint64_t length), (file, offset, length))
  MUTATING(absl::Status, Clone, (const UniqueFd& from, const UniqueFd& to), (from, to))
  READING(absl::StatusOr<std::vector<Extent>>, Extents, (const UniqueFd& file), (file))
  READING(absl::StatusOr<uint64_t>, ExtentCount, (const UniqueFd& file), (file))
  READING(absl::StatusOr<bool>, HasData, (const UniqueFd& file), (file))
  READING(absl::StatusOr<std::string>, Read, (const UniqueFd& file, uint64_t offset, uint64_t length), (file, offset, length))
  MUTATING(absl::Status, Write, (const UniqueFd& file, uint64_t offset, std::string_view data), (file, offset, data))
  MUTATING(absl::Status, Sync, (const UniqueFd& file), (file))
  MUTATING(absl::Status, TuneImage, (const UniqueFd& file), (file))
  MUTATING(absl::Status, LockFile, (const UniqueFd& file), (file))
  READING(absl::StatusOr<std::optional<std::string>>, OtherWriter, (const UniqueFd& file), (file))
  READING(absl::StatusOr<bool>, IsOpenElsewhere, (const UniqueFd& file), (file))

  // LoopDevices
  MUTATING(absl::StatusOr<AttachedLoop>, Attach, (const UniqueFd& image, const LoopOptions& options), (image, options))
  MUTATING(absl::Status, PinLoop, (const Loop& loop), (loop))
  MUTATING(absl::Status, LimitDirty, (const Loop& loop, uint64_t bytes), (loop, bytes))
  MUTATING(absl::Status, CutOff, (const Loop& loop), (loop))
  READING(absl::StatusOr<uint64_t>, DirtyBytes, (const std::vector<Loop>& loops), (loops))
  READING(absl::StatusOr<uint64_t>, MachineDirtyBytes, (), ())
  MUTATING(absl::Status, Detach, (const Loop& loop), (loop))
  void RemoveSpoilt() override { inner_.RemoveSpoilt(); }
  READING(absl::StatusOr<std::vector<Loop>>, Attachments, (const FileFacts& image), (image))
  READING(absl::StatusOr<bool>, IsAttached, (const Loop& loop), (loop))
  READING(absl::StatusOr<std::vector<Loop>>, AllLoops, (), ())
  MUTATING(absl::Status, UpdateLoopSize, (const Loop& loop), (loop))
  MUTATING(absl::Status, SyncLoop, (const Loop& loop), (loop))

  // Filesystems
  MUTATING(absl::Status, Format, (const UniqueFd& image, const FormatOptions& options), (image, options))
  READING(absl::StatusOr<std::optional<Superblock>>, Identify, (const UniqueFd& image), (image))
  READING(absl::StatusOr<std::vector<MountedDevice>>, MountedWithUuid, (Content content, const std::string& uuid), (content, uuid))
  MUTATING(absl::Status, SetFilesystemUuid, (const UniqueFd& image, Content content, const std::string& uuid), (image, content, uuid))
  READING(absl::Status, CheckFilesystem, (const UniqueFd& image, Content content), (image, content))
  MUTATING(absl::Status, GrowUnmounted, (const UniqueFd& image, Content content), (image, content))
  bool CanGrowMounted(Content content) override { return inner_.CanGrowMounted(content); }
  MUTATING(absl::Status, GrowMounted, (const UniqueFd& root, Content content), (root, content))
  MUTATING(absl::Status, Freeze, (const UniqueFd& root), (root))
  MUTATING(absl::StatusOr<bool>, Thaw, (const UniqueFd& root), (root))
  MUTATING(absl::StatusOr<bool>, ThawDevice, (uint64_t device), (device))
  MUTATING(absl::Status, ShutDown, (const UniqueFd& root), (root))
  READING(absl::StatusOr<RootAttributes>, ReadRoot, (const UniqueFd& root), (root))
  MUTATING(absl::Status, SetRoot, (const UniqueFd& root, std::optional<uint32_t> mode, std::optional<Owner> owner), (root, mode, owner))
  READING(absl::StatusOr<Usage>, ReadUsage, (const UniqueFd& root), (root))
  MUTATING(absl::Status, SyncMounted, (const UniqueFd& root), (root))
  MUTATING(absl::Status, Trim, (const UniqueFd& root, uint64_t start, uint64_t length), (root, start, length))

  // Mounts
  MUTATING(absl::StatusOr<UniqueFd>, MountDetached, (const Loop& loop, const MountOptions& options), (loop, options))
  MUTATING(absl::StatusOr<UniqueFd>, CloneMount, (const UniqueFd& mount, const MountFlags& flags), (mount, flags))
  MUTATING(absl::StatusOr<UniqueFd>, CloneDevice, (const Loop& loop), (loop))
  MUTATING(absl::Status, MoveMount, (const UniqueFd& mount, const std::string& target), (mount, target))
  READING(absl::StatusOr<std::optional<MountEntry>>, MountedAt, (const std::string& target), (target))
  READING(absl::StatusOr<std::vector<MountEntry>>, MountsOf, (const Loop& loop), (loop))
  READING(absl::StatusOr<FolderPlace>, PlaceOf, (const UniqueFd& folder), (folder))
  READING(absl::StatusOr<UniqueFd>, OpenMount, (const std::string& target), (target))
  READING(absl::StatusOr<bool>, IsReadOnly, (const UniqueFd& mount), (mount))
  MUTATING(absl::Status, Unmount, (const std::string& target), (target))
  READING(absl::StatusOr<std::vector<std::string>>, HoldersOf, (const Loop& loop), (loop))
  MUTATING(absl::Status, EnsureTarget, (const std::string& target, TargetKind kind), (target, kind))
  MUTATING(absl::Status, RemoveTarget, (const std::string& target), (target))
  READING(absl::StatusOr<std::string>, ResolveTarget, (const std::string& target), (target))
  READING(absl::StatusOr<bool>, TargetExists, (const std::string& target), (target))
  READING(absl::StatusOr<std::string>, BootId, (), ())

  // Host
  MUTATING(absl::Status, RecordFreeze, (uint64_t device), (device))
  MUTATING(absl::Status, ForgetFreeze, (uint64_t device), (device))
  READING(absl::StatusOr<std::vector<uint64_t>>, RecordedFreezes, (), ())

#undef READING
#undef MUTATING
  // clang-format on

 private:
  Host& inner_;
  FaultPlan plan_;
};

}  // namespace holdfast
