#include "pki/signature.h"

#include "base/status_macros.h"
#include "openssl/err.h"
#include "pki/openssl_objects.h"

namespace holdfast {
namespace {

using Context = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;

const unsigned char* BytesOf(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

absl::StatusOr<std::string> SignText(std::string_view text, const std::string& private_key_pem) {
  ASSIGN_OR_RETURN(const Key key, ParseKey(private_key_pem));
  const Context context(EVP_MD_CTX_new());
  size_t size = 0;
  if (context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, BytesOf(text), text.size()) != 1) {
    return OpenSslError("EVP_DigestSignInit");
  }
  std::string signature(size, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     BytesOf(text), text.size()) != 1) {
    return OpenSslError("EVP_DigestSign");
  }
  signature.resize(size);
  return signature;
}

absl::Status CheckSignature(std::string_view text, std::string_view signature,
                            const std::string& certificate_pem) {
  ASSIGN_OR_RETURN(const Certificate certificate, ParseCertificate(certificate_pem));
  const Context context(EVP_MD_CTX_new());
  if (context == nullptr || EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr,
                                                 X509_get0_pubkey(certificate.get())) != 1) {
    return OpenSslError("EVP_DigestVerifyInit");
  }
  if (EVP_DigestVerify(context.get(), BytesOf(signature), signature.size(), BytesOf(text),
                       text.size()) == 1) {
    return absl::OkStatus();
  }
  ERR_clear_error();
  return absl::UnauthenticatedError("signature: expected that of the certificate, found another");
}

}  // namespace holdfast
