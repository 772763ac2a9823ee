#include "config.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>

#include "CLI/CLI.hpp"
#include "absl/time/time.h"
#include "base/build_info.h"
#include "base/status_macros.h"
#include "fmt/format.h"
#include "registration/registration_socket.h"
#include "rpc/server.h"

namespace holdfast {
namespace {

constexpr char kDescription[] =
    "Holdfast, a Kubernetes CSI driver for storage of this node: volumes are image files in pools\n"
    "on XFS or btrfs. It serves CSI on a unix socket until SIGTERM.";

constexpr char kFooter[] = R"(
Durations are written like 24h, 90m, 30s, 500ms or 0.
Each option can also be an environment variable: HOLDFAST_ and its name in capitals, such as
HOLDFAST_TRASH_GRACE=1h or HOLDFAST_POOL=/first:/second. The command line wins.

Example:
  holdfastctl pool init /srv/holdfast
  holdfast all --pool /srv/holdfast --http-listen 127.0.0.1:9808)";

// What was given, not yet understood.
struct Texts {
  std::string mode, endpoint, node_id, run_folder, admin_socket,
      trash_grace = "24h", trim_interval = "24h", freeze_deadline = "10s";
  std::string shutdown_timeout = "30s", log_level = "info", log_format = "text", http_listen;
  std::string max_volumes = "0", kubelet_registration;
  std::vector<std::string> pools, kubelet_roots;
};

template <typename... Args>
absl::Status Wrong(const char* flag, fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(
      fmt::format("{}: {}", flag, fmt::format(format, std::forward<Args>(args)...)));
}

void Declare(CLI::App& app, Texts& texts) {
  app.add_option("mode", texts.mode,
                 "all: controller and node in one process. "
                 "controller, node: arrive with the cluster issue")
      ->required()
      ->type_name("all|controller|node");
  const auto add = [&app](const char* name, auto& value, const char* help, const char* type) {
    return app.add_option(name, value, help)->type_name(type);
  };
  add("--pool", texts.pools,
      "Folder of a pool made by 'holdfastctl pool init'; at least one, several by repeating or ':'",
      "PATH")
      ->delimiter(':')
      ->allow_extra_args(false);
  add("--endpoint", texts.endpoint,
      "Where to serve CSI; CSI_ENDPOINT is read too [unix:///run/holdfast/csi.sock]",
      "unix://PATH");
  add("--node-id", texts.node_id, "Name of this node in CSI's topology [the host's name]", "NAME");
  add("--kubelet-root", texts.kubelet_roots,
      "Folder below which targets may lie; can be repeated [/var/lib/kubelet]", "PATH")
      ->delimiter(':')
      ->allow_extra_args(false);
  add("--kubelet-registration", texts.kubelet_registration,
      "kubelet's folder of plugins, /var/lib/kubelet/plugins_registry: registers the driver there, "
      "without a sidecar [off]",
      "PATH");
  add("--run-folder", texts.run_folder,
      "What must survive this process, not the boot "
      "[/run/holdfast]",
      "PATH");
  add("--admin-socket", texts.admin_socket,
      "Where holdfastctl reaches this server [admin.sock in the run folder]", "PATH");
  add("--trash-grace", texts.trash_grace, "How long deleted volumes stay in the trash [24h]",
      "DURATION");
  add("--trim-interval", texts.trim_interval,
      "How often thin ext4 and xfs volumes give back what was deleted in them; 0 is never [24h]",
      "DURATION");
  add("--freeze-deadline", texts.freeze_deadline,
      "How long a snapshot may freeze a filesystem [10s]", "DURATION");
  add("--shutdown-timeout", texts.shutdown_timeout,
      "How long calls in flight may go on after SIGTERM [30s]", "DURATION");
  add("--max-volumes", texts.max_volumes,
      "Volumes this node takes at once, for the scheduler; 0 names no limit, and the orchestrator "
      "decides [0]",
      "COUNT");
  add("--http-listen", texts.http_listen, "Serve /metrics, /healthz and /readyz there [off]",
      "HOST:PORT");
  add("--log-level", texts.log_level,
      "debug (adds requests, without secrets), info, warn or error [info]", "LEVEL");
  add("--log-format", texts.log_format, "text or json [text]", "FORMAT");
}

// The variables of the environment as flags, for those that the command line does not have.
absl::StatusOr<std::vector<std::string>> FlagsOfEnvironment(
    const CLI::App& app, const std::vector<std::string>& arguments,
    const std::map<std::string, std::string>& environment) {
  std::map<std::string, std::string> flag_of{{"CSI_ENDPOINT", "--endpoint"}};
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty()) continue;
    const std::string& name = option->get_lnames().front();
    if (name == "help" || name == "version") continue;
    std::string variable = "HOLDFAST_" + name;
    for (char& c : variable) c = c == '-' ? '_' : static_cast<char>(std::toupper(c));
    flag_of[variable] = "--" + name;
  }
  std::map<std::string, std::string> values;  // by flag; HOLDFAST_ENDPOINT comes after CSI_ENDPOINT
  for (const auto& [variable, value] : environment) {
    const auto known = flag_of.find(variable);
    if (known != flag_of.end()) {
      if (!value.empty()) values[known->second] = value;
    } else if (variable.rfind("HOLDFAST_", 0) == 0) {
      return absl::InvalidArgumentError(fmt::format(
          "unknown environment variable {}; 'holdfast --help' lists the options, each is HOLDFAST_ "
          "and its name (in Kubernetes, set enableServiceLinks: false)",
          variable));
    }
  }
  std::vector<std::string> flags;
  for (const auto& [flag, value] : values) {
    const bool given = std::any_of(arguments.begin(), arguments.end(), [&](const auto& argument) {
      return argument == flag || argument.rfind(flag + "=", 0) == 0;
    });
    if (!given) flags.push_back(fmt::format("{}={}", flag, value));
  }
  return flags;
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

absl::StatusOr<Config> Understand(const Texts& texts, const std::string& host_name) {
  Config config;
  if (texts.mode == "controller" || texts.mode == "node") {
    return absl::InvalidArgumentError(fmt::format(
        "mode {} arrives with the cluster issue; 'holdfast all' serves this machine", texts.mode));
  }
  if (texts.mode != "all") {
    return Wrong("mode", "expected all, controller or node, found '{}'", texts.mode);
  }
  if (texts.pools.empty()) {
    return Wrong("--pool",
                 "expected at least one folder, found none; make one with "
                 "'holdfastctl pool init PATH'");
  }
  config.pool_paths = texts.pools;
  if (!texts.kubelet_roots.empty()) config.kubelet_roots = texts.kubelet_roots;
  if (!texts.run_folder.empty()) config.run_folder = texts.run_folder;
  if (!texts.endpoint.empty()) config.endpoint = texts.endpoint;
  config.node_id = texts.node_id.empty() ? host_name : texts.node_id;
  RETURN_IF_ERROR(CheckFolders("--pool", config.pool_paths));
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
  return config;
}

// One line for stderr, whatever was typed.
CommandLine Refuse(std::string_view message) {
  return {std::nullopt, fmt::format("holdfast: {}", EscapeControls(message)), 2};
}

}  // namespace

CommandLine ParseCommandLine(const std::vector<std::string>& arguments,
                             const std::map<std::string, std::string>& environment,
                             const std::string& host_name) {
  CLI::App app(kDescription, "holdfast");
  Texts texts;
  Declare(app, texts);
  app.set_version_flag("--version", fmt::format("holdfast {} (CSI 1.13.0)", kDriverVersion));
  app.footer(kFooter);
  app.get_formatter()->column_width(34);
  absl::StatusOr<std::vector<std::string>> all = FlagsOfEnvironment(app, arguments, environment);
  if (!all.ok()) return Refuse({all.status().message().data(), all.status().message().size()});
  all->insert(all->end(), arguments.begin(), arguments.end());
  std::reverse(all->begin(), all->end());  // as CLI11 wants them
  try {
    app.parse(*all);
  } catch (const CLI::CallForHelp&) {
    return {std::nullopt, app.help(), 0};
  } catch (const CLI::CallForVersion& version) {
    return {std::nullopt, version.what(), 0};
  } catch (const CLI::ParseError& error) {
    return Refuse(fmt::format("{}; see 'holdfast --help'", error.what()));
  }
  absl::StatusOr<Config> config = Understand(texts, host_name);
  if (!config.ok()) {
    return Refuse({config.status().message().data(), config.status().message().size()});
  }
  return {*std::move(config), "", 0};
}

}  // namespace holdfast
