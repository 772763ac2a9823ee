#include "pki/certificates.h"

#include <utility>

#include "base/status_macros.h"
#include "fmt/format.h"
#include "openssl/ec.h"
#include "openssl/err.h"
#include "openssl/pem.h"
#include "openssl/rand.h"
#include "openssl/x509v3.h"
#include "pki/openssl_objects.h"

namespace holdfast {
namespace {

constexpr std::string_view kTrustDomain = "spiffe://csi.holdfast.dev/";
constexpr std::string_view kController = "controller";
constexpr std::string_view kNodePrefix = "node/";
constexpr size_t kMaxNodeNameBytes = 253;  // a Kubernetes object's name
constexpr std::chrono::seconds kClockSkew = std::chrono::minutes(5);
constexpr std::chrono::hours kAuthorityLifetime{24 * 3650};
constexpr int kVersion3 = 2;  // as X.509 counts

using Request = std::unique_ptr<X509_REQ, Freer<X509_REQ_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>>;
using Time = std::unique_ptr<ASN1_TIME, Freer<ASN1_TIME_free>>;

template <typename Print>
absl::StatusOr<std::string> ToPem(const char* call, Print print) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || print(bio.get()) != 1) return OpenSslError(call);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

absl::StatusOr<std::string> KeyPem(EVP_PKEY* key) {
  return ToPem("PEM_write_bio_PrivateKey", [key](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

absl::StatusOr<std::string> CertificatePem(X509* certificate) {
  return ToPem("PEM_write_bio_X509",
               [certificate](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

absl::Status AddExtension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  if (extension == nullptr) return OpenSslError("X509V3_EXT_conf_nid");
  if (X509_add_ext(certificate, extension.get(), -1) != 1) return OpenSslError("X509_add_ext");
  return absl::OkStatus();
}

// No text of a configuration language: a name never means anything but itself.
absl::Status AddUri(X509* certificate, const std::string& uri) {
  const Names names(GENERAL_NAMES_new());
  GENERAL_NAME* const name = GENERAL_NAME_new();
  ASN1_IA5STRING* const text = ASN1_IA5STRING_new();
  if (names == nullptr || name == nullptr || text == nullptr ||
      ASN1_STRING_set(text, uri.data(), static_cast<int>(uri.size())) != 1) {
    return OpenSslError("ASN1_STRING_set");
  }
  GENERAL_NAME_set0_value(name, GEN_URI, text);
  sk_GENERAL_NAME_push(names.get(), name);
  constexpr int kCritical = 1;
  if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), kCritical,
                        X509V3_ADD_DEFAULT) != 1) {
    return OpenSslError("X509_add1_ext_i2d");
  }
  return absl::OkStatus();
}

// 127 random bits, never 0.
absl::Status SetSerial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return OpenSslError("RAND_bytes");
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7F) | 0x40);
  const std::unique_ptr<BIGNUM, Freer<BN_free>> number(BN_bin2bn(bytes, sizeof bytes, nullptr));
  if (number == nullptr ||
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) == nullptr) {
    return OpenSslError("BN_to_ASN1_INTEGER");
  }
  return absl::OkStatus();
}

absl::Status SetValidity(X509* certificate, std::chrono::seconds lifetime, const Clock& clock) {
  const int64_t now = clock.UnixNanos() / 1'000'000'000;
  if (ASN1_TIME_set(X509_getm_notBefore(certificate), now - kClockSkew.count()) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(certificate), now + lifetime.count()) == nullptr) {
    return OpenSslError("ASN1_TIME_set");
  }
  return absl::OkStatus();
}

absl::Status SetName(X509_NAME* name, const std::string& common_name) {
  if (X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(common_name.size()), -1, 0) != 1) {
    return OpenSslError("X509_NAME_add_entry_by_NID");
  }
  return absl::OkStatus();
}

absl::StatusOr<Certificate> Begin(EVP_PKEY* key, std::chrono::seconds lifetime,
                                  const Clock& clock) {
  Certificate certificate(X509_new());
  if (certificate == nullptr || X509_set_version(certificate.get(), kVersion3) != 1 ||
      X509_set_pubkey(certificate.get(), key) != 1) {
    return OpenSslError("X509_set_pubkey");
  }
  RETURN_IF_ERROR(SetSerial(certificate.get()));
  RETURN_IF_ERROR(SetValidity(certificate.get(), lifetime, clock));
  return certificate;
}

absl::Status CheckKeyStrength(EVP_PKEY* key) {
  constexpr int kLeastBits = 128;
  if (EVP_PKEY_get_security_bits(key) >= kLeastBits) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("signing request: expected a key of at least {} bits of security, such as ECDSA "
                  "P-256, found {}",
                  kLeastBits, EVP_PKEY_get_security_bits(key)));
}

bool IsNodeName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNodeNameBytes) return false;
  for (const unsigned char c : name) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '.' || c == '_';
    if (!fits) return false;
  }
  return true;
}

std::vector<std::string> UrisOf(X509* certificate) {
  std::vector<std::string> uris;
  const Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* text = name->d.uniformResourceIdentifier;
    uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                      static_cast<size_t>(ASN1_STRING_length(text)));
  }
  return uris;
}

absl::StatusOr<int64_t> UnixSeconds(const ASN1_TIME* time) {
  const Time epoch(ASN1_TIME_set(nullptr, 0));
  int days = 0, seconds = 0;
  if (epoch == nullptr || ASN1_TIME_diff(&days, &seconds, epoch.get(), time) != 1) {
    return OpenSslError("ASN1_TIME_diff");
  }
  return int64_t{days} * 86400 + seconds;
}

}  // namespace

std::string HolderUri(const Holder& holder) {
  if (holder.role == Holder::Role::kController)
    return fmt::format("{}{}", kTrustDomain, kController);
  return fmt::format("{}{}{}", kTrustDomain, kNodePrefix, holder.node);
}

absl::StatusOr<Holder> ParseHolder(const std::vector<std::string>& uris) {
  if (uris.size() == 1 && uris[0].starts_with(kTrustDomain)) {
    const std::string_view name = std::string_view(uris[0]).substr(kTrustDomain.size());
    if (name == kController) return Holder{};
    if (name.starts_with(kNodePrefix) && IsNodeName(name.substr(kNodePrefix.size()))) {
      return Holder{Holder::Role::kNode, std::string(name.substr(kNodePrefix.size()))};
    }
  }
  return absl::UnauthenticatedError(fmt::format(
      "certificate: expected one URI in subjectAltName, {0}{1} or {0}{2}NAME, found {3}",
      kTrustDomain, kController, kNodePrefix,
      uris.empty() ? "none" : fmt::format("'{}'", fmt::join(uris, "', '"))));
}

absl::StatusOr<std::string> NewPrivateKey() {
  const Key key(EVP_EC_gen("P-256"));
  if (key == nullptr) return OpenSslError("EVP_EC_gen");
  return KeyPem(key.get());
}

absl::StatusOr<std::string> NewSigningRequest(const std::string& private_key_pem) {
  ASSIGN_OR_RETURN(const Key key, ParseKey(private_key_pem));
  const Request request(X509_REQ_new());
  if (request == nullptr || X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0) {
    return OpenSslError("X509_REQ_sign");
  }
  return ToPem("PEM_write_bio_X509_REQ",
               [&request](BIO* bio) { return PEM_write_bio_X509_REQ(bio, request.get()); });
}

absl::StatusOr<CertificateFacts> ReadCertificate(const std::string& certificate_pem) {
  ASSIGN_OR_RETURN(const Certificate certificate, ParseCertificate(certificate_pem));
  CertificateFacts facts;
  ASSIGN_OR_RETURN(facts.holder, ParseHolder(UrisOf(certificate.get())));
  ASSIGN_OR_RETURN(facts.not_before_unix_seconds,
                   UnixSeconds(X509_get0_notBefore(certificate.get())));
  ASSIGN_OR_RETURN(facts.not_after_unix_seconds,
                   UnixSeconds(X509_get0_notAfter(certificate.get())));
  return facts;
}

absl::Status CheckSignedBy(const std::string& certificate_pem, const std::string& authority_pem) {
  ASSIGN_OR_RETURN(const Certificate certificate, ParseCertificate(certificate_pem));
  ASSIGN_OR_RETURN(const Certificate authority, ParseCertificate(authority_pem));
  const std::unique_ptr<X509_STORE, Freer<X509_STORE_free>> store(X509_STORE_new());
  const std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>> context(X509_STORE_CTX_new());
  if (store == nullptr || context == nullptr ||
      X509_STORE_add_cert(store.get(), authority.get()) != 1 ||
      X509_STORE_set_flags(store.get(), X509_V_FLAG_NO_CHECK_TIME) != 1 ||
      X509_STORE_CTX_init(context.get(), store.get(), certificate.get(), nullptr) != 1) {
    return OpenSslError("X509_STORE_CTX_init");
  }
  if (X509_verify_cert(context.get()) == 1) return absl::OkStatus();
  const int error = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  return absl::InvalidArgumentError(
      fmt::format("certificate: expected one that the authority signed, found another ({})",
                  X509_verify_cert_error_string(error)));
}

absl::Status CheckPair(const std::string& private_key_pem, const std::string& certificate_pem,
                       const std::string& authority_pem) {
  ASSIGN_OR_RETURN(const Key key, ParseKey(private_key_pem));
  ASSIGN_OR_RETURN(const Certificate certificate, ParseCertificate(certificate_pem));
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        "private key: expected the one of the certificate, found another");
  }
  return CheckSignedBy(certificate_pem, authority_pem);
}

struct CertificateAuthority::Parsed {
  Key key;
  Certificate certificate;
};

CertificateAuthority::CertificateAuthority(std::unique_ptr<Parsed> parsed,
                                           std::string private_key_pem, std::string certificate_pem)
    : parsed_(std::move(parsed)),
      private_key_pem_(std::move(private_key_pem)),
      certificate_pem_(std::move(certificate_pem)) {}
CertificateAuthority::CertificateAuthority(CertificateAuthority&&) noexcept = default;
CertificateAuthority& CertificateAuthority::operator=(CertificateAuthority&&) noexcept = default;
CertificateAuthority::~CertificateAuthority() = default;

absl::StatusOr<CertificateAuthority> CertificateAuthority::Create(const Clock& clock) {
  ASSIGN_OR_RETURN(const std::string key_pem, NewPrivateKey());
  ASSIGN_OR_RETURN(const Key key, ParseKey(key_pem));
  ASSIGN_OR_RETURN(const Certificate certificate, Begin(key.get(), kAuthorityLifetime, clock));
  X509* const made = certificate.get();
  RETURN_IF_ERROR(SetName(X509_get_subject_name(made), "holdfast authority"));
  RETURN_IF_ERROR(SetName(X509_get_issuer_name(made), "holdfast authority"));
  RETURN_IF_ERROR(AddExtension(made, made, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  RETURN_IF_ERROR(AddExtension(made, made, NID_key_usage, "critical,keyCertSign,cRLSign"));
  RETURN_IF_ERROR(AddExtension(made, made, NID_subject_key_identifier, "hash"));
  if (X509_sign(made, key.get(), EVP_sha256()) == 0) return OpenSslError("X509_sign");
  ASSIGN_OR_RETURN(const std::string certificate_pem, CertificatePem(made));
  return Load(key_pem, certificate_pem);
}

absl::StatusOr<CertificateAuthority> CertificateAuthority::Load(
    const std::string& private_key_pem, const std::string& certificate_pem) {
  auto parsed = std::make_unique<Parsed>();
  ASSIGN_OR_RETURN(parsed->key, ParseKey(private_key_pem));
  ASSIGN_OR_RETURN(parsed->certificate, ParseCertificate(certificate_pem));
  if (X509_check_private_key(parsed->certificate.get(), parsed->key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        "authority: expected the private key of its certificate, found another one");
  }
  if (X509_check_ca(parsed->certificate.get()) != 1) {
    return absl::InvalidArgumentError(
        "authority: expected a certificate that may sign others (CA:TRUE), found another one");
  }
  return CertificateAuthority(std::move(parsed), private_key_pem, certificate_pem);
}

absl::StatusOr<std::string> CertificateAuthority::Sign(const std::string& request_pem,
                                                       const Holder& holder,
                                                       std::chrono::seconds lifetime,
                                                       const Clock& clock) const {
  const std::string uri = HolderUri(holder);
  RETURN_IF_ERROR(ParseHolder({uri}).status());
  const Request request(
      PEM_read_bio_X509_REQ(Reading(request_pem).get(), nullptr, nullptr, nullptr));
  EVP_PKEY* const key = request == nullptr ? nullptr : X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || X509_REQ_verify(request.get(), key) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        "signing request: expected PKCS#10 in PEM, signed by its own key, found something else");
  }
  RETURN_IF_ERROR(CheckKeyStrength(key));
  ASSIGN_OR_RETURN(const Certificate certificate, Begin(key, lifetime, clock));
  X509* const made = certificate.get();
  X509* const issuer = parsed_->certificate.get();
  RETURN_IF_ERROR(AddUri(made, uri));
  if (X509_set_issuer_name(made, X509_get_subject_name(issuer)) != 1) {
    return OpenSslError("X509_set_issuer_name");
  }
  RETURN_IF_ERROR(AddExtension(made, issuer, NID_basic_constraints, "critical,CA:FALSE"));
  RETURN_IF_ERROR(AddExtension(made, issuer, NID_key_usage, "critical,digitalSignature"));
  RETURN_IF_ERROR(AddExtension(made, issuer, NID_ext_key_usage, "serverAuth,clientAuth"));
  RETURN_IF_ERROR(AddExtension(made, issuer, NID_authority_key_identifier, "keyid"));
  if (X509_sign(made, parsed_->key.get(), EVP_sha256()) == 0) return OpenSslError("X509_sign");
  return CertificatePem(made);
}

}  // namespace holdfast
