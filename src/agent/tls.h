// Mutual TLS 1.3 between controller and agents, and who the other end is.
//
// Both ends have a certificate of the same authority that names them (pki/certificates.h). The
// files are read again when they change, without a restart: a renewed certificate is used by the
// next connection, and connections are made anew every hour.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/server_context.h"
#include "pki/certificates.h"

namespace holdfast {

// Paths of PEM files: of the authority that both ends trust, and of our certificate and its key.
struct TlsFiles {
  std::string authority;
  std::string certificate;
  std::string private_key;
};

// From then on this process speaks TLS 1.3 only (docs/adr/0013 says how, and a test how it is
// known). What makes credentials here calls it; a program calls it once before it has threads,
// which may read the environment that it writes.
void RequireTls13();

enum class ClientCertificate { kRequired, kOptional };

// One end of the link, whose files are watched by one thread however many servers and channels use
// them.
class LinkTls {
 public:
  explicit LinkTls(const TlsFiles& files);

  // A server that lets nobody in with a certificate that the authority did not sign, or that has
  // expired. Whose it is, each handler asks with RequireRole. kOptional also lets in who has none:
  // only enrolment serves them.
  std::shared_ptr<grpc::ServerCredentials> Server(
      ClientCertificate client = ClientCertificate::kRequired) const;
  // A client that speaks to nobody but `expected`.
  std::shared_ptr<grpc::ChannelCredentials> Client(const Holder& expected) const;

 private:
  std::shared_ptr<grpc::experimental::CertificateProviderInterface> watcher_;
};

// A client without a certificate of its own, to enrol. `authority`: path of a PEM file.
std::shared_ptr<grpc::ChannelCredentials> EnrolmentTls(const std::string& authority,
                                                       const Holder& expected);

// Who calls, by the certificate that the handshake has verified. UNAUTHENTICATED: nobody that
// pki/certificates.h knows. PERMISSION_DENIED: somebody of another role.
absl::StatusOr<Holder> RequireRole(const grpc::ServerContextBase& context, Holder::Role role);

}  // namespace holdfast
