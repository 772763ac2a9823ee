// The kernel objects a FakeHost simulates. They hold each other by shared_ptr exactly where the
// kernel holds a reference, so the last close, unmount or detach frees what it would free there.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "os/host.h"
#include "tests/fakes/fake_disk.h"
#include "tests/fakes/fake_superblock.h"

namespace holdfast {

// A mounted filesystem that can hold folders and image files.
struct FakePool {
  std::string type;  // "xfs", "btrfs", "ext4"
  bool reflink = true;
  bool read_only = false;
  uint64_t device = 0;
  uint64_t next_inode = 128;
  FakeDisk disk;
  uint64_t device_bytes = 0;  // of a disk that got larger than its filesystem

  bool btrfs() const { return type == "btrfs"; }
};

struct FakeInode {
  enum class Kind { kFolder, kFile, kSymlink };

  FakeInode(Kind kind_in, FakePool* pool_in);
  ~FakeInode();  // a file's blocks live as long as a name or an open file
  FakeInode(const FakeInode&) = delete;
  FakeInode& operator=(const FakeInode&) = delete;

  const Kind kind;
  FakePool* const pool;
  const uint64_t number;
  const uint32_t generation;
  std::map<std::string, std::shared_ptr<FakeInode>> entries;  // of a folder
  FakeDisk::FileId file = 0;                                  // of a file
  bool no_copy_on_write = false;                              // btrfs
  std::string link;                                           // of a symlink
  std::vector<std::string> foreign_openers;
  uint64_t lock_handle = 0;  // flock; stale when that is closed
};

struct FakeSuper;

struct FakeLoop {
  int number = -1;
  std::shared_ptr<FakeInode> image;
  uint64_t size_bytes = 0;
  bool read_only = false;
  bool discard = false;
  bool autoclear = true;
  uint64_t sequence = 0;           // of attachments since the boot
  uint64_t dirty_limit_bytes = 0;  // 0: none
  uint64_t dirty_bytes = 0;
  std::weak_ptr<FakeSuper> super;  // the filesystem mounted from it
  std::vector<std::string> foreign_openers;

  bool IsCutOff() const { return size_bytes < kBlockBytes; }
};

// A filesystem mounted from a loop. The last reference to it is the clean unmount.
struct FakeSuper {
  FakeSuper(std::shared_ptr<FakeLoop> loop_in, Content content_in, bool read_only_in)
      : loop(std::move(loop_in)), content(content_in), read_only(read_only_in) {}
  ~FakeSuper();
  FakeSuper(const FakeSuper&) = delete;
  FakeSuper& operator=(const FakeSuper&) = delete;

  const std::shared_ptr<FakeLoop> loop;
  const Content content;
  const bool read_only;
  bool frozen = false;
  bool shut_down = false;  // FS_IOC_SHUTDOWN: it answers EIO, and its log stays dirty
  bool crashed = false;    // the power went: nothing is written any more
  std::string options;
};

struct FakeMount {
  int id = 0;
  std::shared_ptr<FakeSuper> super;  // null: a bound device node
  int device_number = -1;            // of that node; does not keep the loop alive
  bool read_only = false;
  std::string target;  // empty: detached
  MountFlags flags;
};

// What a file descriptor handed out stands for.
struct FakeHandle {
  int fd = -1;
  Access access = Access::kReadWrite;
  std::shared_ptr<FakeInode> inode = nullptr;
  std::shared_ptr<FakeLoop> loop = nullptr;
  std::shared_ptr<FakeMount> mount = nullptr;
};

// "FICLONE a.img: No space left on device" with the code that os/files.h gives the errno.
absl::Status KernelError(const char* call, const std::string& object, int error);

std::optional<FakeSuperblock> ReadSuperblock(const FakeInode& image, Content content);
absl::Status WriteSuperblock(const FakeInode& image, const FakeSuperblock& superblock);
// The one intact superblock, nullopt when there is nothing, DATA_LOSS otherwise.
absl::StatusOr<std::optional<FakeSuperblock>> ProbeSuperblock(const FakeInode& image);

}  // namespace holdfast
