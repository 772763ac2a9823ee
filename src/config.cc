#include "config.h"

#include <algorithm>
#include <string_view>

#include "CLI/CLI.hpp"
#include "base/build_info.h"
#include "base/status_macros.h"
#include "config_texts.h"
#include "fmt/format.h"

namespace holdfast {
namespace {

constexpr char kDescription[] =
    "Holdfast, a Kubernetes CSI driver for storage of the nodes: volumes are image files in pools\n"
    "on XFS or btrfs. It serves CSI on a unix socket until SIGTERM.";

constexpr char kFooter[] = R"(
Durations are written like 24h, 90m, 30s, 500ms or 0.
Each option can also be an environment variable: HOLDFAST_ and its name in capitals, such as
HOLDFAST_TRASH_GRACE=1h or HOLDFAST_POOL=/first:/second. The command line wins.

Example:
  holdfastctl pool init /srv/holdfast
  holdfast all --pool /srv/holdfast --http-listen 127.0.0.1:9808)";

void Declare(CLI::App& app, Texts& texts) {
  app.add_option(
         "mode", texts.mode,
         "all: controller and node in one process, for a machine of its own. "
         "controller, node: the two of a cluster, which speak to each other over mutual TLS")
      ->required()
      ->type_name("all|controller|node");
  const auto add = [&app](const char* name, auto& value, const char* help, const char* type) {
    return app.add_option(name, value, help)->type_name(type);
  };
  add("--pool", texts.pools,
      "Folder of a pool made by 'holdfastctl pool init'; at least one (all, node), several by "
      "repeating or ':'",
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
  add("--controller", texts.controller,
      "Where this node's agent reports: a name with the addresses of all replicas (node)",
      "HOST:PORT");
  add("--agent-listen", texts.agent_listen,
      "Where the controller reaches this node's agent (node) [0.0.0.0:9750]", "HOST:PORT");
  add("--agent-address", texts.agent_address,
      "The same as the controller dials it, such as the pod's address and that port (node)",
      "HOST:PORT");
  add("--registry-listen", texts.registry_listen,
      "Where agents report to this controller (controller) [0.0.0.0:9751]", "HOST:PORT");
  add("--tls-ca", texts.tls_ca, "PEM file of the authority of both (controller, node)", "PATH");
  add("--tls-cert", texts.tls_cert,
      "PEM file of this program's certificate, read again when it changes (controller, node)",
      "PATH");
  add("--tls-key", texts.tls_key, "PEM file of its private key (controller, node)", "PATH");
  add("--tls-folder", texts.tls_folder,
      "Instead of --tls-cert and --tls-key: enrol in Kubernetes, and keep key and certificate in "
      "that "
      "folder, better of memory (controller, node)",
      "PATH");
  add("--enrol-token", texts.enrol_token,
      "File with the token of this pod's service account for the audience csi.holdfast.dev (node, "
      "with --tls-folder)",
      "PATH");
  add("--enrol-service-account", texts.enrol_service_account,
      "Whose tokens make a node (controller, with --tls-folder)", "NAMESPACE:NAME");
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
