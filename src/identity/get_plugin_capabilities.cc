#include "identity/identity_service.h"

namespace holdfast {

// The same in every mode of the program: CSI wants one answer of the whole driver.
absl::Status IdentityService::Handle(const csi::v1::GetPluginCapabilitiesRequest&,
                                     csi::v1::GetPluginCapabilitiesResponse& response) {
  using csi::v1::PluginCapability;
  for (const auto type : {PluginCapability::Service::CONTROLLER_SERVICE,
                          PluginCapability::Service::VOLUME_ACCESSIBILITY_CONSTRAINTS}) {
    response.add_capabilities()->mutable_service()->set_type(type);
  }
  response.add_capabilities()->mutable_volume_expansion()->set_type(
      PluginCapability::VolumeExpansion::ONLINE);
  return absl::OkStatus();
}

}  // namespace holdfast
