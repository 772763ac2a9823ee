#include "base/status_macros.h"
#include "controller/answers.h"
#include "controller/controller_service.h"
#include "rpc/parse.h"

namespace holdfast {

absl::Status ControllerService::Handle(const csi::v1::ControllerGetVolumeRequest& request,
                                       csi::v1::ControllerGetVolumeResponse& response) {
  ASSIGN_OR_RETURN(std::string id, RequireId("volume_id", request.volume_id()));
  ASSIGN_OR_RETURN(const LocatedVolume found, RequireVolume(id));
  *response.mutable_volume() = VolumeAnswer(found.volume, found.node.name);
  response.mutable_status();  // REQUIRED by CSI, and has nothing to say: volumes are not attached
  return absl::OkStatus();
}

}  // namespace holdfast
