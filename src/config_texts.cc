// What was given, checked and made a configuration.
#include <charconv>
#include <set>
#include <string_view>

#include "absl/time/time.h"
#include "base/status_macros.h"
#include "config_texts.h"
#include "fmt/format.h"
#include "registration/registration_socket.h"
#include "rpc/server.h"

namespace holdfast {
namespace {

template <typename... Args>
absl::Status Wrong(const char* flag, fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(
      fmt::format("{}: {}", flag, fmt::format(format, std::forward<Args>(args)...)));
}

absl::StatusOr<absl::Duration> ParseDuration(const char* flag, const std::string& text,
                                             absl::Duration most) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < absl::ZeroDuration()) {
    return Wrong(flag, "expected a duration such as 24h, 90m, 30s or 0, found '{}'", text);
  }
  if (duration > most) {
    return Wrong(flag, "expected at most {}, found '{}'", absl::FormatDuration(most), text);
  }
  return duration;
}

absl::Status CheckFolders(const char* flag, const std::vector<std::string>& paths) {
  std::set<std::string> seen;
  for (const std::string& path : paths) {
    if (path.empty() || path.front() != '/') {
      return Wrong(flag, "expected an absolute path, found '{}'", path);
    }
    if (!seen.insert(path).second) return Wrong(flag, "'{}' is given twice", path);
  }
  return absl::OkStatus();
}

// It becomes a value of the topology, which is a label's value in Kubernetes.
absl::Status CheckNodeId(const std::string& id) {
  const auto alphanumeric = [](unsigned char c) { return std::isalnum(c) != 0; };
  const bool fits = !id.empty() && id.size() <= 63 && alphanumeric(id.front()) &&
                    alphanumeric(id.back()) && std::all_of(id.begin(), id.end(), [&](char c) {
                      return alphanumeric(c) || c == '-' || c == '_' || c == '.';
                    });
  if (fits) return absl::OkStatus();
  return Wrong("--node-id",
               "expected 1 to 63 letters, digits, '-', '_' and '.', beginning and ending with a "
               "letter or digit, found '{}'",
               id.substr(0, 256));
}

absl::Status ReadLogging(const Texts& texts, Config& config) {
  const std::map<std::string, spdlog::level::level_enum> levels = {{"debug", spdlog::level::debug},
                                                                   {"info", spdlog::level::info},
                                                                   {"warn", spdlog::level::warn},
                                                                   {"error", spdlog::level::err}};
  const auto level = levels.find(texts.log_level);
  if (level == levels.end()) {
    return Wrong("--log-level", "expected debug, info, warn or error, found '{}'", texts.log_level);
  }
  config.log_level = level->second;
  if (texts.log_format != "text" && texts.log_format != "json") {
    return Wrong("--log-format", "expected text or json, found '{}'", texts.log_format);
  }
  config.log_format = texts.log_format == "json" ? LogFormat::kJson : LogFormat::kText;
  return absl::OkStatus();
}

absl::Status ReadTimes(const Texts& texts, Config& config) {
  ASSIGN_OR_RETURN(const absl::Duration grace,
                   ParseDuration("--trash-grace", texts.trash_grace, absl::Hours(24 * 3650)));
  ASSIGN_OR_RETURN(const absl::Duration trim,
                   ParseDuration("--trim-interval", texts.trim_interval, absl::Hours(24 * 3650)));
  ASSIGN_OR_RETURN(const absl::Duration freeze,
                   ParseDuration("--freeze-deadline", texts.freeze_deadline, absl::Minutes(5)));
  ASSIGN_OR_RETURN(const absl::Duration shutdown,
                   ParseDuration("--shutdown-timeout", texts.shutdown_timeout, absl::Hours(1)));
  if (freeze < absl::Milliseconds(100)) {
    return Wrong("--freeze-deadline", "expected at least 100ms, found '{}'", texts.freeze_deadline);
  }
  config.trash_grace = absl::ToChronoSeconds(grace);
  if (trim > absl::ZeroDuration() && trim < absl::Seconds(1)) {
    return Wrong("--trim-interval", "expected 0 or at least 1s, found '{}'", texts.trim_interval);
  }
  config.trim_interval = absl::ToChronoSeconds(trim);
  config.freeze_deadline = absl::ToChronoMilliseconds(freeze);
  config.shutdown_timeout = absl::ToChronoMilliseconds(shutdown);
  return absl::OkStatus();
}

absl::Status ReadNumbers(const Texts& texts, Config& config) {
  const std::string& text = texts.max_volumes;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), config.max_volumes);
  if (error != std::errc() || end != text.data() + text.size() || config.max_volumes < 0) {
    return Wrong("--max-volumes", "expected a number from 0 on, found '{}'", text);
  }
  if (texts.http_listen.empty()) return absl::OkStatus();
  absl::StatusOr<HostPort> address = ParseHostPort(texts.http_listen);
  if (!address.ok()) return Wrong("--http-listen", "{}", std::string(address.status().message()));
  config.http_listen = *address;
  return absl::OkStatus();
}

absl::Status ReadAdminSocket(const Texts& texts, Config& config) {
  config.admin_socket =
      texts.admin_socket.empty() ? config.run_folder + "/admin.sock" : texts.admin_socket;
  RETURN_IF_ERROR(CheckFolders("--admin-socket", {config.admin_socket}));
  const absl::StatusOr<std::string> path = SocketPath("unix://" + config.admin_socket);
  if (!path.ok()) return Wrong("--admin-socket", "{}", std::string(path.status().message()));
  if (config.admin_socket != config.socket_path) return absl::OkStatus();
  return Wrong("--admin-socket", "expected another path than --endpoint's, found '{}'",
               config.admin_socket);
}

absl::StatusOr<Config::Mode> ReadMode(const std::string& text) {
  if (text == "all") return Config::Mode::kAll;
  if (text == "controller") return Config::Mode::kController;
  if (text == "node") return Config::Mode::kNode;
  return Wrong("mode", "expected all, controller or node, found '{}'", text);
}

// A flag that would change nothing is a mistake of whoever gave it.
absl::Status CheckModes(const Texts& texts, Config::Mode mode) {
  using Mode = Config::Mode;
  const struct {
    const char* flag;
    bool given;
    std::set<Mode> modes;
  } flags[] = {
      {"--pool", !texts.pools.empty(), {Mode::kAll, Mode::kNode}},
      {"--kubelet-root", !texts.kubelet_roots.empty(), {Mode::kAll, Mode::kNode}},
      {"--kubelet-registration", !texts.kubelet_registration.empty(), {Mode::kAll, Mode::kNode}},
      {"--node-id", !texts.node_id.empty(), {Mode::kAll, Mode::kNode}},
      {"--controller", !texts.controller.empty(), {Mode::kNode}},
      {"--agent-listen", !texts.agent_listen.empty(), {Mode::kNode}},
      {"--agent-address", !texts.agent_address.empty(), {Mode::kNode}},
      {"--registry-listen", !texts.registry_listen.empty(), {Mode::kController}},
      {"--tls-folder", !texts.tls_folder.empty(), {Mode::kController, Mode::kNode}},
      {"--enrol-token", !texts.enrol_token.empty(), {Mode::kNode}},
      {"--enrol-service-account", !texts.enrol_service_account.empty(), {Mode::kController}},
      {"--tls-ca", !texts.tls_ca.empty(), {Mode::kController, Mode::kNode}},
      {"--tls-cert", !texts.tls_cert.empty(), {Mode::kController, Mode::kNode}},
      {"--tls-key", !texts.tls_key.empty(), {Mode::kController, Mode::kNode}},
  };
  for (const auto& flag : flags) {
    if (flag.given && !flag.modes.contains(mode)) {
      return Wrong(flag.flag, "not used by mode {}; remove it", texts.mode);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<HostPort> ReadAddress(const char* flag, const std::string& text,
                                     const std::string& otherwise = "") {
  const std::string& given = text.empty() ? otherwise : text;
  if (given.empty()) return Wrong(flag, "expected HOST:PORT, found none");
  absl::StatusOr<HostPort> address = ParseHostPort(given);
  if (!address.ok()) return Wrong(flag, "{}", std::string(address.status().message()));
  if (address->port == 0) return Wrong(flag, "expected a port, found '{}'", given);
  return address;
}

absl::Status ReadPath(const char* flag, const std::string& text, const char* expected,
                      std::string& path) {
  if (text.empty()) return Wrong(flag, "expected {}, found none", expected);
  path = text;
  return CheckFolders(flag, {text});
}

// Certificates that somebody else makes.
absl::Status ReadTls(const Texts& texts, TlsFiles& files) {
  constexpr char kFile[] =
      "the path of a PEM file ('holdfastctl pki' makes all three for machines without "
      "cert-manager), or --tls-folder to enrol in Kubernetes";
  if (!texts.enrol_token.empty() || !texts.enrol_service_account.empty()) {
    return Wrong("--tls-folder", "expected a folder to enrol, found none");
  }
  RETURN_IF_ERROR(ReadPath("--tls-ca", texts.tls_ca, kFile, files.authority));
  RETURN_IF_ERROR(ReadPath("--tls-cert", texts.tls_cert, kFile, files.certificate));
  return ReadPath("--tls-key", texts.tls_key, kFile, files.private_key);
}

// Certificates that are kept in a folder of our own.
absl::Status ReadEnrolment(const Texts& texts, Config::Mode mode, LinkConfig& link) {
  RETURN_IF_ERROR(ReadPath("--tls-folder", texts.tls_folder, "a folder", link.enrolment_folder));
  if (!texts.tls_cert.empty() || !texts.tls_key.empty()) {
    return Wrong("--tls-folder", "expected neither --tls-cert nor --tls-key with it, found one");
  }
  const std::string current = link.enrolment_folder + "/current/";
  link.tls = {current + "ca.crt", current + "tls.crt", current + "tls.key"};
  if (mode == Config::Mode::kNode) {
    RETURN_IF_ERROR(ReadPath("--enrol-token", texts.enrol_token, "the file with a token",
                             link.enrolment_token));
    return ReadPath("--tls-ca", texts.tls_ca, "the PEM file of the authority",
                    link.enrolment_authority);
  }
  if (!texts.tls_ca.empty()) {
    return Wrong("--tls-ca", "not used by a controller with --tls-folder; remove it");
  }
  link.service_account = texts.enrol_service_account;
  const size_t colon = link.service_account.find(':');
  if (colon != std::string::npos && colon > 0 && colon + 1 < link.service_account.size() &&
      link.service_account.find(':', colon + 1) == std::string::npos) {
    return absl::OkStatus();
  }
  return Wrong("--enrol-service-account", "expected NAMESPACE:NAME, found '{}'",
               link.service_account);
}

// How controller and agents find each other.
absl::Status ReadLink(const Texts& texts, Config& config) {
  if (config.mode == Config::Mode::kAll) return absl::OkStatus();
  LinkConfig& link = config.link.emplace();
  RETURN_IF_ERROR(texts.tls_folder.empty() ? ReadTls(texts, link.tls)
                                           : ReadEnrolment(texts, config.mode, link));
  if (config.mode == Config::Mode::kController) {
    ASSIGN_OR_RETURN(link.listen,
                     ReadAddress("--registry-listen", texts.registry_listen, "0.0.0.0:9751"));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(link.listen, ReadAddress("--agent-listen", texts.agent_listen, "0.0.0.0:9750"));
  ASSIGN_OR_RETURN(link.controller, ReadAddress("--controller", texts.controller));
  RETURN_IF_ERROR(ReadAddress("--agent-address", texts.agent_address).status());
  link.address = texts.agent_address;
  return absl::OkStatus();
}

absl::Status ReadPools(const Texts& texts, Config& config) {
  if (config.mode == Config::Mode::kController) return absl::OkStatus();
  if (texts.pools.empty()) {
    return Wrong("--pool",
                 "expected at least one folder, found none; make one with "
                 "'holdfastctl pool init PATH'");
  }
  config.pool_paths = texts.pools;
  return CheckFolders("--pool", config.pool_paths);
}

}  // namespace

absl::StatusOr<Config> Understand(const Texts& texts, const std::string& host_name) {
  Config config;
  ASSIGN_OR_RETURN(config.mode, ReadMode(texts.mode));
  RETURN_IF_ERROR(CheckModes(texts, config.mode));
  RETURN_IF_ERROR(ReadPools(texts, config));
  if (!texts.kubelet_roots.empty()) config.kubelet_roots = texts.kubelet_roots;
  if (!texts.run_folder.empty()) config.run_folder = texts.run_folder;
  if (!texts.endpoint.empty()) config.endpoint = texts.endpoint;
  config.node_id = texts.node_id.empty() ? host_name : texts.node_id;
  RETURN_IF_ERROR(CheckFolders("--kubelet-root", config.kubelet_roots));
  RETURN_IF_ERROR(CheckFolders("--run-folder", {config.run_folder}));
  if (!texts.kubelet_registration.empty()) {
    RETURN_IF_ERROR(CheckFolders("--kubelet-registration", {texts.kubelet_registration}));
    const auto socket = RegistrationSocket::PathIn(texts.kubelet_registration);
    if (!socket.ok()) {
      return Wrong("--kubelet-registration", "{}", std::string(socket.status().message()));
    }
    config.registration_socket = *socket;
  }
  RETURN_IF_ERROR(CheckNodeId(config.node_id));
  ASSIGN_OR_RETURN(config.socket_path, SocketPath(config.endpoint));
  RETURN_IF_ERROR(ReadAdminSocket(texts, config));
  RETURN_IF_ERROR(ReadLogging(texts, config));
  RETURN_IF_ERROR(ReadTimes(texts, config));
  RETURN_IF_ERROR(ReadNumbers(texts, config));
  RETURN_IF_ERROR(ReadLink(texts, config));
  return config;
}

}  // namespace holdfast
