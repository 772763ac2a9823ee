#include "base/refusal.h"
#include "base/status_macros.h"
#include "node/capability_check.h"
#include "node/node_service.h"
#include "rpc/parse.h"

namespace holdfast {

absl::Status NodeService::Handle(const csi::v1::NodeUnpublishVolumeRequest& request,
                                 csi::v1::NodeUnpublishVolumeResponse&) {
  // Parse.
  ASSIGN_OR_RETURN(const std::string volume_id, RequireId("volume_id", request.volume_id()));
  ASSIGN_OR_RETURN(std::string target, RequirePath("target_path", request.target_path()));
  // Lock.
  ASSIGN_OR_RETURN(const auto guard, Lock(volume_id));
  // Ask: whose is what is mounted there?
  const auto found = engine_.FindLocal(volume_id);
  if (absl::IsNotFound(found.status())) {
    RETURN_IF_ERROR(CheckNothingAt(target, found.status()));
    return host_.RemoveTarget(target);
  }
  RETURN_IF_ERROR(found.status());
  const LocalVolume& local = *found;
  ASSIGN_OR_RETURN(target, host_.ResolveTarget(target));
  // The staged mount looks like a published one, and only the record of the stage tells.
  if (IsStagingPath(local.volume, target)) {
    return absl::FailedPreconditionError(Refusal{"unpublish of volume " + local.volume.id,
                                                 "a target path", "the staging path " + target,
                                                 "unstage the volume to put it away"}
                                             .Sentence());
  }
  ASSIGN_OR_RETURN(const Presence presence, Ask(local));
  ASSIGN_OR_RETURN(auto mount, host_.MountedAt(target));
  // Do. Mounts can be stacked by a crash between two publishes.
  while (mount) {
    if (presence.MountAt(target) == nullptr || mount->source != presence.MountAt(target)->source) {
      return absl::FailedPreconditionError(Refusal{"target " + target, "volume " + local.volume.id,
                                                   mount->type + " from " + mount->source,
                                                   "unpublish it with its own volume id"}
                                               .Sentence());
    }
    RETURN_IF_ERROR(host_.Unmount(target));
    ASSIGN_OR_RETURN(mount, host_.MountedAt(target));
  }
  return host_.RemoveTarget(target);
}

}  // namespace holdfast
