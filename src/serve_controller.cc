// The controller of a cluster: CSI for the sidecars on a unix socket, the registry for the agents
// on an address. It touches no storage and keeps nothing that a restart would lose.
#include <cstdlib>
#include <utility>

#include "agent/certificate_keeper.h"
#include "agent/cluster_service.h"
#include "agent/grant.h"
#include "agent/registry.h"
#include "agent/remote_engine.h"
#include "agent/tls.h"
#include "base/build_info.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "controller/controller_service.h"
#include "identity/identity_service.h"
#include "kubernetes/api_client.h"
#include "kubernetes/trust.h"
#include "launch.h"
#include "os/process.h"
#include "os/small_file.h"

namespace holdfast {
namespace {

class ControllerProgram {
 public:
  explicit ControllerProgram(const Config& config)
      : config_(config),
        logger_(StartLog(config)),
        metrics_([] { return std::vector<PoolGauges>(); }),
        listening_(config, *logger_, metrics_),
        registry_([this](const std::string& node,
                         const std::string& address) { return Connect(node, address); },
                  RegistryOptions()),
        identity_([this] { return serving_.Probe(); }),
        controller_(registry_),
        cluster_(registry_) {}

  absl::Status Start() {
    if (!config_.link->enrolment_folder.empty()) RETURN_IF_ERROR(StartEnrolment());
    RETURN_IF_ERROR(CheckTlsFiles(config_.link->tls, {Holder::Role::kController, ""}));
    ASSIGN_OR_RETURN(SocketClaim claim, SocketClaim::Take(config_.socket_path));
    claim_.emplace(std::move(claim));
    RETURN_IF_ERROR(EnsureWritableFolder(config_.run_folder, "choose another --run-folder"));
    ASSIGN_OR_RETURN(SocketClaim admin, SocketClaim::Take(config_.admin_socket, "--admin-socket"));
    admin_claim_.emplace(std::move(admin));
    ASSIGN_OR_RETURN(http_, StartHttp(config_, metrics_, serving_));
    std::vector<grpc::Service*> services{&registry_};
    if (enrolment_) services.push_back(enrolment_.get());
    ASSIGN_OR_RETURN(link_server_, listening_.OnLink(services, ClientCertificate::kOptional));
    ASSIGN_OR_RETURN(server_,
                     listening_.OnSocket(config_.socket_path, *claim_, {&identity_, &controller_}));
    ASSIGN_OR_RETURN(admin_server_,
                     listening_.OnSocket(config_.admin_socket, *admin_claim_, {&cluster_}));
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
    stopped.Update(admin_server_->Stop());
    if (!stopped.ok()) {
      spdlog::error("{}; leaving without it", std::string(stopped.message()));
      std::_Exit(kDidNotStop);
    }
    spdlog::info("stopped");
    return EXIT_SUCCESS;
  }

 private:
  absl::Status StartEnrolment() {
    const LinkConfig& link = *config_.link;
    ASSIGN_OR_RETURN(const ApiAccess access, InClusterAccess(Environment(), ReadSmallFile));
    api_ = std::make_unique<ApiClient>(access, ReadSmallFile);
    ASSIGN_OR_RETURN(CertificateAuthority authority,
                     SharedAuthority(*api_, access.name_space, clock_));
    authority_.emplace(std::move(authority));
    ASSIGN_OR_RETURN(const Credentials own, IssueOwn(*authority_, clock_));
    RETURN_IF_ERROR(KeepCredentials(link, own));
    keeper_ = std::make_unique<CertificateKeeper>(
        [this] { return IssueOwn(*authority_, clock_); },
        [&link](const Credentials& got) { return KeepCredentials(link, got); }, clock_);
    enrolment_ = std::make_unique<EnrolmentService>(
        *authority_,
        [this, &link](const std::string& token) {
          return NodeOfToken(*api_, token, link.service_account);
        },
        clock_);
    return absl::OkStatus();
  }

  AgentRegistry::Options RegistryOptions() {
    AgentRegistry::Options options;
    options.grant = [this](const Snapshot& snapshot, const std::string& from,
                           const std::string& to) { return SignGrant(snapshot, from, to); };
    return options;
  }

  absl::StatusOr<std::string> SignGrant(const Snapshot& snapshot, const std::string& from,
                                        const std::string& to) {
    const TlsFiles& files = config_.link->tls;
    const auto key = ReadSmallFile(files.private_key);
    const auto certificate = ReadSmallFile(files.certificate);
    if (key && certificate) return MakeGrant(snapshot, from, to, *key, *certificate, clock_);
    return absl::UnavailableError("the controller's key cannot be read now; repeat the call");
  }

  std::shared_ptr<StorageEngine> Connect(const std::string& node, const std::string& address) {
    const auto credentials = listening_.tls().Client({Holder::Role::kNode, node});
    return std::make_shared<RemoteEngine>(AgentChannel(address, credentials), node);
  }

  const Config& config_;
  const std::shared_ptr<spdlog::logger> logger_;
  const SystemClock clock_;
  Serving serving_;
  Metrics metrics_;
  Listening listening_;
  AgentRegistry registry_;
  IdentityService identity_;
  ControllerService controller_;
  ClusterService cluster_;
  std::unique_ptr<ApiClient> api_;
  std::optional<CertificateAuthority> authority_;
  std::unique_ptr<CertificateKeeper> keeper_;
  std::unique_ptr<EnrolmentService> enrolment_;
  std::optional<SocketClaim> claim_, admin_claim_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<Server> link_server_, server_, admin_server_;
};

}  // namespace

int ServeController(const Config& config) {
  ControllerProgram program(config);
  const absl::Status started = program.Start();
  return started.ok() ? program.ServeUntilTerminated() : Refuse(started);
}

}  // namespace holdfast
