// X.509 certificates of the link between controller and agents, made with OpenSSL.
//
// A certificate names its holder by exactly one URI (a SPIFFE id) in subjectAltName:
//   spiffe://csi.holdfast.dev/controller       any replica of the controller
//   spiffe://csi.holdfast.dev/node/NAME        the agent of that node and of no other
// Keys are ECDSA P-256. Everything is PEM text; whoever keeps a key keeps it from others.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"

namespace holdfast {

// Whose certificate it is.
struct Holder {
  enum class Role { kController, kNode };
  Role role = Role::kController;
  std::string node;  // of kNode: its name, a Kubernetes node's
  bool operator==(const Holder&) const = default;
};

std::string HolderUri(const Holder& holder);
// The one name among `uris` that this file's grammar makes. UNAUTHENTICATED: there is none, or more
// than one URI.
absl::StatusOr<Holder> ParseHolder(const std::vector<std::string>& uris);

// A new private key. INTERNAL: OpenSSL refused.
absl::StatusOr<std::string> NewPrivateKey();
// A signing request (PKCS#10) with the public half of that key. It asks for no name: whoever signs
// says whose it is.
absl::StatusOr<std::string> NewSigningRequest(const std::string& private_key_pem);

// How long a certificate holds, and of whom it is.
struct CertificateFacts {
  Holder holder;
  int64_t not_before_unix_seconds = 0;
  int64_t not_after_unix_seconds = 0;
};
// INVALID_ARGUMENT: no certificate in it; UNAUTHENTICATED as ParseHolder.
absl::StatusOr<CertificateFacts> ReadCertificate(const std::string& certificate_pem);

// INVALID_ARGUMENT: another authority's, or no certificate. Whether it has expired is not looked
// at.
absl::Status CheckSignedBy(const std::string& certificate_pem, const std::string& authority_pem);

// The private key is the certificate's, and the authority signed it. INVALID_ARGUMENT in one line
// that says which is not so. Whether it has expired is the handshake's to say.
absl::Status CheckPair(const std::string& private_key_pem, const std::string& certificate_pem,
                       const std::string& authority_pem);

// Whoever signs. Thread-safe.
class CertificateAuthority {
 public:
  // A new one, self-signed, for ten years.
  static absl::StatusOr<CertificateAuthority> Create(const Clock& clock);
  // INVALID_ARGUMENT: they are not PEM, or not of each other, or no authority's.
  static absl::StatusOr<CertificateAuthority> Load(const std::string& private_key_pem,
                                                   const std::string& certificate_pem);
  CertificateAuthority(CertificateAuthority&&) noexcept;
  CertificateAuthority& operator=(CertificateAuthority&&) noexcept;
  ~CertificateAuthority();

  const std::string& private_key_pem() const { return private_key_pem_; }
  const std::string& certificate_pem() const { return certificate_pem_; }

  // A certificate for `holder` with the key of the request, valid for `lifetime` from now on (and
  // five minutes back, for clocks that differ), for both ends of a connection. INVALID_ARGUMENT:
  // the request is none, or does not prove that its sender has the key, or the key is weak.
  absl::StatusOr<std::string> Sign(const std::string& request_pem, const Holder& holder,
                                   std::chrono::seconds lifetime, const Clock& clock) const;

 private:
  struct Parsed;
  CertificateAuthority(std::unique_ptr<Parsed> parsed, std::string private_key_pem,
                       std::string certificate_pem);

  std::unique_ptr<Parsed> parsed_;
  std::string private_key_pem_, certificate_pem_;
};

}  // namespace holdfast
