#include "agent/tls.h"

#include <cstdlib>
#include <functional>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "fmt/format.h"
#include "grpc/grpc_security_constants.h"
#include "grpcpp/security/tls_certificate_verifier.h"
#include "grpcpp/security/tls_credentials_options.h"

namespace holdfast {
namespace {

namespace tls = grpc::experimental;

constexpr unsigned kRereadSeconds = 1;

// Runs after the handshake has verified the chain, before anything is sent.
class IsExpected final : public tls::ExternalCertificateVerifier {
 public:
  explicit IsExpected(Holder expected) : expected_(std::move(expected)) {}

  bool Verify(tls::TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* status) override {
    std::vector<std::string> uris;
    for (const grpc::string_ref& uri : request->uri_names()) {
      uris.emplace_back(uri.data(), uri.size());
    }
    const absl::StatusOr<Holder> found = ParseHolder(uris);
    if (!found.ok()) {
      *status = {grpc::StatusCode::UNAUTHENTICATED, std::string(found.status().message())};
    } else if (!(*found == expected_)) {
      *status = {grpc::StatusCode::UNAUTHENTICATED,
                 fmt::format("certificate of the other end: expected {}, found {}",
                             HolderUri(expected_), HolderUri(*found))};
    }
    return true;  // done, not to be waited for
  }
  void Cancel(tls::TlsCustomVerificationCheckRequest*) override {}

 private:
  const Holder expected_;
};

std::shared_ptr<grpc::ChannelCredentials> SpeakTo(const Holder& expected,
                                                  tls::TlsChannelCredentialsOptions& options) {
  options.watch_root_certs();
  options.set_verify_server_certs(true);
  // Certificates name nodes, not hosts.
  options.set_check_call_host(false);
  options.set_certificate_verifier(tls::ExternalCertificateVerifier::Create<IsExpected>(expected));
  return tls::TlsCredentials(options);
}

const char* RoleName(Holder::Role role) {
  return role == Holder::Role::kController ? "the controller" : "a node";
}

}  // namespace

void RequireTls13() {
  // gRPC 1.51 has no call for the version. Of all suites below 1.3 it is given one that needs a
  // secret which nobody here has, so that no handshake below 1.3 can succeed. It looks once, before
  // its first handshake.
  static const int set = setenv("GRPC_SSL_CIPHER_SUITES", "PSK-AES256-GCM-SHA384", /*overwrite=*/1);
  if (set != 0) std::abort();
}

LinkTls::LinkTls(const TlsFiles& files)
    : watcher_(std::make_shared<tls::FileWatcherCertificateProvider>(
          files.private_key, files.certificate, files.authority, kRereadSeconds)) {
  RequireTls13();
}

std::shared_ptr<grpc::ServerCredentials> LinkTls::Server(ClientCertificate client) const {
  tls::TlsServerCredentialsOptions options(watcher_);
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(client == ClientCertificate::kRequired
                                    ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                    : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  return tls::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> LinkTls::Client(const Holder& expected) const {
  tls::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(watcher_);
  options.watch_identity_key_cert_pairs();
  return SpeakTo(expected, options);
}

std::shared_ptr<grpc::ChannelCredentials> EnrolmentTls(const std::string& authority,
                                                       const Holder& expected) {
  RequireTls13();
  tls::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(
      std::make_shared<tls::FileWatcherCertificateProvider>(authority, kRereadSeconds));
  return SpeakTo(expected, options);
}

absl::StatusOr<Holder> RequireRole(const grpc::ServerContextBase& context, Holder::Role role) {
  std::vector<std::string> uris;
  for (const grpc::string_ref& uri : context.auth_context()->FindPropertyValues("peer_uri")) {
    uris.emplace_back(uri.data(), uri.size());
  }
  ASSIGN_OR_RETURN(Holder holder, ParseHolder(uris));
  if (holder.role == role) return holder;
  return absl::PermissionDeniedError(fmt::format(
      "certificate of the caller: expected {}'s, found {}", RoleName(role), HolderUri(holder)));
}

}  // namespace holdfast
