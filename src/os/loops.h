// Loop devices. Attachments are found by (device, inode) of the backing file, never by a path.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/sizes.h"
#include "os/files.h"
#include "os/unique_fd.h"

namespace holdfast {

struct Loop {
  int number = -1;
  std::string path;             // "/dev/loop3"
  uint64_t device = 0;          // st_rdev
  uint64_t backing_device = 0;  // st_dev of the image
  uint64_t backing_inode = 0;
  uint64_t size_bytes = 0;
  bool read_only = false;
  bool direct_io = false;
  bool autoclear = false;
  // Where the image lies, as the kernel names it to this process; "… (deleted)" when its name is
  // gone. Only AllLoops tells it.
  std::string backing_path = {};
  // Of this attachment: no other one until the next boot has the number. 0: the kernel does not
  // tell (before Linux 5.15).
  uint64_t disk_sequence = 0;

  bool IsCutOff() const { return size_bytes > 0 && size_bytes < kBlockBytes; }
};

struct LoopOptions {
  Access access = Access::kReadWrite;
  bool discard = false;  // true: they punch holes. false: the device refuses them
};

// A loop device that goes away at scope end unless a mount, an opener or Pin holds it: it is
// attached with LO_FLAGS_AUTOCLEAR, so a crash of ours leaves nothing behind either.
struct AttachedLoop {
  Loop loop;
  UniqueFd fd;
};

class LoopDevices {
 public:
  virtual ~LoopDevices() = default;

  // One LOOP_CONFIGURE: direct I/O, 4096-byte blocks, autoclear. Read back; INTERNAL when direct
  // I/O or the block size is not what was asked (the kernel downgrades silently).
  virtual absl::StatusOr<AttachedLoop> Attach(const UniqueFd& image,
                                              const LoopOptions& options) = 0;
  // Lets it live on without us (raw block): clears autoclear.
  virtual absl::Status PinLoop(const Loop& loop) = 0;
  // Detaches a pinned one and removes the device, with which its settings go. What only mounts
  // held goes without it, and its number keeps them: see RemoveSpoilt.
  // FAILED_PRECONDITION, with who holds it open, when it is not free after a second; it stays
  // pinned then. OK when it is already gone or backs something else by now.
  virtual absl::Status Detach(const Loop& loop) = 0;
  // Removes a free device that keeps what was set on its number in an earlier life ("no discards"
  // of a thick volume, a limit of LimitDirty): whatever program is given the number next would have
  // that too. At most ten a call, 50 ms each. Best effort: one that somebody took or has open by
  // then is left to him.
  virtual void RemoveSpoilt() = 0;
  // All loops whose backing file is that one, in every mount namespace. Its filesystem must have
  // answered just now: devices on one that answers nothing (shut down) are taken for others'.
  virtual absl::StatusOr<std::vector<Loop>> Attachments(const FileFacts& image) = 0;
  // Whether that device still backs the image it did when `loop` was read.
  virtual absl::StatusOr<bool> IsAttached(const Loop& loop) = 0;
  // Every loop that has something attached, whoever did it, but for those on a filesystem that
  // answers nothing.
  virtual absl::StatusOr<std::vector<Loop>> AllLoops() = 0;
  // LOOP_SET_CAPACITY after the image grew.
  virtual absl::Status UpdateLoopSize(const Loop& loop) = 0;
  // Asks the kernel to let about `bytes` of what is dirty in the page cache wait for that device.
  // It is no bound: a writer that dirties another filesystem too was seen to exceed it twentyfold
  // (docs/adr/0010). 0: no limit any more. Attach gives a number anew without it.
  // FAILED_PRECONDITION where the kernel cannot (before 6.2).
  virtual absl::Status LimitDirty(const Loop& loop, uint64_t bytes) = 0;
  // Every read and write of the device fails from now on, however much its filesystem still wants
  // to write, until it is attached anew: it is cut to one sector, below which no filesystem of ours
  // writes. What is in flight arrives. UNAVAILABLE where the kernel cannot do it under a mount
  // (before 5.18, and again from 6.19 on).
  virtual absl::Status CutOff(const Loop& loop) = 0;
  // What is dirty or being written back in the page cache above those devices, in bytes: at most so
  // much does a flush still write to their images. Where the kernel does not tell it of all control
  // groups (before 6.10, or without debugfs): what is dirty of the whole machine.
  virtual absl::StatusOr<uint64_t> DirtyBytes(const std::vector<Loop>& loops) = 0;
  // The same of the whole machine (/proc/meminfo); cheap.
  virtual absl::StatusOr<uint64_t> MachineDirtyBytes() = 0;
  // Flushes the device's page cache and the image (fsync of the block device).
  virtual absl::Status SyncLoop(const Loop& loop) = 0;
};

}  // namespace holdfast
