#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/refusal.h"
#include "base/status_macros.h"
#include "engine/image/private_mount.h"
#include "node/node_service.h"
#include "rpc/parse.h"

namespace holdfast {

absl::Status NodeService::Handle(const csi::v1::NodeUnstageVolumeRequest& request,
                                 csi::v1::NodeUnstageVolumeResponse&) {
  // Parse.
  ASSIGN_OR_RETURN(const std::string volume_id, RequireId("volume_id", request.volume_id()));
  ASSIGN_OR_RETURN(std::string staging,
                   RequirePath("staging_target_path", request.staging_target_path()));
  // Lock.
  ASSIGN_OR_RETURN(const auto guard, Lock(volume_id));
  // Ask the catalog and the kernel what is already so.
  ASSIGN_OR_RETURN(LocalVolume local, engine_.FindLocal(volume_id));
  ASSIGN_OR_RETURN(staging, host_.ResolveTarget(staging));
  ASSIGN_OR_RETURN(const Presence presence, Ask(local));
  if (!presence.loop) return absl::OkStatus();
  if (const MountEntry* published = presence.MountElsewhere(staging, staging)) {
    return absl::FailedPreconditionError(Refusal{"unstage of volume " + local.volume.id,
                                                 "no target left", "one at " + published->target,
                                                 "unpublish it first"}
                                             .Sentence());
  }
  if (local.volume.content != Content::kBlock) return UnstageFilesystem(local, staging, presence);
  // Do and commit: a raw block device holds no root to record.
  RETURN_IF_ERROR(host_.Detach(*presence.loop));
  local.volume.stage.last_end = LastEnd::kClean;
  local.volume.stage.terms.reset();
  return Record(local);
}

// Clean is only what the kernel has let go of: umount returns 0 while a copy in another mount
// namespace keeps the filesystem alive and writable.
absl::Status NodeService::UnstageFilesystem(LocalVolume& local, const std::string& staging,
                                            const Presence& presence) {
  if (presence.MountAt(staging) != nullptr) {
    ASSIGN_OR_RETURN(UniqueFd mount, host_.OpenMount(staging));
    ASSIGN_OR_RETURN(local.volume.stage.root, host_.ReadRoot(mount));
    mount.Close();  // it would keep its own mount busy
    RETURN_IF_ERROR(host_.Unmount(staging));
  } else if (local.volume.stage.last_end == LastEnd::kStaged) {
    // An earlier attempt unmounted it and found it held: what it read may be out of date.
    local.volume.stage.root.reset();
  }
  const absl::Status detached = WaitUntilDetached(host_, presence.image);
  if (!detached.ok()) {
    ASSIGN_OR_RETURN(const auto holders, host_.HoldersOf(*presence.loop));
    return absl::FailedPreconditionError(Refusal{
        "unstage of volume " + local.volume.id, presence.loop->path + " free",
        holders.empty() ? "still in use" : fmt::format("held by {}", fmt::join(holders, ", ")),
        "end what holds it; it is tried again"}
                                             .Sentence());
  }
  if (!local.volume.stage.root) return absl::OkStatus();
  local.volume.stage.last_end = LastEnd::kClean;
  local.volume.stage.terms.reset();
  return Record(local);
}

}  // namespace holdfast
