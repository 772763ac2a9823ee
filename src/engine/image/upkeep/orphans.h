// Files in a pool that nobody claims: looked at, taken in as volumes, never deleted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/image/pool.h"
#include "engine/image/upkeep/pool_view.h"
#include "volume/volume_locks.h"

namespace holdfast {

struct Orphan {
  std::string folder;  // "volumes", "snapshots" or "trash"
  std::string name;
  uint64_t size_bytes = 0;
  uint64_t allocated_bytes = 0;
  // "ext4", "xfs", "btrfs"; "none": zeroes where a superblock would be; "unknown": no intact one;
  // "no regular file".
  std::string content;
  std::string filesystem_uuid;
  // Why it cannot be adopted as it is; empty: it can.
  std::string hindrance;

  std::string Path() const { return folder + "/" + name; }
  // No filesystem of ours was found in it: it can be adopted as raw block only.
  bool raw() const { return content == "none" || content == "unknown"; }
};

// work/ is left out: what lies there was promised to nobody and goes at the next start.
absl::StatusOr<std::vector<Orphan>> ListOrphans(const Pool& pool);

struct AdoptRequest {
  std::string folder;
  std::string file;
  std::string name;        // the CSI name that the volume gets
  bool raw_block = false;  // as it is, whatever is in it; else it must hold one intact filesystem
  bool thick = false;      // its holes are allocated first
};

// The label in which a volume says where it was adopted from.
inline constexpr char kAdoptedLabel[] = "csi.holdfast.dev/adopted-from";

// Makes a ready volume of an orphan. Its filesystem is identified by its superblock and mounted and
// checked on a private clone; what the root directory is there becomes the baseline of the record.
// The file itself is renamed at most, and nothing that a row or the trash claims, under whatever
// name, is ever taken. There is no intent to record: until the row is there it is an orphan still.
// The caller holds the lock of the name, knows that no other pool has it, and adopts one at a time.
// The same request again: the same volume. ALREADY_EXISTS: another volume has the name.
// FAILED_PRECONDITION: a row claims the file, it is in use, or it is no image that can be mounted.
// DATA_LOSS: the filesystem is damaged. RESOURCE_EXHAUSTED: the pool cannot owe it. NOT_FOUND: no
// such file.
//
// Before it: the volumes that owe nothing, because their blocks are their own, and whose images
// share some. A copy by 'cp' shares all of its original's, and from now on both are written to.
// Nothing when the file shares none. ABORTED while one of them is in another call.
absl::Status MarkSharers(Pool& pool, VolumeLocks& locks, const AdoptRequest& request);
absl::StatusOr<Volume> AdoptOrphan(Pool& pool, const AdoptRequest& request, int64_t now_unix_nanos);

}  // namespace holdfast
