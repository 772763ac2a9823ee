#include "pki/openssl_objects.h"

#include "fmt/format.h"
#include "openssl/err.h"
#include "openssl/pem.h"

namespace holdfast {

Bio Reading(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

absl::Status OpenSslError(const char* call) {
  char text[256] = "no reason given";
  if (const unsigned long code = ERR_get_error(); code != 0) {
    ERR_error_string_n(code, text, sizeof text);
  }
  ERR_clear_error();
  return absl::InternalError(fmt::format("{}: {}", call, text));
}

absl::StatusOr<Key> ParseKey(const std::string& pem) {
  // Without a callback OpenSSL asks the terminal for the password of a key that has one.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  Key key(PEM_read_bio_PrivateKey(Reading(pem).get(), nullptr, no_password, nullptr));
  if (key != nullptr) return key;
  ERR_clear_error();
  return absl::InvalidArgumentError(
      "private key: expected PEM without a password, found something else");
}

absl::StatusOr<Certificate> ParseCertificate(const std::string& pem) {
  Certificate certificate(PEM_read_bio_X509(Reading(pem).get(), nullptr, nullptr, nullptr));
  if (certificate != nullptr) return certificate;
  ERR_clear_error();
  return absl::InvalidArgumentError("certificate: expected PEM, found something else");
}

}  // namespace holdfast
