// Texts signed with the key of a certificate: ECDSA (or whatever the key is of) with SHA-256.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace holdfast {

// INVALID_ARGUMENT: no private key in it.
absl::StatusOr<std::string> SignText(std::string_view text, const std::string& private_key_pem);

// UNAUTHENTICATED: it is not that text signed with the key of that certificate.
absl::Status CheckSignature(std::string_view text, std::string_view signature,
                            const std::string& certificate_pem);

}  // namespace holdfast
