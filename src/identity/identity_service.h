// The CSI Identity service: who this driver is and whether it can work.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "proto/csi/csi.grpc.pb.h"
#include "rpc/status.h"

namespace holdfast {

struct ProbeState {
  enum class Health {
    kStarting,   // pools have not all answered their self-test: ready = false
    kReady,      // they have, and at least one is served
    kUnhealthy,  // they have, and none is: FAILED_PRECONDITION, so that a restart tries again
  };
  Health health = Health::kStarting;
  std::string reason;  // one sentence, unless ready
};

// One file per RPC holds its Handle overload. Thread-safe when `probe` is.
class IdentityService final : public csi::v1::Identity::Service {
 public:
  // `probe` answers from memory: livenessprobe gives it three seconds and restarts the pod.
  explicit IdentityService(std::function<ProbeState()> probe) : probe_(std::move(probe)) {}

#define HOLDFAST_RPC(Name)                                                       \
  grpc::Status Name(grpc::ServerContext*, const csi::v1::Name##Request* request, \
                    csi::v1::Name##Response* response) override {                \
    return ToGrpc(Handle(*request, *response));                                  \
  }
  HOLDFAST_RPC(GetPluginInfo)
  HOLDFAST_RPC(GetPluginCapabilities)
  HOLDFAST_RPC(Probe)
#undef HOLDFAST_RPC

 private:
  absl::Status Handle(const csi::v1::GetPluginInfoRequest& request,
                      csi::v1::GetPluginInfoResponse& response);
  absl::Status Handle(const csi::v1::GetPluginCapabilitiesRequest& request,
                      csi::v1::GetPluginCapabilitiesResponse& response);
  absl::Status Handle(const csi::v1::ProbeRequest& request, csi::v1::ProbeResponse& response);

  const std::function<ProbeState()> probe_;
};

}  // namespace holdfast
