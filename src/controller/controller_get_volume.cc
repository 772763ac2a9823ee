#include "base/status_macros.h"
#include "controller/answers.h"
#include "controller/controller_service.h"
#include "fmt/format.h"
#include "rpc/parse.h"

namespace holdfast {

absl::Status ControllerService::Handle(const csi::v1::ControllerGetVolumeRequest& request,
                                       csi::v1::ControllerGetVolumeResponse& response) {
  ASSIGN_OR_RETURN(std::string id, RequireId("volume_id", request.volume_id()));
  ASSIGN_OR_RETURN(auto volume, engine_.FindVolume(id));
  if (!volume) return absl::NotFoundError(fmt::format("no volume {}", Quoted(id)));
  *response.mutable_volume() = VolumeAnswer(*volume, options_.node_id);
  response.mutable_status();  // REQUIRED by CSI, and has nothing to say: volumes are not attached
  return absl::OkStatus();
}

}  // namespace holdfast
