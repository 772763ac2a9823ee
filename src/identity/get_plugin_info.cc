#include "base/build_info.h"
#include "identity/identity_service.h"

namespace holdfast {

absl::Status IdentityService::Handle(const csi::v1::GetPluginInfoRequest&,
                                     csi::v1::GetPluginInfoResponse& response) {
  response.set_name(kDriverName);
  response.set_vendor_version(kDriverVersion);
  return absl::OkStatus();
}

}  // namespace holdfast
