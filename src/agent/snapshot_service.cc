#include "agent/snapshot_service.h"

#include "agent/agent_service.h"
#include "agent/grant.h"
#include "agent/tls.h"
#include "base/status_macros.h"
#include "rpc/status.h"

namespace holdfast {

grpc::Status SnapshotService::Fetch(grpc::ServerContext* context,
                                    const agent::v1::FetchRequest* request,
                                    grpc::ServerWriter<agent::v1::FetchResponse>* writer) {
  context->AddTrailingMetadata(kAnsweredKey, "1");
  return ToGrpc(Serve(*context, *request, *writer));
}

absl::Status SnapshotService::Serve(grpc::ServerContext& context,
                                    const agent::v1::FetchRequest& request,
                                    grpc::ServerWriter<agent::v1::FetchResponse>& writer) {
  ASSIGN_OR_RETURN(const Holder caller, RequireRole(context, Holder::Role::kNode));
  const auto authority = authority_();
  if (!authority) return absl::UnavailableError("the authority's certificate cannot be read now");
  ASSIGN_OR_RETURN(const agent::v1::Grant grant,
                   CheckGrant(request.grant(), caller.node, node_, *authority, clock_));
  agent::v1::FetchResponse response;
  const auto send = [&](const Chunk& chunk) -> absl::Status {
    if (stopped_) return absl::UnavailableError("the node's plugin ends, and starts again");
    agent::v1::ImageChunk& wire = *response.mutable_chunk();
    wire.set_index(chunk.index);
    wire.set_data(chunk.data.data(), chunk.data.size());
    wire.set_sha256(chunk.sha256.data(), chunk.sha256.size());
    if (writer.Write(response)) return absl::OkStatus();
    return absl::CancelledError("the other node has gone");
  };
  ASSIGN_OR_RETURN(*response.mutable_image_sha256(),
                   reader_.ReadSnapshot(grant.snapshot_id(), grant.snapshot_incarnation(),
                                        request.from(), send));
  if (!writer.Write(response)) return absl::CancelledError("the other node has gone");
  return absl::OkStatus();
}

}  // namespace holdfast
