// A CSI client whose answers are absl::StatusOr.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "proto/csi/csi.pb.h"

namespace holdfast {

class CsiClient {
 public:
  explicit CsiClient(const std::string& socket);
  ~CsiClient();

#define HOLDFAST_RPC(Name) \
  absl::StatusOr<csi::v1::Name##Response> Call(const csi::v1::Name##Request& request);
  HOLDFAST_RPC(Probe)
  HOLDFAST_RPC(GetPluginInfo)
  HOLDFAST_RPC(CreateVolume)
  HOLDFAST_RPC(DeleteVolume)
  HOLDFAST_RPC(ValidateVolumeCapabilities)
  HOLDFAST_RPC(ListVolumes)
  HOLDFAST_RPC(ControllerGetVolume)
  HOLDFAST_RPC(GetCapacity)
  HOLDFAST_RPC(CreateSnapshot)
  HOLDFAST_RPC(DeleteSnapshot)
  HOLDFAST_RPC(ListSnapshots)
  HOLDFAST_RPC(GetSnapshot)
  HOLDFAST_RPC(ControllerExpandVolume)
  HOLDFAST_RPC(NodeStageVolume)
  HOLDFAST_RPC(NodeUnstageVolume)
  HOLDFAST_RPC(NodePublishVolume)
  HOLDFAST_RPC(NodeUnpublishVolume)
  HOLDFAST_RPC(NodeGetVolumeStats)
  HOLDFAST_RPC(NodeExpandVolume)
  HOLDFAST_RPC(NodeGetInfo)
#undef HOLDFAST_RPC

 private:
  struct Stubs;
  std::unique_ptr<Stubs> stubs_;
};

}  // namespace holdfast
