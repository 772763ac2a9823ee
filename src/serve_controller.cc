// The controller of a cluster: CSI for the sidecars on a unix socket, the registry for the agents
// on an address. It touches no storage and keeps nothing that a restart would lose.
#include <cstdlib>
#include <utility>

#include "agent/registry.h"
#include "agent/remote_engine.h"
#include "agent/tls.h"
#include "base/build_info.h"
#include "base/status_macros.h"
#include "controller/controller_service.h"
#include "identity/identity_service.h"
#include "launch.h"
#include "os/process.h"

namespace holdfast {
namespace {

class ControllerProgram {
 public:
  explicit ControllerProgram(const Config& config)
      : config_(config),
        logger_(StartLog(config)),
        metrics_([] { return std::vector<PoolGauges>(); }),
        listening_(config, *logger_, metrics_),
        registry_([this](const std::string& node, const std::string& address) {
          return Connect(node, address);
        }),
        identity_([this] { return serving_.Probe(); }),
        controller_(registry_) {}

  absl::Status Start() {
    RETURN_IF_ERROR(CheckTlsFiles(config_.link->tls, {Holder::Role::kController, ""}));
    ASSIGN_OR_RETURN(SocketClaim claim, SocketClaim::Take(config_.socket_path));
    claim_.emplace(std::move(claim));
    ASSIGN_OR_RETURN(http_, StartHttp(config_, metrics_, serving_));
    ASSIGN_OR_RETURN(link_server_, listening_.OnLink({&registry_}));
    ASSIGN_OR_RETURN(server_,
                     listening_.OnSocket(config_.socket_path, *claim_, {&identity_, &controller_}));
    serving_.BeginWithoutPools();
    spdlog::info("holdfast {} serves {} as controller", kDriverVersion, config_.endpoint);
    return absl::OkStatus();
  }

  int ServeUntilTerminated() {
    spdlog::info("{}: no new calls, {} ms for those in flight", WaitForTermination(),
                 config_.shutdown_timeout.count());
    serving_.End();
    absl::Status stopped = server_->Stop();
    stopped.Update(link_server_->Stop());
    if (!stopped.ok()) {
      spdlog::error("{}; leaving without it", std::string(stopped.message()));
      std::_Exit(kDidNotStop);
    }
    spdlog::info("stopped");
    return EXIT_SUCCESS;
  }

 private:
  std::shared_ptr<StorageEngine> Connect(const std::string& node, const std::string& address) {
    const auto credentials = ClientTls(config_.link->tls, {Holder::Role::kNode, node});
    return std::make_shared<RemoteEngine>(AgentChannel(address, credentials), node);
  }

  const Config& config_;
  const std::shared_ptr<spdlog::logger> logger_;
  Serving serving_;
  Metrics metrics_;
  Listening listening_;
  AgentRegistry registry_;
  IdentityService identity_;
  ControllerService controller_;
  std::optional<SocketClaim> claim_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<Server> link_server_, server_;
};

}  // namespace

int ServeController(const Config& config) {
  ControllerProgram program(config);
  const absl::Status started = program.Start();
  return started.ok() ? program.ServeUntilTerminated() : Refuse(started);
}

}  // namespace holdfast
