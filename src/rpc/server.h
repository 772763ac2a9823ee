// The gRPC server: on a unix socket, or on an address of the network with credentials.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/channel.h"
#include "grpcpp/impl/service_type.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/support/server_interceptor.h"

namespace holdfast {

struct ServerOptions {
  // "unix:///absolute/path"; empty: no socket. Whoever starts the server has made sure that the
  // path is free (os/unix_socket.h).
  std::string endpoint;
  // "host:port", port 0: any that is free; empty: none. Nobody comes in there but by `credentials`.
  std::string address;
  std::shared_ptr<grpc::ServerCredentials> credentials;
  // Calls beyond these wait in their client (per connection) or are UNAVAILABLE (in all).
  int calls_per_connection = 64;
  int max_threads = 192;
  // How long Stop() lets calls in flight run before it cancels them.
  std::chrono::milliseconds shutdown_timeout{std::chrono::seconds(30)};
  // And then how long a handler may need to notice it.
  std::chrono::milliseconds cancel_grace{std::chrono::seconds(2)};
};

class Server {
 public:
  using Interceptors =
      std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>;

  // Serves at once. `services` must outlive it. INVALID_ARGUMENT: endpoint; UNAVAILABLE: it or the
  // address could not be bound.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       const std::vector<grpc::Service*>& services,
                                                       Interceptors interceptors);
  // Stops when that was not done, and waits for its handlers without a limit.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Accepts nothing more and lets calls in flight end. DEADLINE_EXCEEDED: a handler still runs,
  // cancel_grace after it was cancelled; the process may only exit then, without destroying what
  // the handler uses. To be called once.
  absl::Status Stop();

  std::shared_ptr<grpc::Channel> InProcessChannel();
  // Of the address; 0 without one.
  int port() const { return port_; }

 private:
  Server(std::unique_ptr<grpc::Server> server, const ServerOptions& options, int port);

  std::unique_ptr<grpc::Server> server_;
  const int port_;
  const ServerOptions options_;
  std::thread shutdown_;
};

// gRPC's own messages go to spdlog's default logger, as debug lines: what matters in them is also
// the status of a call. Called once, before anything of gRPC.
void RouteGrpcLog();

// The path of "unix:///absolute/path" or "unix:/absolute/path". INVALID_ARGUMENT with one line for
// anything else, and for a path longer than a unix socket's name may be (107 bytes).
absl::StatusOr<std::string> SocketPath(const std::string& endpoint);

}  // namespace holdfast
