// What the workloads of thin volumes deleted goes back to the pool.
#include "base/sizes.h"
#include "base/status_macros.h"
#include "node/node_service.h"

namespace holdfast {
namespace {

// As much as one look takes at most: between two of them a call may have the volume.
constexpr uint64_t kSliceBytes = 16 * kGiB;

// btrfs gives back by itself, raw block when its user says so.
bool NeedsTrim(const Pool& pool, const Volume& volume) {
  return GivesBack(volume.parameters.provisioning, pool.filesystem) &&
         (volume.content == Content::kExt4 || volume.content == Content::kXfs) &&
         volume.stage.last_end == LastEnd::kStaged;
}

}  // namespace

absl::Status NodeService::TrimThinVolumes(const std::function<bool()>& stop) {
  absl::Status first;
  for (const auto& pool : engine_.pools()) {
    ASSIGN_OR_RETURN(const auto volumes, pool->catalog->AllVolumes());
    for (const Volume& volume : volumes) {
      if (!NeedsTrim(*pool, volume)) continue;
      for (uint64_t start = 0; start < volume.filesystem_bytes; start += kSliceBytes) {
        if (stop()) return absl::OkStatus();
        const absl::Status trimmed = TrimSlice(volume.id, start);
        // A call has it, or it has gone since: the next time.
        const bool passing = absl::IsAborted(trimmed) || absl::IsNotFound(trimmed);
        if (!passing) first.Update(trimmed);
        if (!trimmed.ok()) break;
      }
    }
  }
  return first;
}

absl::Status NodeService::TrimSlice(const std::string& volume_id, uint64_t start) {
  ASSIGN_OR_RETURN(const auto guard, Lock(volume_id));
  ASSIGN_OR_RETURN(const LocalVolume local, engine_.FindLocal(volume_id));
  ASSIGN_OR_RETURN(const Presence presence, Ask(local));
  const MountEntry* const mount = presence.WritableMount();
  if (mount == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(const UniqueFd root, host_.OpenMount(mount->target));
  return host_.Trim(root, start, kSliceBytes);
}

}  // namespace holdfast
