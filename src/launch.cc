#include "launch.h"

#include <utility>

#include "agent/tls.h"
#include "base/status_macros.h"
#include "fmt/format.h"
#include "os/process.h"
#include "os/secret_files.h"
#include "os/small_file.h"
#include "pki/certificates.h"
#include "rpc/log_lines.h"
#include "rpc/observer.h"

namespace holdfast {
namespace {

absl::StatusOr<std::string> ReadPem(const char* flag, const std::string& path) {
  std::optional<std::string> text = ReadSmallFile(path);
  if (text) return *std::move(text);
  return absl::InvalidArgumentError(
      fmt::format("{}: expected a PEM file that can be read, found none at {}", flag, path));
}

}  // namespace

int Refuse(const absl::Status& status) {
  fmt::print(stderr, "holdfast: {}\n", EscapeControls(std::string(status.message())));
  return kCannotStart;
}

std::shared_ptr<spdlog::logger> StartLog(const Config& config) {
  auto logger = std::make_shared<spdlog::logger>("", MakeStderrSink());
  logger->set_level(config.log_level);
  logger->set_formatter(MakeFormatter(config.log_format));
  spdlog::set_default_logger(logger);
  RouteGrpcLog();
  return logger;
}

absl::StatusOr<std::unique_ptr<Server>> Listening::Start(
    ServerOptions options, const std::vector<grpc::Service*>& services) {
  options.shutdown_timeout = config_.shutdown_timeout;
  Server::Interceptors observers;
  observers.push_back(std::make_unique<CallObserverFactory>(logger_, config_.log_format, metrics_));
  return Server::Start(options, services, std::move(observers));
}

absl::StatusOr<std::unique_ptr<Server>> Listening::OnSocket(
    const std::string& path, SocketClaim& claim, const std::vector<grpc::Service*>& services) {
  ServerOptions options;
  options.endpoint = "unix://" + path;
  const PrivateCreation private_socket;
  ASSIGN_OR_RETURN(auto server, Start(std::move(options), services));
  RETURN_IF_ERROR(claim.Protect());
  return server;
}

absl::StatusOr<std::unique_ptr<Server>> Listening::OnLink(
    const std::vector<grpc::Service*>& services, ClientCertificate client) {
  ServerOptions options;
  options.address = JoinHostPort(config_.link->listen);
  options.credentials = tls_->Server(client);
  return Start(std::move(options), services);
}

absl::StatusOr<std::unique_ptr<HttpServer>> StartHttp(const Config& config, const Metrics& metrics,
                                                      const Serving& serving) {
  if (!config.http_listen) return nullptr;
  return HttpServer::Start(*config.http_listen, metrics, [&serving] { return serving.Ready(); });
}

absl::Status KeepCredentials(const LinkConfig& link, const Credentials& credentials) {
  return ReplaceSecretFiles(link.enrolment_folder, {{"tls.key", credentials.private_key},
                                                    {"tls.crt", credentials.certificate},
                                                    {"ca.crt", credentials.authority}});
}

absl::Status CheckTlsFiles(const TlsFiles& files, const Holder& holder) {
  ASSIGN_OR_RETURN(const std::string certificate, ReadPem("--tls-cert", files.certificate));
  ASSIGN_OR_RETURN(const std::string private_key, ReadPem("--tls-key", files.private_key));
  ASSIGN_OR_RETURN(const std::string authority, ReadPem("--tls-ca", files.authority));
  RETURN_IF_ERROR(CheckPair(private_key, certificate, authority));
  ASSIGN_OR_RETURN(const CertificateFacts facts, ReadCertificate(certificate));
  if (facts.holder == holder) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("--tls-cert: expected a certificate of {}, found one of {}", HolderUri(holder),
                  HolderUri(facts.holder)));
}

}  // namespace holdfast
