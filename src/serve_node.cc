// A node: its pools, its volumes, and, in a cluster, its agent. Objects from the machine upwards,
// then serve, then stop in order.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <future>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "admin/admin_service.h"
#include "agent/agent_service.h"
#include "agent/certificate_keeper.h"
#include "agent/fetch_snapshot.h"
#include "agent/remote_engine.h"
#include "agent/reporter.h"
#include "agent/snapshot_service.h"
#include "base/build_info.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "controller/controller_service.h"
#include "engine/image/image_engine.h"
#include "engine/image/upkeep/image_upkeep.h"
#include "identity/identity_service.h"
#include "launch.h"
#include "node/node_service.h"
#include "os/linux_host.h"
#include "os/network.h"
#include "os/process.h"
#include "os/small_file.h"
#include "registration/registration_socket.h"

namespace holdfast {
namespace {

// Null when it is not wanted. A refusal by kubelet ends nothing: pods that run need their node
// plugin, and kubelet asks again by itself.
absl::StatusOr<std::unique_ptr<RegistrationSocket>> StartRegistration(const Config& config) {
  if (config.registration_socket.empty()) return nullptr;
  return RegistrationSocket::Serve(
      config.registration_socket, config.socket_path, [](const absl::Status& status) {
        if (status.ok()) return spdlog::info("kubelet has registered {}", kDriverName);
        spdlog::error("kubelet does not register {}, and tries again: {}", kDriverName,
                      std::string(status.message()));
      });
}

// Does the work again and again; what fails is told, and tried again when its time has come.
std::jthread StartEvery(std::chrono::seconds period, const char* what,
                        std::function<absl::Status(const std::stop_token&)> work) {
  return std::jthread([period, what, work = std::move(work)](const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    while (!wake.wait_for(lock, stop, period, [&stop] { return stop.stop_requested(); })) {
      const absl::Status status = work(stop);
      if (!status.ok()) spdlog::warn("{}: {}", what, std::string(status.message()));
    }
  });
}

// Frees the space of deleted volumes when their grace has passed.
std::jthread StartPurging(ImageEngine& engine, std::chrono::seconds grace) {
  const auto period =
      std::clamp<std::chrono::seconds>(grace / 4, std::chrono::seconds(1), std::chrono::minutes(1));
  return StartEvery(period, "purging the trash",
                    [&engine](const std::stop_token&) { return engine.PurgeExpiredTrash(); });
}

// Has thin volumes give back what their workloads deleted. 0: never.
std::jthread StartTrimming(NodeService& node, std::chrono::seconds interval) {
  if (interval.count() == 0) return {};
  return StartEvery(interval, "trimming thin volumes", [&node](const std::stop_token& stop) {
    return node.TrimThinVolumes([&stop] { return stop.stop_requested(); });
  });
}

// Other programs are given the numbers of loop devices that are free. Not at each unstage: the next
// stage would wait 15 ms until a new device refuses discards.
std::jthread StartRemovingSpoilt(LinuxHost& host) {
  return StartEvery(std::chrono::minutes(1), "removing loop devices",
                    [&host](const std::stop_token&) {
                      host.RemoveSpoilt();
                      return absl::OkStatus();
                    });
}

// From whichever replica of the controller answers.
absl::StatusOr<Credentials> EnrolAtAny(const LinkConfig& link) {
  const std::optional<std::string> token = ReadSmallFile(link.enrolment_token);
  if (!token) {
    return absl::UnavailableError(
        fmt::format("--enrol-token: expected a token in {}, found none", link.enrolment_token));
  }
  ASSIGN_OR_RETURN(const auto hosts, ResolveHost(link.controller.host));
  absl::Status last = absl::UnavailableError("the controller has no address");
  for (const std::string& host : hosts) {
    const auto tls = EnrolmentTls(link.enrolment_authority, {Holder::Role::kController, ""});
    absl::StatusOr<Credentials> got =
        Enrol(AgentChannel(JoinHostPort({host, link.controller.port}), tls), *token);
    if (got.ok()) return got;
    last = got.status();
  }
  return last;
}

class NodeProgram {
 public:
  explicit NodeProgram(const Config& config)
      : config_(config),
        logger_(StartLog(config)),
        metrics_([this] { return serving_.Gauges(); }),
        listening_(config, *logger_, metrics_) {}

  absl::Status Start() {
    RETURN_IF_ERROR(Claim());
    ASSIGN_OR_RETURN(http_, StartHttp(config_, metrics_, serving_));
    OpenPools();
    MakeServices();
    RETURN_IF_ERROR(Listen());
    ASSIGN_OR_RETURN(registration_, StartRegistration(config_));
    StartThreads();
    spdlog::info("holdfast {} serves {} as node {}", kDriverVersion, config_.endpoint,
                 config_.node_id);
    return absl::OkStatus();
  }

  int ServeUntilTerminated() {
    spdlog::info("{}: no new calls, {} ms for those in flight", WaitForTermination(),
                 config_.shutdown_timeout.count());
    serving_.End();
    registration_.reset();  // kubelet learns it before its calls are refused
    if (reporter_) reporter_->Stop();
    keeper_.reset();
    engine_->StopCopies();
    if (snapshots_) snapshots_->Stop();
    if (const absl::Status stopped = StopServers(); !stopped.ok()) {
      // What it left half-done stands in the catalog; the next start finishes or undoes it.
      spdlog::error("{}; leaving without it", std::string(stopped.message()));
      std::_Exit(kDidNotStop);
    }
    threads_.clear();
    watching_.reset();
    http_.reset();
    const absl::Status closed = engine_->Close();
    if (!closed.ok()) spdlog::warn("closing the pools: {}", std::string(closed.message()));
    spdlog::info("stopped");
    return EXIT_SUCCESS;
  }

 private:
  absl::Status Claim() {
    ASSIGN_OR_RETURN(SocketClaim claim, SocketClaim::Take(config_.socket_path));
    claim_.emplace(std::move(claim));
    RETURN_IF_ERROR(EnsureWritableFolder(config_.run_folder, "choose another --run-folder"));
    ASSIGN_OR_RETURN(SocketClaim admin, SocketClaim::Take(config_.admin_socket, "--admin-socket"));
    admin_claim_.emplace(std::move(admin));
    ASSIGN_OR_RETURN(host_, LinuxHost::Create({config_.kubelet_roots, config_.run_folder}));
    return absl::OkStatus();
  }

  void OpenPools() {
    ImageEngineOptions options;
    options.pool_paths = config_.pool_paths;
    options.trash_grace = config_.trash_grace;
    options.freeze_deadline = config_.freeze_deadline;
    engine_ = ImageEngine::Open(*host_, clock_, options);
    serving_.Begin(*engine_);
  }

  void MakeServices() {
    if (config_.link) reporter_ = MakeReporter();
    identity_ = std::make_unique<IdentityService>([this] { return serving_.Probe(); });
    nodes_ = std::make_unique<SingleNode>(config_.node_id, *engine_);
    controller_ = std::make_unique<ControllerService>(*nodes_);
    NodeOptions options{config_.node_id, config_.max_volumes, {}};
    if (reporter_) {
      options.other_node_of = [this](const std::string& pool_uuid) {
        return reporter_->OtherNodeOf(pool_uuid);
      };
    }
    node_ = std::make_unique<NodeService>(*engine_, *host_, std::move(options));
    upkeep_ = std::make_unique<ImageUpkeep>(*engine_, *host_, clock_);
    admin_ = std::make_unique<AdminService>(*engine_, *upkeep_);
    agent_ = std::make_unique<AgentService>(*engine_);
    if (config_.link) MakeCopying();
  }

  // A link that cannot work ends nothing: volumes are staged and published without a controller.
  std::unique_ptr<Reporter> MakeReporter() {
    const LinkConfig& link = *config_.link;
    if (!link.enrolment_folder.empty()) {
      keeper_ = std::make_unique<CertificateKeeper>(
          [&link] { return EnrolAtAny(link); },
          [&link](const Credentials& got) { return KeepCredentials(link, got); }, clock_);
    } else if (const absl::Status files =
                   CheckTlsFiles(link.tls, {Holder::Role::kNode, config_.node_id});
               !files.ok()) {
      spdlog::error("no controller can be spoken to until this is mended: {}",
                    std::string(files.message()));
    }
    ReporterOptions options;
    options.node = config_.node_id;
    options.address = link.address;
    options.controller = link.controller;
    options.credentials = listening_.tls().Client({Holder::Role::kController, ""});
    options.resolve = ResolveHost;
    options.copies = [this] { return engine_->copies().List(); };
    return std::make_unique<Reporter>(*engine_, std::move(options));
  }

  void MakeCopying() {
    snapshots_ = std::make_unique<SnapshotService>(
        *engine_, config_.node_id, [this] { return ReadSmallFile(config_.link->tls.authority); },
        clock_);
    engine_->set_fetch([this](const CopyOrigin& origin, uint64_t from, TakeChunk take) {
      const auto credentials = listening_.tls().Client({Holder::Role::kNode, origin.node});
      return FetchOver(AgentChannel(origin.address, credentials), origin, from, take);
    });
  }

  absl::Status Listen() {
    ASSIGN_OR_RETURN(admin_server_,
                     listening_.OnSocket(config_.admin_socket, *admin_claim_, {admin_.get()}));
    std::vector<grpc::Service*> services{identity_.get(), node_.get()};
    if (config_.mode == Config::Mode::kAll) services.push_back(controller_.get());
    ASSIGN_OR_RETURN(server_, listening_.OnSocket(config_.socket_path, *claim_, services));
    if (!config_.link) return absl::OkStatus();
    ASSIGN_OR_RETURN(agent_server_, listening_.OnLink({agent_.get(), snapshots_.get()},
                                                      ClientCertificate::kRequired));
    reporter_->Start();
    return absl::OkStatus();
  }

  void StartThreads() {
    threads_.push_back(StartPurging(*engine_, config_.trash_grace));
    threads_.push_back(StartTrimming(*node_, config_.trim_interval));
    threads_.push_back(StartRemovingSpoilt(*host_));
    watching_ = engine_->WatchPools([](const std::string& line) { spdlog::warn("{}", line); });
  }

  // All at once: each may take the whole time that calls in flight are given.
  absl::Status StopServers() {
    std::vector<std::future<absl::Status>> stops;
    for (Server* const server : {admin_server_.get(), server_.get(), agent_server_.get()}) {
      if (server == nullptr) continue;
      stops.push_back(std::async(std::launch::async, [server] { return server->Stop(); }));
    }
    absl::Status stopped;
    for (auto& stop : stops) stopped.Update(stop.get());
    return stopped;
  }

  // In the order in which they need each other.
  const Config& config_;
  const std::shared_ptr<spdlog::logger> logger_;
  const SystemClock clock_;
  Serving serving_;
  Metrics metrics_;
  Listening listening_;
  std::optional<SocketClaim> claim_, admin_claim_;
  std::unique_ptr<LinuxHost> host_;
  std::unique_ptr<ImageEngine> engine_;
  std::unique_ptr<HttpServer> http_;  // a scrape asks the engine
  std::unique_ptr<CertificateKeeper> keeper_;
  std::unique_ptr<Reporter> reporter_;
  std::unique_ptr<IdentityService> identity_;
  std::unique_ptr<SingleNode> nodes_;
  std::unique_ptr<ControllerService> controller_;
  std::unique_ptr<NodeService> node_;
  std::unique_ptr<ImageUpkeep> upkeep_;
  std::unique_ptr<AdminService> admin_;
  std::unique_ptr<AgentService> agent_;
  std::unique_ptr<SnapshotService> snapshots_;
  std::unique_ptr<Server> admin_server_, server_, agent_server_;
  std::unique_ptr<RegistrationSocket> registration_;
  std::vector<std::jthread> threads_;
  std::unique_ptr<FailStopThreads> watching_;
};

}  // namespace

int ServeNode(const Config& config) {
  NodeProgram program(config);
  const absl::Status started = program.Start();
  return started.ok() ? program.ServeUntilTerminated() : Refuse(started);
}

}  // namespace holdfast
