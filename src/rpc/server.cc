#include "rpc/server.h"

#include <algorithm>
#include <future>
#include <string_view>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "base/status_macros.h"
#include "fmt/format.h"
#include "grpc/support/log.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/resource_quota.h"
#include "spdlog/spdlog.h"

namespace holdfast {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerInterceptorFactoryInterface;
using grpc::experimental::ServerRpcInfo;

constexpr int kMaxReceiveBytes = 4 * 1024 * 1024;
constexpr int kMaxPollers = 16;

// Mends the statuses that gRPC makes by itself. Without a thread for a call it says
// RESOURCE_EXHAUSTED, which the provisioner takes for "no space on this node": UNAVAILABLE means
// "try again". And a method that is not overridden has no message, which CSI wants always.
class StatusMender final : public Interceptor {
 public:
  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      const grpc::Status status = methods->GetSendStatus();
      if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED &&
          status.error_message() == "Server Threadpool Exhausted") {
        methods->ModifySendStatus({grpc::StatusCode::UNAVAILABLE,
                                   "every thread of the server is busy with a call; try again"});
      } else if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED &&
                 status.error_message().empty()) {
        methods->ModifySendStatus(
            {grpc::StatusCode::UNIMPLEMENTED, "this driver does not offer that call"});
      }
    }
    methods->Proceed();
  }
};

// Connections of the network are made anew now and then, so that each has a certificate that is
// good; a call or stream on the old one may end first.
constexpr int kMaxConnectionAgeMs = 60 * 60 * 1000;
constexpr int kMaxConnectionAgeGraceMs = 15 * 60 * 1000;
// Clients ask whether we are there more often than gRPC takes for decent.
constexpr int kMinPingIntervalMs = 5'000;
// A refusal of ours has up to 4 KiB, which percent-encoding can make three times as long.
constexpr int kMaxMetadataBytes = 16 << 10;

void ListenOnAddress(const ServerOptions& options, grpc::ServerBuilder& builder, int* port) {
  builder.AddListeningPort(options.address, options.credentials, port);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, kMaxConnectionAgeMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, kMaxConnectionAgeGraceMs);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kMinPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
}

class StatusMenderFactory final : public ServerInterceptorFactoryInterface {
 public:
  Interceptor* CreateServerInterceptor(ServerRpcInfo*) override { return new StatusMender; }
};

}  // namespace

void RouteGrpcLog() {
  gpr_set_log_function([](gpr_log_func_args* line) { spdlog::debug("gRPC: {}", line->message); });
}

absl::StatusOr<std::string> SocketPath(const std::string& endpoint) {
  std::string_view path = endpoint;
  for (std::string_view scheme : {"unix://", "unix:"}) {
    if (path.substr(0, scheme.size()) == scheme) {
      path.remove_prefix(scheme.size());
      break;
    }
  }
  if (path.size() == endpoint.size() || path.empty() || path.front() != '/') {
    return absl::InvalidArgumentError(fmt::format(
        "endpoint: expected unix:///absolute/path/of.sock, found '{}'", endpoint.substr(0, 256)));
  }
  constexpr size_t kMaxSocketPathBytes = 107;  // sun_path less its NUL
  if (path.size() > kMaxSocketPathBytes) {
    return absl::InvalidArgumentError(
        fmt::format("endpoint: a socket's path may have {} bytes, this one has {}; use a shorter "
                    "folder",
                    kMaxSocketPathBytes, path.size()));
  }
  return std::string(path);
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      const std::vector<grpc::Service*>& services,
                                                      Interceptors interceptors) {
  // Debian's Abseil looks for lock cycles at each lock of gRPC's.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  grpc::ServerBuilder builder;
  if (!options.endpoint.empty()) {
    ASSIGN_OR_RETURN(const std::string path, SocketPath(options.endpoint));
    builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials());
  }
  int port = 0;
  if (!options.address.empty()) ListenOnAddress(options, builder, &port);
  for (grpc::Service* service : services) builder.RegisterService(service);
  builder.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  builder.SetMaxSendMessageSize(-1);
  builder.SetResourceQuota(grpc::ResourceQuota("holdfast").SetMaxThreads(options.max_threads));
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::NUM_CQS, 1);
  // The default of two makes and ends a thread for nearly every call of a burst.
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MAX_POLLERS,
                              std::min(kMaxPollers, options.max_threads / 2));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.calls_per_connection);
  // Interceptors see a status in this order: observers are to see it mended.
  interceptors.insert(interceptors.begin(), std::make_unique<StatusMenderFactory>());
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || (port == 0 && !options.address.empty())) {
    return absl::UnavailableError(fmt::format(
        "cannot listen on {}{}{}", options.endpoint,
        options.endpoint.empty() || options.address.empty() ? "" : " and ", options.address));
  }
  return std::unique_ptr<Server>(new Server(std::move(server), options, port));
}

Server::Server(std::unique_ptr<grpc::Server> server, const ServerOptions& options, int port)
    : server_(std::move(server)), port_(port), options_(options) {}

Server::~Server() {
  if (shutdown_.joinable()) {
    shutdown_.join();
  } else {
    server_->Shutdown(std::chrono::system_clock::now() + options_.shutdown_timeout);
  }
}

absl::Status Server::Stop() {
  std::promise<void> ended;
  std::future<void> end = ended.get_future();
  // On a thread of its own, because gRPC waits for its handlers however long they take.
  shutdown_ = std::thread([this, ended = std::move(ended)]() mutable {
    server_->Shutdown(std::chrono::system_clock::now() + options_.shutdown_timeout);
    ended.set_value();
  });
  if (end.wait_for(options_.shutdown_timeout + options_.cancel_grace) ==
      std::future_status::timeout) {
    return absl::DeadlineExceededError(
        fmt::format("a call still runs {} ms after the stop", options_.shutdown_timeout.count()));
  }
  return absl::OkStatus();
}

std::shared_ptr<grpc::Channel> Server::InProcessChannel() {
  return server_->InProcessChannel(grpc::ChannelArguments());
}

}  // namespace holdfast
