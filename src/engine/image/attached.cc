#include "engine/image/attached.h"

#include "base/status_macros.h"
#include "engine/image/image_files.h"

namespace holdfast {
namespace {

absl::StatusOr<bool> NameLeadsToIt(const Pool& pool, const Volume& volume) {
  ASSIGN_OR_RETURN(const auto named, pool.host.OpenFile(pool.volumes, ImageName(volume.incarnation),
                                                        Access::kReadOnly));
  if (!named) return false;
  ASSIGN_OR_RETURN(const FileFacts facts, pool.host.Describe(*named));
  return IsImageOf(volume, facts);
}

// While it is attached, a file's inode number is nobody else's.
absl::StatusOr<bool> StageIsOn(Host& host, const StageRecord& stage, const Loop& loop) {
  if (stage.last_end != LastEnd::kStaged) return false;
  ASSIGN_OR_RETURN(const std::string boot_id, host.BootId());
  return stage.boot_id == boot_id && stage.disk_sequence == loop.disk_sequence;
}

}  // namespace

absl::StatusOr<std::vector<Loop>> LoopsByInode(const Pool& pool, const Volume& volume) {
  std::vector<Loop> loops;
  if (volume.image_inode == 0) return loops;
  ASSIGN_OR_RETURN(FileFacts image, pool.host.Describe(pool.lock));  // of the pool's filesystem
  image.inode = volume.image_inode;
  ASSIGN_OR_RETURN(loops, pool.host.Attachments(image));
  if (loops.empty()) return loops;
  ASSIGN_OR_RETURN(const bool named, NameLeadsToIt(pool, volume));
  if (named) return loops;
  std::vector<Loop> staged;
  for (Loop& loop : loops) {
    ASSIGN_OR_RETURN(const bool ours, StageIsOn(pool.host, volume.stage, loop));
    if (ours) staged.push_back(std::move(loop));
  }
  return staged;
}

}  // namespace holdfast
