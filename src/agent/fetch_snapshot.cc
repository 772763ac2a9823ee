#include "agent/fetch_snapshot.h"

#include "agent/agent_service.h"
#include "base/status_macros.h"
#include "fmt/format.h"
#include "proto/agent/agent.grpc.pb.h"

namespace holdfast {
namespace {

absl::Status BrokeOff(const CopyOrigin& origin, const std::string& why) {
  return absl::UnavailableError(
      fmt::format("the copy from node {} broke off ({}); repeat the call, and it goes on; is that "
                  "node up, and its holdfast-node pod?",
                  origin.node, why));
}

}  // namespace

absl::StatusOr<std::string> FetchOver(const std::shared_ptr<grpc::Channel>& channel,
                                      const CopyOrigin& origin, uint64_t from, TakeChunk take) {
  grpc::ClientContext context;  // without a deadline: keepalive notices a node that is gone
  agent::v1::FetchRequest request;
  request.set_grant(origin.grant);
  request.set_from(from);
  const auto stub = agent::v1::Snapshots::NewStub(channel);
  const auto reader = stub->Fetch(&context, request);
  absl::Status taken;
  std::string digest;
  agent::v1::FetchResponse response;
  while (taken.ok() && reader->Read(&response)) {
    if (response.has_chunk()) {
      const agent::v1::ImageChunk& chunk = response.chunk();
      taken = take({chunk.index(), chunk.data(), chunk.sha256()});
    } else {
      digest = response.image_sha256();
    }
  }
  if (!taken.ok()) context.TryCancel();
  const grpc::Status status = reader->Finish();
  RETURN_IF_ERROR(taken);
  const bool answered = context.GetServerTrailingMetadata().contains(kAnsweredKey);
  if (status.ok() && !digest.empty()) return digest;
  if (status.ok()) return BrokeOff(origin, "without a digest");
  switch (status.error_code()) {
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::PERMISSION_DENIED:  // the next call brings another grant
    case grpc::StatusCode::UNAUTHENTICATED:
      return BrokeOff(origin, status.error_message());
    default:
      if (!answered) return BrokeOff(origin, status.error_message());
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace holdfast
