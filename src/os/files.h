// Files and folders of a pool. Names are single path components, relative to an open folder.
//
// Codes of every method here and in loops.h, filesystems.h, mounts.h, unless one says otherwise:
// ENOSPC and EDQUOT are RESOURCE_EXHAUSTED; ENOMEM, EMFILE and ENFILE are UNAVAILABLE; EUCLEAN and
// EBADMSG are DATA_LOSS; any other errno is INTERNAL. The message is "FICLONE a.img: No space …":
// the call, the object, the errno's text. All methods are thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace holdfast {

enum class Access { kReadOnly, kReadWrite };

// The filesystem that holds a pool.
struct FolderFilesystem {
  std::string type;      // "xfs", "btrfs", "ext4", …; "0x…" when unknown
  bool reflink = false;  // FICLONE can work (for XFS: the feature flag)
  bool read_only = false;
  uint64_t size_bytes = 0;
  uint64_t free_bytes = 0;  // what file data can still get. btrfs: unallocated + free data chunks,
                            // less what metadata will need: never more than statfs says
  // btrfs: bytes of the device that metadata can still get: unallocated + free in metadata chunks
  // times their copies (DUP: 2). No limit of its own on XFS.
  uint64_t metadata_free_bytes = UINT64_MAX;
  bool quotas = false;  // btrfs: enabled, and what is free may be more than may be used
  std::string id;       // XFS, btrfs: the same for two folders of one filesystem, and no others
};

struct FileFacts {
  uint64_t device = 0;  // st_dev
  uint64_t inode = 0;
  uint32_t generation = 0;  // FS_IOC_GETVERSION; 0 where the filesystem has none
  uint64_t size_bytes = 0;
  uint64_t allocated_bytes = 0;
};

// One mapping of FIEMAP, in bytes.
struct Extent {
  uint64_t logical = 0;
  uint64_t physical = 0;
  uint64_t length = 0;
  bool unwritten = false;
  bool shared = false;
};

class Files {
 public:
  virtual ~Files() = default;

  // NOT_FOUND when there is nothing, FAILED_PRECONDITION when it is no folder.
  virtual absl::StatusOr<UniqueFd> OpenFolder(const std::string& path) = 0;
  // Creates (0700) when absent, opens.
  virtual absl::StatusOr<UniqueFd> EnsureFolder(const UniqueFd& parent,
                                                const std::string& name) = 0;
  // Names of the entries, "." and ".." left out, in no order.
  virtual absl::StatusOr<std::vector<std::string>> ListFolder(const UniqueFd& folder) = 0;
  // Entries made, renamed and removed before are durable afterwards.
  virtual absl::Status SyncFolder(const UniqueFd& folder) = 0;
  // syncfs; and space freed by Remove is back after it, which it is not before: btrfs frees at a
  // commit, XFS in the background, 10 µs an extent.
  virtual absl::Status SyncFilesystem(const UniqueFd& folder) = 0;
  virtual absl::StatusOr<FolderFilesystem> DescribeFilesystem(const UniqueFd& folder) = 0;
  // Grows the (XFS or btrfs) filesystem that holds the folder to the size of its device, while it
  // is used. Never shrinks. FAILED_PRECONDITION for another filesystem.
  virtual absl::Status GrowFilesystemOf(const UniqueFd& folder) = 0;

  // O_EXCL, 0600, read-write. ALREADY_EXISTS when there is one.
  virtual absl::StatusOr<UniqueFd> CreateFile(const UniqueFd& folder, const std::string& name) = 0;
  // nullopt when absent. Never follows a symbolic link, never opens anything but a regular file.
  virtual absl::StatusOr<std::optional<UniqueFd>> OpenFile(const UniqueFd& folder,
                                                           const std::string& name,
                                                           Access access) = 0;
  // Bytes of the file of that name, without opening it. nullopt when absent or no regular file.
  virtual absl::StatusOr<std::optional<uint64_t>> FileSize(const UniqueFd& folder,
                                                           const std::string& name) = 0;
  // RENAME_NOREPLACE. ALREADY_EXISTS when the new name is taken, NOT_FOUND when the old is absent.
  virtual absl::Status Rename(const UniqueFd& from_folder, const std::string& from,
                              const UniqueFd& to_folder, const std::string& to) = 0;
  // Unlinks a file; false when it was absent.
  virtual absl::StatusOr<bool> Remove(const UniqueFd& folder, const std::string& name) = 0;

  virtual absl::StatusOr<FileFacts> Describe(const UniqueFd& file) = 0;
  // ftruncate: grows with a hole.
  virtual absl::Status Resize(const UniqueFd& file, uint64_t size_bytes) = 0;
  // fallocate: every block of the range is allocated afterwards; contents unchanged.
  virtual absl::Status Preallocate(const UniqueFd& file, uint64_t offset, uint64_t length) = 0;
  // FICLONE: `to` (empty) becomes a reflink copy of `from`.
  virtual absl::Status Clone(const UniqueFd& from, const UniqueFd& to) = 0;
  // FIEMAP with FIEMAP_FLAG_SYNC, in logical order, adjoining ones as the filesystem gives them.
  virtual absl::StatusOr<std::vector<Extent>> Extents(const UniqueFd& file) = 0;
  // How many records the filesystem keeps for them: XFS says it at once, where listing them asks
  // its reference counts for each (1 to 2 µs). It may differ from Extents().size(), which splits a
  // record where sharing begins.
  virtual absl::StatusOr<uint64_t> ExtentCount(const UniqueFd& file) = 0;
  // Whether any byte was ever written (SEEK_DATA; unwritten preallocation is not data).
  virtual absl::StatusOr<bool> HasData(const UniqueFd& file) = 0;
  // Fewer bytes than asked only at the end of the file.
  virtual absl::StatusOr<std::string> Read(const UniqueFd& file, uint64_t offset,
                                           uint64_t length) = 0;
  virtual absl::Status Write(const UniqueFd& file, uint64_t offset, std::string_view data) = 0;
  virtual absl::Status Sync(const UniqueFd& file) = 0;
  // Before the first write of an image: XFS cowextsize 4 KiB (a scattered overwrite after a
  // snapshot costs 1.0 times its size, not 1.86), btrfs NOCOW (4k writes are 6 times faster).
  virtual absl::Status TuneImage(const UniqueFd& file) = 0;
  // flock(LOCK_EX | LOCK_NB); held as long as the fd. FAILED_PRECONDITION when someone has it.
  virtual absl::Status LockFile(const UniqueFd& file) = 0;
  // Whether anybody has the file open for writing (a read lease is had and given back; readers do
  // not matter). `file` is opened read-only. The value is who ("loop device /dev/loop3", "fuse2fs
  // (pid 4711)", "another process" when /proc does not tell), nullopt when nobody.
  virtual absl::StatusOr<std::optional<std::string>> OtherWriter(const UniqueFd& file) = 0;
  // Whether the file is open a second time, for whatever access and by whomever, ourselves and loop
  // devices included (a write lease is had and given back). `file` is opened read-only. For what is
  // nearly always not so: Attachments opens every loop device to say who it is.
  virtual absl::StatusOr<bool> IsOpenElsewhere(const UniqueFd& file) = 0;
};

}  // namespace holdfast
