// A request as it may be logged.
#pragma once

#include <string>

#include "google/protobuf/message.h"

namespace holdfast {

// `message` on one line, at most `limit` bytes, at any depth without the fields that carry the
// option csi_secret, and with "***" for the values of string maps whose key holds token, secret or
// password (two CVEs of other drivers: kubelet passes service account tokens in volume_context),
// the token of a node that enrols, and fields that this version does not know.
std::string LoggableText(const google::protobuf::Message& message, size_t limit);

}  // namespace holdfast
