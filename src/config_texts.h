// Between the command line and the configuration: what was given, as text.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "config.h"

namespace holdfast {

// What was given, not yet understood.
struct Texts {
  std::string mode, endpoint, node_id, run_folder, admin_socket,
      trash_grace = "24h", trim_interval = "24h", freeze_deadline = "10s";
  std::string shutdown_timeout = "30s", log_level = "info", log_format = "text", http_listen;
  std::string max_volumes = "0", kubelet_registration;
  std::string controller, agent_listen, agent_address, registry_listen, tls_ca, tls_cert, tls_key;
  std::string tls_folder, enrol_token, enrol_service_account;
  std::vector<std::string> pools, kubelet_roots;
};

// INVALID_ARGUMENT in one line that begins with the flag.
absl::StatusOr<Config> Understand(const Texts& texts, const std::string& host_name);

}  // namespace holdfast
