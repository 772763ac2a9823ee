// kubelet's plugin registration: who asks is kubelet, and what it learns is where CSI is served.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "proto/pluginregistration/pluginregistration.grpc.pb.h"

namespace holdfast {

// Thread-safe when `heard` is.
class RegistrationService final : public pluginregistration::Registration::Service {
 public:
  // kubelet's verdict: OK, or FAILED_PRECONDITION with kubelet's words. It asks again by itself,
  // every second at first, so that nothing needs to be done about a refusal.
  using Heard = std::function<void(const absl::Status&)>;

  // `csi_socket`: the path, which must be the same for kubelet as for us.
  RegistrationService(std::string csi_socket, Heard heard)
      : csi_socket_(std::move(csi_socket)), heard_(std::move(heard)) {}

  grpc::Status GetInfo(grpc::ServerContext*, const pluginregistration::InfoRequest*,
                       pluginregistration::PluginInfo* info) override;
  grpc::Status NotifyRegistrationStatus(grpc::ServerContext*,
                                        const pluginregistration::RegistrationStatus* status,
                                        pluginregistration::RegistrationStatusResponse*) override;

 private:
  const std::string csi_socket_;
  const Heard heard_;
};

}  // namespace holdfast
