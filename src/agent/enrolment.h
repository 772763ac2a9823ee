// How a node gets its certificate: it shows a token for which the API server vouches, and is given
// a certificate for the node that the API server names.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "grpcpp/channel.h"
#include "pki/certificates.h"
#include "proto/agent/agent.grpc.pb.h"

namespace holdfast {

// Of every certificate that enrolment makes; renewed at half of it.
inline constexpr std::chrono::hours kCertificateLifetime{24};

// The controller's side. Thread-safe.
class EnrolmentService final : public agent::v1::Enrolment::Service {
 public:
  // The node of a token (kubernetes/trust.h); thread-safe.
  using Review = std::function<absl::StatusOr<std::string>(const std::string& token)>;

  // `authority` and `clock` must outlive it.
  EnrolmentService(const CertificateAuthority& authority, Review review, const Clock& clock)
      : authority_(authority), review_(std::move(review)), clock_(clock) {}

  grpc::Status Enrol(grpc::ServerContext* context, const agent::v1::EnrolRequest* request,
                     agent::v1::EnrolResponse* response) override;

 private:
  const CertificateAuthority& authority_;
  const Review review_;
  const Clock& clock_;
};

// What a holder shows: its key and the certificate for it, and whom it trusts. All PEM.
struct Credentials {
  std::string private_key, certificate, authority;
};

// The node's side: a new key, and a certificate for it from the controller behind `channel`.
absl::StatusOr<Credentials> Enrol(const std::shared_ptr<grpc::Channel>& channel,
                                  const std::string& token);

// The controller's own: it has the authority.
absl::StatusOr<Credentials> IssueOwn(const CertificateAuthority& authority, const Clock& clock);

}  // namespace holdfast
