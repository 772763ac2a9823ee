// holdfast: configuration, then objects from the machine upwards, then serve, then stop in order.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "admin/admin_service.h"
#include "base/build_info.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "config.h"
#include "controller/controller_service.h"
#include "engine/image/image_engine.h"
#include "engine/image/upkeep/image_upkeep.h"
#include "fmt/format.h"
#include "identity/identity_service.h"
#include "node/node_service.h"
#include "os/linux_host.h"
#include "os/process.h"
#include "os/unix_socket.h"
#include "registration/registration_socket.h"
#include "rpc/http.h"
#include "rpc/log_lines.h"
#include "rpc/metrics.h"
#include "rpc/observer.h"
#include "rpc/server.h"
#include "serving.h"
#include "spdlog/spdlog.h"

namespace holdfast {
namespace {

constexpr int kCannotStart = 2;
constexpr int kDidNotStop = 3;

// What stands in the way of a start is one line, whatever the log's format and level.
int Refuse(const absl::Status& status) {
  fmt::print(stderr, "holdfast: {}\n", EscapeControls(std::string(status.message())));
  return kCannotStart;
}

std::shared_ptr<spdlog::logger> StartLog(const Config& config) {
  auto logger = std::make_shared<spdlog::logger>("", MakeStderrSink());
  logger->set_level(config.log_level);
  logger->set_formatter(MakeFormatter(config.log_format));
  spdlog::set_default_logger(logger);
  RouteGrpcLog();
  return logger;
}

absl::StatusOr<std::unique_ptr<Server>> StartServer(const Config& config,
                                                    const std::string& endpoint, SocketClaim& claim,
                                                    const std::vector<grpc::Service*>& services,
                                                    spdlog::logger& logger, Metrics& metrics) {
  ServerOptions options;
  options.endpoint = endpoint;
  options.shutdown_timeout = config.shutdown_timeout;
  Server::Interceptors observers;
  observers.push_back(std::make_unique<CallObserverFactory>(logger, config.log_format, metrics));
  const PrivateCreation private_socket;
  ASSIGN_OR_RETURN(auto server, Server::Start(options, services, std::move(observers)));
  RETURN_IF_ERROR(claim.Protect());
  return server;
}

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

int ServeUntilTerminated(const Config& config) {
  const auto logger = StartLog(config);
  absl::StatusOr<SocketClaim> claim = SocketClaim::Take(config.socket_path);
  if (!claim.ok()) return Refuse(claim.status());
  if (const absl::Status run =
          EnsureWritableFolder(config.run_folder, "choose another --run-folder");
      !run.ok()) {
    return Refuse(run);
  }
  absl::StatusOr<SocketClaim> admin_claim =
      SocketClaim::Take(config.admin_socket, "--admin-socket");
  if (!admin_claim.ok()) return Refuse(admin_claim.status());
  auto host = LinuxHost::Create({config.kubelet_roots, config.run_folder});
  if (!host.ok()) return Refuse(host.status());

  Serving serving;
  Metrics metrics([&serving] { return serving.Gauges(); });
  std::unique_ptr<HttpServer> http;
  if (config.http_listen) {
    auto started = HttpServer::Start(*config.http_listen, metrics, [&] { return serving.Ready(); });
    if (!started.ok()) return Refuse(started.status());
    http = *std::move(started);
  }

  const SystemClock clock;
  ImageEngineOptions engine_options;
  engine_options.pool_paths = config.pool_paths;
  engine_options.trash_grace = config.trash_grace;
  engine_options.freeze_deadline = config.freeze_deadline;
  const auto engine = ImageEngine::Open(**host, clock, engine_options);
  serving.Begin(*engine);

  IdentityService identity([&serving] { return serving.Probe(); });
  ControllerService controller(*engine, {config.node_id});
  NodeService node(*engine, **host, {config.node_id, config.max_volumes});
  ImageUpkeep upkeep(*engine, **host, clock);
  AdminService admin(*engine, upkeep);
  auto admin_server = StartServer(config, "unix://" + config.admin_socket, *admin_claim, {&admin},
                                  *logger, metrics);
  auto server = admin_server.ok() ? StartServer(config, config.endpoint, *claim,
                                                {&identity, &controller, &node}, *logger, metrics)
                                  : admin_server.status();
  if (!server.ok()) {
    http.reset();  // a scrape asks the engine
    return Refuse(server.status());
  }
  auto registration = StartRegistration(config);
  if (!registration.ok()) {
    http.reset();
    return Refuse(registration.status());
  }
  std::jthread purging = StartPurging(*engine, config.trash_grace);
  std::jthread trimming = StartTrimming(node, config.trim_interval);
  std::jthread removing = StartRemovingSpoilt(**host);
  auto watching = engine->WatchPools([](const std::string& line) { spdlog::warn("{}", line); });
  spdlog::info("holdfast {} serves {} as node {}", kDriverVersion, config.endpoint, config.node_id);

  spdlog::info("{}: no new calls, {} ms for those in flight", WaitForTermination(),
               config.shutdown_timeout.count());
  serving.End();
  registration->reset();  // kubelet learns it before its calls are refused
  auto admin_stopped = std::async(std::launch::async, [&] { return (*admin_server)->Stop(); });
  absl::Status stopped = (*server)->Stop();
  stopped.Update(admin_stopped.get());
  if (!stopped.ok()) {
    // What it left half-done stands in the catalog; the next start finishes or undoes it.
    spdlog::error("{}; leaving without it", std::string(stopped.message()));
    std::_Exit(kDidNotStop);
  }
  purging = {};
  trimming = {};
  removing = {};
  watching.reset();
  http.reset();
  const absl::Status closed = engine->Close();
  if (!closed.ok()) spdlog::warn("closing the pools: {}", std::string(closed.message()));
  spdlog::info("stopped");
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
  holdfast::BlockTerminationSignals();
  holdfast::KeepFreedMemory();
  const holdfast::CommandLine line = holdfast::ParseCommandLine(
      {argv + 1, argv + argc}, holdfast::Environment(), holdfast::HostName());
  if (!line.config) {
    fmt::print(line.exit_code == 0 ? stdout : stderr, "{}\n", line.text);
    return line.exit_code;
  }
  return holdfast::ServeUntilTerminated(*line.config);
}
