#include <fmt/format.h>

#include "base/refusal.h"
#include "base/status_macros.h"
#include "node/node_service.h"
#include "rpc/parse.h"

namespace holdfast {

absl::Status NodeService::Handle(const csi::v1::NodeExpandVolumeRequest& request,
                                 csi::v1::NodeExpandVolumeResponse& response) {
  // Parse.
  ASSIGN_OR_RETURN(const std::string volume_id, RequireId("volume_id", request.volume_id()));
  if (request.volume_path().empty()) {
    return absl::InvalidArgumentError("volume_path: expected a path, found none");
  }
  ASSIGN_OR_RETURN(const CapacityRange range,
                   ParseCapacityRange("capacity_range", request.capacity_range()));
  // Lock.
  ASSIGN_OR_RETURN(const auto guard, Lock(volume_id));
  // Ask the catalog and the kernel what is already so.
  ASSIGN_OR_RETURN(LocalVolume local, engine_.FindLocal(volume_id));
  Volume& volume = local.volume;
  ASSIGN_OR_RETURN(const Presence presence, Ask(local));
  ASSIGN_OR_RETURN(const MountEntry* mount, MountOfPath(local, presence, request.volume_path()));
  if (!Satisfies(volume.capacity_bytes, range)) {
    const bool more = range.required_bytes > volume.capacity_bytes;
    return absl::OutOfRangeError(
        Refusal{"size of volume " + volume_id,
                "what the controller gave it, " + std::to_string(volume.capacity_bytes),
                more ? fmt::format("at least {} wanted", range.required_bytes)
                     : fmt::format("at most {} wanted", range.limit_bytes),
                more ? "expand it with the controller first" : "a volume never shrinks"}
            .Sentence());
  }
  // The image exactly as long as its row says: the rest of a half-done expansion is nobody's yet.
  RETURN_IF_ERROR(engine_.OpenImage(local, Access::kReadOnly).status());
  // Do: the device first, then what is in it.
  RETURN_IF_ERROR(host_.UpdateLoopSize(*presence.loop));
  response.set_capacity_bytes(static_cast<int64_t>(volume.capacity_bytes));
  if (volume.content == Content::kBlock || volume.filesystem_bytes == volume.capacity_bytes) {
    return absl::OkStatus();
  }
  const MountEntry* writable = presence.WritableMount();
  if (mount->filesystem_read_only || writable == nullptr) {
    return absl::FailedPreconditionError(Refusal{"expansion of mounted volume " + volume_id,
                                                 "a writable stage", "a read-only one",
                                                 "end its pods: it grows at its next stage"}
                                             .Sentence());
  }
  if (!host_.CanGrowMounted(volume.content)) {
    return absl::FailedPreconditionError(
        Refusal{"expansion of mounted volume " + volume_id,
                "a host that lets " + std::string(ContentName(volume.content)) +
                    " grow while mounted (CAP_SYS_RESOURCE)",
                "one that does not", "end its pods: it grows at its next stage"}
            .Sentence());
  }
  ASSIGN_OR_RETURN(const UniqueFd root, host_.OpenMount(writable->target));
  RETURN_IF_ERROR(host_.GrowMounted(root, volume.content));
  // Commit.
  volume.filesystem_bytes = volume.capacity_bytes;
  return Record(local);
}

}  // namespace holdfast
