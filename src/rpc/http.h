// What is seen from outside over HTTP: /metrics, /healthz and /readyz.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rpc/metrics.h"

namespace holdfast {

struct HostPort {
  std::string host;  // empty: all addresses
  int port = 0;      // 0: any free one
};

// "HOST:PORT", ":PORT" or "[IPV6]:PORT". INVALID_ARGUMENT with one line.
absl::StatusOr<HostPort> ParseHostPort(const std::string& text);
// The reverse, "0.0.0.0" for no host.
std::string JoinHostPort(const HostPort& address);

// Thread-safe. /healthz is 200 as long as the process answers; /readyz is 200 or, with the sentence
// of `ready`, 503. Plain text; GET and HEAD only.
class HttpServer {
 public:
  // Serves at once. `metrics` must outlive it. UNAVAILABLE: the address could not be bound.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const HostPort& address,
                                                           const Metrics& metrics,
                                                           std::function<absl::Status()> ready);
  // Ends its threads.
  ~HttpServer();

  int port() const;

 private:
  struct Civet;
  explicit HttpServer(std::unique_ptr<Civet> civet);

  const std::unique_ptr<Civet> civet_;
};

}  // namespace holdfast
