// What the modes of this program have in common: how they start to speak, and to listen.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/enrolment.h"
#include "config.h"
#include "os/unix_socket.h"
#include "rpc/http.h"
#include "rpc/metrics.h"
#include "rpc/server.h"
#include "serving.h"
#include "spdlog/spdlog.h"

namespace holdfast {

inline constexpr int kCannotStart = 2;
inline constexpr int kDidNotStop = 3;

// Each mode, from its configuration to its end: the exit code of the process.
int ServeNode(const Config& config);  // of "all" and "node"
int ServeController(const Config& config);

// What stands in the way of a start is one line, whatever the log's format and level. Returns
// kCannotStart.
int Refuse(const absl::Status& status);

std::shared_ptr<spdlog::logger> StartLog(const Config& config);

// Every call of these servers is logged and counted.
class Listening {
 public:
  Listening(const Config& config, spdlog::logger& logger, Metrics& metrics)
      : config_(config), logger_(logger), metrics_(metrics) {
    if (config.link) tls_.emplace(config.link->tls);
  }

  // On a unix socket whose path is claimed.
  absl::StatusOr<std::unique_ptr<Server>> OnSocket(const std::string& path, SocketClaim& claim,
                                                   const std::vector<grpc::Service*>& services);
  // On the link's address, with mutual TLS.
  absl::StatusOr<std::unique_ptr<Server>> OnLink(const std::vector<grpc::Service*>& services,
                                                 ClientCertificate client);
  // Of the link, which there must be.
  const LinkTls& tls() const { return *tls_; }

 private:
  absl::StatusOr<std::unique_ptr<Server>> Start(ServerOptions options,
                                                const std::vector<grpc::Service*>& services);

  const Config& config_;
  spdlog::logger& logger_;
  Metrics& metrics_;
  std::optional<LinkTls> tls_;
};

// Null when it is not wanted.
absl::StatusOr<std::unique_ptr<HttpServer>> StartHttp(const Config& config, const Metrics& metrics,
                                                      const Serving& serving);

// Puts credentials where the link reads them (--tls-folder).
absl::Status KeepCredentials(const LinkConfig& link, const Credentials& credentials);

// The link's files are there, belong together, and are `holder`'s: INVALID_ARGUMENT in one line.
absl::Status CheckTlsFiles(const TlsFiles& files, const Holder& holder);

}  // namespace holdfast
