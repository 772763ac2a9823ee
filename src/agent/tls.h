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
#include "grpcpp/server_context.h"
#include "pki/certificates.h"

namespace holdfast {

// Paths of PEM files: of the authority that both ends trust, and of our certificate and its key.
struct TlsFiles {
  std::string authority;
  std::string certificate;
  std::string private_key;
};

// Called once, before anything of gRPC: from then on this process speaks TLS 1.3 only
// (docs/adr/0013 says how, and a test how it is known).
void RequireTls13();

// A server that lets nobody in without a certificate of the authority. Whose it is, each handler
// asks with RequireRole.
std::shared_ptr<grpc::ServerCredentials> ServerTls(const TlsFiles& files);

// A client that speaks to nobody but `expected`.
std::shared_ptr<grpc::ChannelCredentials> ClientTls(const TlsFiles& files, const Holder& expected);

// Who calls, by the certificate that the handshake has verified. UNAUTHENTICATED: nobody that
// pki/certificates.h knows. PERMISSION_DENIED: somebody of another role.
absl::StatusOr<Holder> RequireRole(const grpc::ServerContextBase& context, Holder::Role role);

}  // namespace holdfast
