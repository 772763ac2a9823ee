// The command line and the environment, as one checked value.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/tls.h"
#include "rpc/http.h"
#include "rpc/log_lines.h"
#include "spdlog/common.h"

namespace holdfast {

// The link between controller and agents.
struct LinkConfig {
  TlsFiles tls;  // given, or kept by enrolment
  // Enrolment; all empty without it.
  std::string enrolment_folder;  // where it keeps them
  std::string enrolment_token;   // of a node: the file with its service account's token
  std::string
      enrolment_authority;      // of a node: the file with whom it trusts before it has enrolled
  std::string service_account;  // of the controller: NAMESPACE:NAME, whose tokens count
  HostPort listen;              // of the agent or of the registry
  HostPort controller;          // of the agent: whom it reports to
  std::string address;          // of the agent: where it says that it is
};

struct Config {
  enum class Mode { kAll, kController, kNode };
  Mode mode = Mode::kAll;
  std::string endpoint = "unix:///run/holdfast/csi.sock";
  std::string socket_path;  // of the endpoint
  std::vector<std::string> pool_paths;
  std::string node_id;  // default: the host's name
  std::vector<std::string> kubelet_roots{"/var/lib/kubelet"};
  std::string run_folder = "/run/holdfast";
  std::string admin_socket;         // path; default: admin.sock in the run folder
  std::string registration_socket;  // where kubelet looks for plugins; empty: not registered
  std::chrono::seconds trash_grace{std::chrono::hours(24)};
  std::chrono::seconds trim_interval{std::chrono::hours(24)};  // 0: never
  std::chrono::milliseconds freeze_deadline{std::chrono::seconds(10)};
  std::chrono::milliseconds shutdown_timeout{std::chrono::seconds(30)};
  spdlog::level::level_enum log_level = spdlog::level::info;
  LogFormat log_format = LogFormat::kText;
  std::optional<HostPort> http_listen;
  int64_t max_volumes = 0;         // 0: this driver's default
  std::optional<LinkConfig> link;  // but for kAll
};

// Either a configuration to run with, or what to print and how to exit: help and version on stdout
// with 0, one line on stderr with 2.
struct CommandLine {
  std::optional<Config> config;
  std::string text;
  int exit_code = 0;
};

// `arguments` without the program's name. Each flag is also read from HOLDFAST_ and its name in
// capitals, and --endpoint from CSI_ENDPOINT; the command line wins. A HOLDFAST_ variable that is
// none of these is an error: a misspelt one would otherwise be silence.
CommandLine ParseCommandLine(const std::vector<std::string>& arguments,
                             const std::map<std::string, std::string>& environment,
                             const std::string& host_name);

}  // namespace holdfast
