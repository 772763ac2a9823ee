#include "base/status_macros.h"
#include "controller/controller_service.h"
#include "rpc/parse.h"

namespace holdfast {

absl::Status ControllerService::Handle(const csi::v1::DeleteVolumeRequest& request,
                                       csi::v1::DeleteVolumeResponse&) {
  ASSIGN_OR_RETURN(std::string id, RequireId("volume_id", request.volume_id()));
  RETURN_IF_ERROR(ParseMap("secrets", request.secrets()).status());
  ASSIGN_OR_RETURN(const auto node, Locate(id));
  return node ? node->engine->DeleteVolume(id) : absl::OkStatus();
}

}  // namespace holdfast
