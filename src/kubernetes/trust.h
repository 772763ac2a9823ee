// Whom a controller in Kubernetes trusts: the authority that all replicas share, and whoever brings
// a token that the API server vouches for.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "kubernetes/api.h"
#include "pki/certificates.h"

namespace holdfast {

// For whom the agents' tokens are made; a token for anybody else is refused.
inline constexpr char kTokenAudience[] = "csi.holdfast.dev";
// Of the Secret with the authority's key and the ConfigMap with its certificate.
inline constexpr char kAuthorityName[] = "holdfast-authority";

// The authority of the installation in that namespace: what the Secret has, or a new one when there
// is none. Of replicas that start at once one wins, by the API server's create. Its certificate is
// in the ConfigMap afterwards. FAILED_PRECONDITION, in one line: the two do not belong together, or
// the Secret has something else.
absl::StatusOr<CertificateAuthority> SharedAuthority(KubernetesApi& api,
                                                     const std::string& name_space,
                                                     const Clock& clock);

// The node on which the pod runs whose token it is. The API server has checked that the token is
// good and the pod there; the name is what it says, never what somebody asked for. UNAUTHENTICATED:
// it vouches for nothing, the audience is another, or it is the token of another service account
// than `service_account` ("NAMESPACE:NAME"), or of no pod.
absl::StatusOr<std::string> NodeOfToken(KubernetesApi& api, const std::string& token,
                                        const std::string& service_account);

}  // namespace holdfast
