#include "agent/reporter.h"

#include <condition_variable>
#include <set>
#include <utility>

#include "agent/remote_engine.h"
#include "agent/wire.h"
#include "base/build_info.h"
#include "fmt/format.h"
#include "spdlog/spdlog.h"

namespace holdfast {
namespace {

constexpr std::chrono::seconds kTimeout{5};

}  // namespace

Reporter::Reporter(StorageEngine& engine, ReporterOptions options)
    : engine_(engine), options_(std::move(options)) {}

void Reporter::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

std::string Reporter::OtherNodeOf(std::string_view pool_uuid) const {
  const std::lock_guard lock(mutex_);
  const auto found = contested_.find(pool_uuid);
  return found == contested_.end() ? "" : found->second;
}

void Reporter::Run(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  do {
    FindReplicas();
    agent::v1::ReportRequest request;
    request.set_node(options_.node);
    request.set_address(options_.address);
    request.set_version(kDriverVersion);
    request.set_instance(instance_);
    for (const PoolStatus& pool : engine_.PoolsInBrief()) *request.add_pools() = ToWire(pool);
    for (const CopyProgress& copy : options_.copies()) *request.add_copies() = ToWire(copy);
    std::map<std::string, std::string, std::less<>> contested;
    for (auto& [address, replica] : replicas_) {
      if (stop.stop_requested()) return;
      Tell(address, replica, request, stop);
      contested.insert(replica.contested.begin(), replica.contested.end());
    }
    const std::lock_guard contested_lock(mutex_);
    contested_ = std::move(contested);
  } while (
      !wake.wait_for(lock, stop, options_.interval, [&stop] { return stop.stop_requested(); }));
}

void Reporter::FindReplicas() {
  const absl::StatusOr<std::vector<std::string>> hosts = options_.resolve(options_.controller.host);
  std::string trouble;
  if (!hosts.ok()) {
    trouble = std::string(hosts.status().message());
  } else if (hosts->empty()) {
    trouble = "no addresses";
  }
  if (trouble != trouble_ && !trouble.empty()) {
    spdlog::warn(
        "the controller cannot be found, volumes here are staged and published all the "
        "same: {}",
        trouble);
  }
  trouble_ = trouble;
  if (!trouble.empty()) return;  // those that are known may still be there
  std::set<std::string> found;
  for (const std::string& host : *hosts) {
    const std::string address = JoinHostPort({host, options_.controller.port});
    found.insert(address);
    Replica& replica = replicas_[address];
    if (replica.stub == nullptr) {
      replica.stub = agent::v1::Registry::NewStub(AgentChannel(address, options_.credentials));
    }
  }
  std::erase_if(replicas_, [&](const auto& replica) { return !found.contains(replica.first); });
}

void Reporter::Tell(const std::string& address, Replica& replica,
                    const agent::v1::ReportRequest& request, const std::stop_token& stop) {
  grpc::ClientContext context;
  const std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
  context.set_deadline(std::chrono::system_clock::now() + kTimeout);
  agent::v1::ReportResponse response;
  const grpc::Status status = replica.stub->Report(&context, request, &response);
  if (stop.stop_requested()) return;
  if (!status.ok()) {
    if (status.error_message() != replica.trouble) {
      spdlog::warn("the controller at {} does not take this node's report, which is repeated: {}",
                   address, status.error_message());
    }
    replica.trouble = status.error_message();
    return;  // what it said of contested pools holds until it says otherwise
  }
  if (!replica.trouble.empty()) {
    spdlog::info("the controller at {} ({}) takes this node's reports", address,
                 response.version());
  }
  replica.trouble.clear();
  replica.contested.clear();
  for (const agent::v1::ContestedPool& pool : response.contested()) {
    replica.contested[pool.uuid()] = pool.other_node();
    spdlog::error("pool {} is reported by node {} too: no volume of it is staged here", pool.uuid(),
                  pool.other_node());
  }
}

}  // namespace holdfast
