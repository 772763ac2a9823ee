// OpenSSL's objects with owners, and PEM read into them. For the files of this folder.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "openssl/bio.h"
#include "openssl/evp.h"
#include "openssl/x509.h"

namespace holdfast {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Bio = std::unique_ptr<BIO, Freer<BIO_free>>;

// To read that text from; it must outlive it.
Bio Reading(const std::string& text);

// What OpenSSL says; its queue is empty afterwards.
absl::Status OpenSslError(const char* call);

// INVALID_ARGUMENT: something else than PEM.
absl::StatusOr<Key> ParseKey(const std::string& pem);
absl::StatusOr<Certificate> ParseCertificate(const std::string& pem);

}  // namespace holdfast
