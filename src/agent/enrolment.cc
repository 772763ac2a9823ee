#include "agent/enrolment.h"

#include <utility>

#include "base/status_macros.h"
#include "fmt/format.h"
#include "rpc/status.h"
#include "spdlog/spdlog.h"

namespace holdfast {
namespace {

constexpr std::chrono::seconds kTimeout{20};  // the API server is asked meanwhile

}  // namespace

grpc::Status EnrolmentService::Enrol(grpc::ServerContext*, const agent::v1::EnrolRequest* request,
                                     agent::v1::EnrolResponse* response) {
  const auto sign = [&]() -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const std::string node, review_(request->service_account_token()));
    ASSIGN_OR_RETURN(std::string certificate,
                     authority_.Sign(request->signing_request(), {Holder::Role::kNode, node},
                                     kCertificateLifetime, clock_));
    spdlog::info("node {} has enrolled, for {} h", node, kCertificateLifetime.count());
    return certificate;
  };
  absl::StatusOr<std::string> certificate = sign();
  if (!certificate.ok()) return ToGrpc(certificate.status());
  response->set_certificate(*std::move(certificate));
  response->set_authority(authority_.certificate_pem());
  return grpc::Status::OK;
}

absl::StatusOr<Credentials> Enrol(const std::shared_ptr<grpc::Channel>& channel,
                                  const std::string& token) {
  Credentials credentials;
  ASSIGN_OR_RETURN(credentials.private_key, NewPrivateKey());
  agent::v1::EnrolRequest request;
  request.set_service_account_token(token);
  ASSIGN_OR_RETURN(*request.mutable_signing_request(), NewSigningRequest(credentials.private_key));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kTimeout);
  agent::v1::EnrolResponse response;
  const grpc::Status status =
      agent::v1::Enrolment::NewStub(channel)->Enrol(&context, request, &response);
  if (!status.ok()) {
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  }
  credentials.certificate = response.certificate();
  credentials.authority = response.authority();
  RETURN_IF_ERROR(
      CheckPair(credentials.private_key, credentials.certificate, credentials.authority));
  return credentials;
}

absl::StatusOr<Credentials> IssueOwn(const CertificateAuthority& authority, const Clock& clock) {
  Credentials credentials;
  ASSIGN_OR_RETURN(credentials.private_key, NewPrivateKey());
  ASSIGN_OR_RETURN(const std::string request, NewSigningRequest(credentials.private_key));
  ASSIGN_OR_RETURN(credentials.certificate, authority.Sign(request, {Holder::Role::kController, ""},
                                                           kCertificateLifetime, clock));
  credentials.authority = authority.certificate_pem();
  return credentials;
}

}  // namespace holdfast
