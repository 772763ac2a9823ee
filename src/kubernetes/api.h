// The Kubernetes API, as far as a controller needs it: a few objects, as JSON.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace holdfast {

// Codes of both: NOT_FOUND, ALREADY_EXISTS, UNAUTHENTICATED, PERMISSION_DENIED, INVALID_ARGUMENT as
// the API server says it, with its message; UNAVAILABLE when it cannot be reached, is overloaded or
// answers nonsense, and the call may be repeated.
class KubernetesApi {
 public:
  virtual ~KubernetesApi() = default;
  // `path` begins with "/api/" or "/apis/".
  virtual absl::StatusOr<nlohmann::json> Get(const std::string& path) = 0;
  virtual absl::StatusOr<nlohmann::json> Create(const std::string& path,
                                                const nlohmann::json& object) = 0;
};

}  // namespace holdfast
