// Sees every call end: one log line and one count each.
#pragma once

#include <memory>

#include "grpcpp/support/server_interceptor.h"
#include "rpc/log_lines.h"
#include "rpc/metrics.h"
#include "spdlog/logger.h"

namespace holdfast {

// Writes one line when a call ends: method, the ids and names it was about, code, milliseconds and
// the error's message; at level debug the request too, without its secrets (redact.h). A failure is
// a warning. `logger`, whose formatter is MakeFormatter(format), and `metrics` must outlive the
// server. Thread-safe.
class CallObserverFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  CallObserverFactory(spdlog::logger& logger, LogFormat format, Metrics& metrics)
      : logger_(logger), format_(format), metrics_(metrics) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override;

 private:
  spdlog::logger& logger_;
  const LogFormat format_;
  Metrics& metrics_;
};

}  // namespace holdfast
