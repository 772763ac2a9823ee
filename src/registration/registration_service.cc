#include "registration/registration_service.h"

#include "base/build_info.h"

namespace holdfast {
namespace {

// kubelet's own numbering: CSI is 1.x to it, and it takes the highest it knows.
constexpr char kCsiVersion[] = "1.0.0";

}  // namespace

grpc::Status RegistrationService::GetInfo(grpc::ServerContext*,
                                          const pluginregistration::InfoRequest*,
                                          pluginregistration::PluginInfo* info) {
  info->set_type("CSIPlugin");
  info->set_name(kDriverName);
  info->set_endpoint(csi_socket_);
  info->add_supported_versions(kCsiVersion);
  return grpc::Status::OK;
}

grpc::Status RegistrationService::NotifyRegistrationStatus(
    grpc::ServerContext*, const pluginregistration::RegistrationStatus* status,
    pluginregistration::RegistrationStatusResponse*) {
  heard_(status->plugin_registered() ? absl::OkStatus()
                                     : absl::FailedPreconditionError(status->error()));
  return grpc::Status::OK;
}

}  // namespace holdfast
