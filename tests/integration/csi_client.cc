#include "tests/integration/csi_client.h"

#include <grpcpp/grpcpp.h>

#include "proto/csi/csi.grpc.pb.h"

namespace holdfast {
namespace {

constexpr std::chrono::seconds kDeadline{120};

}  // namespace

struct CsiClient::Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel)
      : identity(csi::v1::Identity::NewStub(channel)),
        controller(csi::v1::Controller::NewStub(channel)),
        node(csi::v1::Node::NewStub(channel)) {}
  std::unique_ptr<csi::v1::Identity::Stub> identity;
  std::unique_ptr<csi::v1::Controller::Stub> controller;
  std::unique_ptr<csi::v1::Node::Stub> node;
};

CsiClient::CsiClient(const std::string& socket) {
  grpc::ChannelArguments arguments;
  // A connection of its own, not one that a client of the same address left behind.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  stubs_ = std::make_unique<Stubs>(
      grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments));
}

CsiClient::~CsiClient() = default;

#define HOLDFAST_RPC(service, Name)                                                                \
  absl::StatusOr<csi::v1::Name##Response> CsiClient::Call(const csi::v1::Name##Request& request) { \
    grpc::ClientContext context;                                                                   \
    context.set_deadline(std::chrono::system_clock::now() + kDeadline);                            \
    csi::v1::Name##Response response;                                                              \
    const grpc::Status status = stubs_->service->Name(&context, request, &response);               \
    if (status.ok()) return response;                                                              \
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()),                        \
                        status.error_message());                                                   \
  }
HOLDFAST_RPC(identity, Probe)
HOLDFAST_RPC(identity, GetPluginInfo)
HOLDFAST_RPC(controller, CreateVolume)
HOLDFAST_RPC(controller, DeleteVolume)
HOLDFAST_RPC(controller, ValidateVolumeCapabilities)
HOLDFAST_RPC(controller, ListVolumes)
HOLDFAST_RPC(controller, ControllerGetVolume)
HOLDFAST_RPC(controller, GetCapacity)
HOLDFAST_RPC(controller, CreateSnapshot)
HOLDFAST_RPC(controller, DeleteSnapshot)
HOLDFAST_RPC(controller, ListSnapshots)
HOLDFAST_RPC(controller, GetSnapshot)
HOLDFAST_RPC(controller, ControllerExpandVolume)
HOLDFAST_RPC(node, NodeStageVolume)
HOLDFAST_RPC(node, NodeUnstageVolume)
HOLDFAST_RPC(node, NodePublishVolume)
HOLDFAST_RPC(node, NodeUnpublishVolume)
HOLDFAST_RPC(node, NodeGetVolumeStats)
HOLDFAST_RPC(node, NodeExpandVolume)
HOLDFAST_RPC(node, NodeGetInfo)
#undef HOLDFAST_RPC

}  // namespace holdfast
