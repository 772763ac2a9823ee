#include "admin_client.h"

#include <chrono>

#include "fmt/format.h"
#include "grpcpp/grpcpp.h"

namespace holdfast::ctl {
namespace {

// An adoption checks a whole filesystem.
constexpr auto kLongestCall = std::chrono::hours(1);
constexpr char kNoServer[] = "expected a running server, found none";

}  // namespace

absl::Status CallOver(
    const std::string& socket,
    const std::function<grpc::Status(const Channel&, grpc::ClientContext*)>& call) {
  const auto channel = grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kLongestCall);
  const grpc::Status status = call(channel, &context);
  if (status.ok()) return absl::OkStatus();
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE &&
      channel->GetState(false) != GRPC_CHANNEL_READY) {
    return absl::NotFoundError(fmt::format(
        "admin socket {}: {}; start it, or name its socket with --admin-socket (changes "
        "are made by the server that has the pools)",
        socket, kNoServer));
  }
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
    return absl::FailedPreconditionError(fmt::format(
        "admin socket {}: expected a server that offers this, found another; 'cluster' asks a "
        "controller, everything else is asked of the node that has the pool",
        socket));
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

bool IsNoServer(const absl::Status& status) {
  return absl::IsNotFound(status) && status.message().find(kNoServer) != absl::string_view::npos;
}

}  // namespace holdfast::ctl
