#include "agent/grant.h"

#include <chrono>

#include "base/status_macros.h"
#include "fmt/format.h"
#include "pki/certificates.h"
#include "pki/signature.h"
#include "rpc/parse.h"

namespace holdfast {
namespace {

// It is asked for when it is needed, and looked at when a fetch begins.
constexpr std::chrono::seconds kLifetime = std::chrono::minutes(10);

int64_t UnixSeconds(const Clock& clock) { return clock.UnixNanos() / 1'000'000'000; }

absl::Status Refused(const std::string& expected, const std::string& found) {
  return absl::PermissionDeniedError(fmt::format(
      "grant: expected {}, found {}; it is the controller that asks for copies", expected, found));
}

absl::Status CheckSigner(const agent::v1::SignedGrant& grant, const std::string& authority_pem,
                         const Clock& clock) {
  RETURN_IF_ERROR(CheckSignedBy(grant.certificate(), authority_pem));
  ASSIGN_OR_RETURN(const CertificateFacts facts, ReadCertificate(grant.certificate()));
  if (facts.holder.role != Holder::Role::kController) {
    return Refused("one that a controller signed", "the certificate of " + HolderUri(facts.holder));
  }
  if (UnixSeconds(clock) > facts.not_after_unix_seconds) {
    return Refused("a certificate that has not expired", "one that has");
  }
  return CheckSignature(grant.grant(), grant.signature(), grant.certificate());
}

}  // namespace

absl::StatusOr<std::string> MakeGrant(const Snapshot& snapshot, const std::string& from_node,
                                      const std::string& to_node,
                                      const std::string& private_key_pem,
                                      const std::string& certificate_pem, const Clock& clock) {
  agent::v1::Grant grant;
  grant.set_snapshot_id(snapshot.id);
  grant.set_snapshot_incarnation(snapshot.incarnation);
  grant.set_from_node(from_node);
  grant.set_to_node(to_node);
  grant.set_until_unix_seconds(UnixSeconds(clock) + kLifetime.count());
  agent::v1::SignedGrant result;
  result.set_certificate(certificate_pem);
  result.set_grant(grant.SerializeAsString());
  ASSIGN_OR_RETURN(*result.mutable_signature(), SignText(result.grant(), private_key_pem));
  return result.SerializeAsString();
}

absl::StatusOr<agent::v1::Grant> CheckGrant(const std::string& signed_grant,
                                            const std::string& caller, const std::string& own_node,
                                            const std::string& authority_pem, const Clock& clock) {
  agent::v1::SignedGrant outer;
  agent::v1::Grant grant;
  if (!outer.ParseFromString(signed_grant) || !grant.ParseFromString(outer.grant())) {
    return Refused("a SignedGrant", "something else");
  }
  if (const absl::Status signer = CheckSigner(outer, authority_pem, clock); !signer.ok()) {
    if (absl::IsPermissionDenied(signer)) return signer;
    return Refused("one that a controller signed", std::string(signer.message()));
  }
  if (grant.to_node() != caller) {
    return Refused("one for node " + caller + ", who calls",
                   "one for node " + Quoted(grant.to_node()));
  }
  if (grant.from_node() != own_node) {
    return Refused("one for a snapshot of node " + own_node,
                   "one of node " + Quoted(grant.from_node()));
  }
  if (UnixSeconds(clock) > grant.until_unix_seconds()) {
    return Refused("one that is not over", fmt::format("one that was good until {} (Unix seconds)",
                                                       grant.until_unix_seconds()));
  }
  return grant;
}

}  // namespace holdfast
