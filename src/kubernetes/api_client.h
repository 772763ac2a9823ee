// KubernetesApi over HTTPS, as kubelet lets every pod speak to it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "kubernetes/api.h"

namespace holdfast {

struct ApiAccess {
  std::string server;          // "https://10.96.0.1:443"
  std::string authority_file;  // PEM
  std::string token_file;      // read at each call: kubelet renews it
  std::string name_space;      // of this pod
};

// Of the pod that this process is in. `read` gives a file's text, nullopt when it cannot be read.
// FAILED_PRECONDITION, in one line: it is in none, or in one without a service account's token.
absl::StatusOr<ApiAccess> InClusterAccess(
    const std::map<std::string, std::string>& environment,
    const std::function<std::optional<std::string>(const std::string& path)>& read);

// Thread-safe; a connection a call. TLS 1.2 or later, and nobody but who the authority has signed.
class ApiClient final : public KubernetesApi {
 public:
  using ReadFile = std::function<std::optional<std::string>(const std::string& path)>;
  ApiClient(ApiAccess access, ReadFile read);
  ~ApiClient() override;

  absl::StatusOr<nlohmann::json> Get(const std::string& path) override;
  absl::StatusOr<nlohmann::json> Create(const std::string& path,
                                        const nlohmann::json& object) override;

 private:
  absl::StatusOr<nlohmann::json> Call(const std::string& path, const std::string* body);

  const ApiAccess access_;
  const ReadFile read_;
};

}  // namespace holdfast
