#include "base/status_macros.h"
#include "node/node_service.h"
#include "rpc/parse.h"

namespace holdfast {
namespace {

void AddUsage(csi::v1::NodeGetVolumeStatsResponse& response, csi::v1::VolumeUsage::Unit unit,
              uint64_t total, uint64_t used, uint64_t available) {
  csi::v1::VolumeUsage* usage = response.add_usage();
  usage->set_unit(unit);
  usage->set_total(static_cast<int64_t>(total));
  usage->set_used(static_cast<int64_t>(used));
  usage->set_available(static_cast<int64_t>(available));
}

}  // namespace

absl::Status NodeService::Handle(const csi::v1::NodeGetVolumeStatsRequest& request,
                                 csi::v1::NodeGetVolumeStatsResponse& response) {
  ASSIGN_OR_RETURN(const std::string volume_id, RequireId("volume_id", request.volume_id()));
  if (request.volume_path().empty()) {
    return absl::InvalidArgumentError("volume_path: expected a path, found none");
  }
  // No lock: nothing is changed, and kubelet asks often.
  ASSIGN_OR_RETURN(const LocalVolume local, engine_.FindLocal(volume_id));
  ASSIGN_OR_RETURN(const Presence presence, Ask(local));
  ASSIGN_OR_RETURN(const MountEntry* mount, MountOfPath(local, presence, request.volume_path()));
  if (local.volume.content == Content::kBlock) {
    response.add_usage()->set_unit(csi::v1::VolumeUsage::BYTES);
    response.mutable_usage(0)->set_total(static_cast<int64_t>(presence.loop->size_bytes));
    return absl::OkStatus();
  }
  absl::StatusOr<UniqueFd> root = host_.OpenMount(mount->target);
  // An unpublish beside us was faster: nothing is mounted there any more.
  if (absl::IsFailedPrecondition(root.status())) return NoMountAt(local, request.volume_path());
  RETURN_IF_ERROR(root.status());
  ASSIGN_OR_RETURN(const Usage usage, host_.ReadUsage(*root));
  AddUsage(response, csi::v1::VolumeUsage::BYTES, usage.total_bytes, usage.used_bytes,
           usage.available_bytes);
  // btrfs has no inode table to count.
  if (usage.total_inodes == 0) return absl::OkStatus();
  AddUsage(response, csi::v1::VolumeUsage::INODES, usage.total_inodes, usage.used_inodes,
           usage.available_inodes);
  return absl::OkStatus();
}

}  // namespace holdfast
