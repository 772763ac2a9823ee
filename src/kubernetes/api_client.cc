#include "kubernetes/api_client.h"

#include <memory>
#include <utility>

#include "base/status_macros.h"
#include "curl/curl.h"
#include "fmt/format.h"

namespace holdfast {
namespace {

constexpr char kServiceAccountFolder[] = "/var/run/secrets/kubernetes.io/serviceaccount";
constexpr long kConnectSeconds = 5;
constexpr long kCallSeconds = 15;
constexpr size_t kMaxAnswerBytes = 4 << 20;

struct CurlFree {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

size_t Append(char* data, size_t size, size_t count, void* text) {
  std::string& answer = *static_cast<std::string*>(text);
  if (answer.size() + size * count > kMaxAnswerBytes) return 0;  // ends the call
  answer.append(data, size * count);
  return size * count;
}

absl::StatusCode CodeOf(long http) {
  switch (http) {
    case 400:
    case 422:
      return absl::StatusCode::kInvalidArgument;
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 409:
      return absl::StatusCode::kAlreadyExists;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

// What the API server answered: an object, or a Status object with a message.
absl::StatusOr<nlohmann::json> Understand(const std::string& path, long http,
                                          const std::string& answer) {
  nlohmann::json json = nlohmann::json::parse(answer, nullptr, /*allow_exceptions=*/false);
  if (http >= 200 && http < 300 && json.is_object()) return json;
  std::string message = "no message";
  if (json.is_object() && json.contains("message") && json["message"].is_string()) {
    message = json["message"].get<std::string>();
  }
  return absl::Status(CodeOf(http), fmt::format("Kubernetes API {}: {} {}", path, http, message));
}

}  // namespace

absl::StatusOr<ApiAccess> InClusterAccess(
    const std::map<std::string, std::string>& environment,
    const std::function<std::optional<std::string>(const std::string& path)>& read) {
  const auto host = environment.find("KUBERNETES_SERVICE_HOST");
  const auto port = environment.find("KUBERNETES_SERVICE_PORT");
  ApiAccess access;
  access.authority_file = fmt::format("{}/ca.crt", kServiceAccountFolder);
  access.token_file = fmt::format("{}/token", kServiceAccountFolder);
  const auto name_space = read(fmt::format("{}/namespace", kServiceAccountFolder));
  if (host == environment.end() || port == environment.end() || !name_space) {
    return absl::FailedPreconditionError(fmt::format(
        "enrolment: expected a pod with a service account's token in {}, found none; outside of "
        "Kubernetes use --tls-ca, --tls-cert and --tls-key",
        kServiceAccountFolder));
  }
  const bool ipv6 = host->second.find(':') != std::string::npos;
  access.server = ipv6 ? fmt::format("https://[{}]:{}", host->second, port->second)
                       : fmt::format("https://{}:{}", host->second, port->second);
  access.name_space = *name_space;
  return access;
}

ApiClient::ApiClient(ApiAccess access, ReadFile read)
    : access_(std::move(access)), read_(std::move(read)) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
}

ApiClient::~ApiClient() { curl_global_cleanup(); }

absl::StatusOr<nlohmann::json> ApiClient::Get(const std::string& path) {
  return Call(path, nullptr);
}

absl::StatusOr<nlohmann::json> ApiClient::Create(const std::string& path,
                                                 const nlohmann::json& object) {
  const std::string body = object.dump();
  return Call(path, &body);
}

absl::StatusOr<nlohmann::json> ApiClient::Call(const std::string& path, const std::string* body) {
  const std::optional<std::string> token = read_(access_.token_file);
  if (!token) {
    return absl::UnavailableError(fmt::format(
        "Kubernetes API {}: expected a token in {}, found none", path, access_.token_file));
  }
  const std::unique_ptr<CURL, CurlFree> handle(curl_easy_init());
  std::unique_ptr<curl_slist, CurlFree> headers(
      curl_slist_append(nullptr, ("Authorization: Bearer " + *token).c_str()));
  curl_slist_append(headers.get(), "Accept: application/json");
  curl_slist_append(headers.get(), "Content-Type: application/json");
  char error[CURL_ERROR_SIZE] = "";
  std::string answer;
  CURL* const curl = handle.get();
  curl_easy_setopt(curl, CURLOPT_URL, (access_.server + path).c_str());
  curl_easy_setopt(curl, CURLOPT_CAINFO, access_.authority_file.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");  // whatever the environment says
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, kCallSeconds);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, Append);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
  if (body != nullptr) {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body->c_str());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body->size()));
  }
  const CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK) {
    return absl::UnavailableError(fmt::format("Kubernetes API {}: {}", path,
                                              *error != '\0' ? error : curl_easy_strerror(code)));
  }
  long http = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
  return Understand(path, http, answer);
}

}  // namespace holdfast
