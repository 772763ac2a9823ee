// That a node may fetch a snapshot from another one: a certificate gives a node no power over
// others, so a controller says what, from where, to whom and until when, and signs it.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "proto/agent/agent.pb.h"
#include "volume/snapshot.h"

namespace holdfast {

// A SignedGrant for ten minutes, by the controller whose key and certificate (PEM) these are; the
// bytes of one message. INVALID_ARGUMENT: no key.
absl::StatusOr<std::string> MakeGrant(const Snapshot& snapshot, const std::string& from_node,
                                      const std::string& to_node,
                                      const std::string& private_key_pem,
                                      const std::string& certificate_pem, const Clock& clock);

// What is granted to `caller`, a node, by a controller of that authority. PERMISSION_DENIED, in one
// sentence: it is no such grant, or for another node than `own_node` to give, or it is over.
absl::StatusOr<agent::v1::Grant> CheckGrant(const std::string& signed_grant,
                                            const std::string& caller, const std::string& own_node,
                                            const std::string& authority_pem, const Clock& clock);

}  // namespace holdfast
