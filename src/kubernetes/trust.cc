#include "kubernetes/trust.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/status_macros.h"
#include "fmt/format.h"

namespace holdfast {
namespace {

using Json = nlohmann::json;

constexpr char kCertificateKey[] = "ca.crt", kPrivateKeyKey[] = "ca.key";
constexpr char kNodeNameExtra[] = "authentication.kubernetes.io/node-name";
constexpr char kPodNameExtra[] = "authentication.kubernetes.io/pod-name";

// What lies below those keys; null when anything on the way is missing.
const Json& At(const Json& object, const std::vector<const char*>& keys) {
  static const Json nothing;
  const Json* at = &object;
  for (const char* key : keys) {
    if (!at->is_object()) return nothing;
    const auto found = at->find(key);
    if (found == at->end()) return nothing;
    at = &*found;
  }
  return *at;
}

std::string TextAt(const Json& object, const std::vector<const char*>& keys) {
  const Json& found = At(object, keys);
  return found.is_string() ? found.get<std::string>() : "";
}

std::string Kind(const char* plural, const std::string& name_space) {
  return fmt::format("/api/v1/namespaces/{}/{}", name_space, plural);
}

Json Object(const char* kind, const std::string& name_space) {
  return {{"apiVersion", "v1"},
          {"kind", kind},
          {"metadata", {{"name", kAuthorityName}, {"namespace", name_space}}}};
}

absl::StatusOr<CertificateAuthority> AuthorityOf(const Json& secret, const std::string& where) {
  std::string key, certificate;
  if (absl::Base64Unescape(TextAt(secret, {"data", kPrivateKeyKey}), &key) &&
      absl::Base64Unescape(TextAt(secret, {"data", kCertificateKey}), &certificate)) {
    auto authority = CertificateAuthority::Load(key, certificate);
    if (authority.ok()) return authority;
  }
  return absl::FailedPreconditionError(
      fmt::format("Secret {}: expected {} and {} of one authority, found something else; delete it "
                  "to have a new one made, which every node then enrols with",
                  where, kCertificateKey, kPrivateKeyKey));
}

absl::StatusOr<CertificateAuthority> MakeAuthority(KubernetesApi& api,
                                                   const std::string& name_space,
                                                   const Clock& clock) {
  ASSIGN_OR_RETURN(CertificateAuthority made, CertificateAuthority::Create(clock));
  Json secret = Object("Secret", name_space);
  secret["type"] = "Opaque";
  secret["data"] = {{kPrivateKeyKey, absl::Base64Escape(made.private_key_pem())},
                    {kCertificateKey, absl::Base64Escape(made.certificate_pem())}};
  RETURN_IF_ERROR(api.Create(Kind("secrets", name_space), secret).status());
  return made;
}

// A certificate is public; the ConfigMap is how agents know whom to trust before they enrol.
absl::Status Announce(KubernetesApi& api, const std::string& name_space,
                      const CertificateAuthority& authority) {
  Json map = Object("ConfigMap", name_space);
  map["data"] = {{kCertificateKey, authority.certificate_pem()}};
  const absl::Status created = api.Create(Kind("configmaps", name_space), map).status();
  if (!absl::IsAlreadyExists(created)) return created;
  ASSIGN_OR_RETURN(const Json found,
                   api.Get(fmt::format("{}/{}", Kind("configmaps", name_space), kAuthorityName)));
  if (TextAt(found, {"data", kCertificateKey}) == authority.certificate_pem()) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      fmt::format("ConfigMap {0}/{1}: expected the certificate of the Secret {0}/{1}, found "
                  "another; delete the ConfigMap, and it is made again",
                  name_space, kAuthorityName));
}

absl::Status Distrusted(std::string_view expected, std::string_view found) {
  return absl::UnauthenticatedError(fmt::format("token: expected {}, found {}", expected, found));
}

// The one value of an extra field of a reviewed user.
std::string OneOf(const Json& review, const char* extra) {
  const Json& values = At(review, {"status", "user", "extra", extra});
  return values.is_array() && values.size() == 1 && values[0].is_string()
             ? values[0].get<std::string>()
             : "";
}

}  // namespace

absl::StatusOr<CertificateAuthority> SharedAuthority(KubernetesApi& api,
                                                     const std::string& name_space,
                                                     const Clock& clock) {
  const std::string path = fmt::format("{}/{}", Kind("secrets", name_space), kAuthorityName);
  auto secret = api.Get(path);
  if (absl::IsNotFound(secret.status())) {
    auto made = MakeAuthority(api, name_space, clock);
    if (made.ok()) {
      RETURN_IF_ERROR(Announce(api, name_space, *made));
      return made;
    }
    if (!absl::IsAlreadyExists(made.status())) return made.status();
    secret = api.Get(path);  // another replica was first
  }
  RETURN_IF_ERROR(secret.status());
  ASSIGN_OR_RETURN(CertificateAuthority authority,
                   AuthorityOf(*secret, fmt::format("{}/{}", name_space, kAuthorityName)));
  RETURN_IF_ERROR(Announce(api, name_space, authority));
  return authority;
}

absl::StatusOr<std::string> NodeOfToken(KubernetesApi& api, const std::string& token,
                                        const std::string& service_account) {
  const Json request = {{"apiVersion", "authentication.k8s.io/v1"},
                        {"kind", "TokenReview"},
                        {"spec", {{"token", token}, {"audiences", {kTokenAudience}}}}};
  ASSIGN_OR_RETURN(const Json review,
                   api.Create("/apis/authentication.k8s.io/v1/tokenreviews", request));
  if (At(review, {"status", "authenticated"}) != true) {
    const std::string error = TextAt(review, {"status", "error"});
    return Distrusted(fmt::format("one for the audience {} of a pod that is there", kTokenAudience),
                      error.empty() ? "one that the API server does not know" : error);
  }
  // An API server that knows nothing of audiences names none.
  const Json& audiences = At(review, {"status", "audiences"});
  if (!audiences.is_array() ||
      std::find(audiences.begin(), audiences.end(), kTokenAudience) == audiences.end()) {
    return Distrusted(fmt::format("the audience {}", kTokenAudience), "another");
  }
  const std::string user = TextAt(review, {"status", "user", "username"});
  if (user != "system:serviceaccount:" + service_account) {
    return Distrusted(fmt::format("the service account {}", service_account),
                      fmt::format("'{}'", user));
  }
  const std::string node = OneOf(review, kNodeNameExtra);
  if (node.empty() || OneOf(review, kPodNameExtra).empty()) {
    return Distrusted("one that is bound to a pod on a node (Kubernetes 1.30 or later)",
                      "one that names none");
  }
  return node;
}

}  // namespace holdfast
