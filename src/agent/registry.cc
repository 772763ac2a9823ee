#include "agent/registry.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "agent/tls.h"
#include "agent/wire.h"
#include "base/build_info.h"
#include "base/status_macros.h"
#include "fmt/format.h"
#include "rpc/http.h"
#include "rpc/parse.h"
#include "rpc/status.h"

namespace holdfast {
namespace {

bool HasPoolWithUuid(const StorageNodes::Node& node, std::string_view uuid) {
  // A pool that could not even be read has none.
  return !uuid.empty() && std::any_of(node.pools.begin(), node.pools.end(),
                                      [&](const PoolStatus& pool) { return pool.uuid == uuid; });
}

}  // namespace

AgentRegistry::AgentRegistry(Connect connect, Options options)
    : connect_(std::move(connect)), options_(std::move(options)), started_(options_.now()) {}

grpc::Status AgentRegistry::Report(grpc::ServerContext* context,
                                   const agent::v1::ReportRequest* request,
                                   agent::v1::ReportResponse* response) {
  const auto holder = RequireRole(*context, Holder::Role::kNode);
  return ToGrpc(holder.ok() ? Take(holder->node, *request, *response) : holder.status());
}

absl::Status AgentRegistry::Take(const std::string& certified_node,
                                 const agent::v1::ReportRequest& request,
                                 agent::v1::ReportResponse& response) {
  if (request.node() != certified_node) {
    return absl::PermissionDeniedError(
        fmt::format("report: expected one of node {}, whose certificate came with it, found one of "
                    "node {}; give the agent the certificate of its own node",
                    certified_node, Quoted(request.node())));
  }
  const absl::StatusOr<HostPort> address = ParseHostPort(request.address());
  if (!address.ok() || address->host.empty() || address->port == 0) {
    return absl::InvalidArgumentError(
        fmt::format("report: expected the address of the agent as HOST:PORT, found {}",
                    Quoted(request.address())));
  }
  std::vector<PoolStatus> pools;
  for (const agent::v1::PoolStatus& wire : request.pools()) {
    ASSIGN_OR_RETURN(pools.emplace_back(), FromWire(wire));
  }

  const std::lock_guard lock(mutex_);
  const Time now = options_.now();
  Forget(now);
  Entry& entry = entries_[certified_node];
  if (entry.address != request.address() || entry.instance != request.instance()) {
    entry.node.engine = connect_(certified_node, request.address());
  }
  entry.node.name = certified_node;
  entry.node.pools = std::move(pools);
  entry.address = request.address();
  entry.version = request.version();
  entry.instance = request.instance();
  entry.heard = now;
  entry.copies.clear();
  for (const agent::v1::CopyProgress& wire : request.copies()) {
    entry.copies.push_back(FromWire(wire));
  }

  response.set_version(kDriverVersion);
  for (const PoolStatus& pool : entry.node.pools) {
    for (const auto& [name, other] : entries_) {
      if (&other == &entry || IsAway(other, now) || !HasPoolWithUuid(other.node, pool.uuid)) {
        continue;
      }
      agent::v1::ContestedPool& contested = *response.add_contested();
      contested.set_uuid(pool.uuid);
      contested.set_other_node(name);
    }
  }
  return absl::OkStatus();
}

std::chrono::seconds AgentRegistry::SilentFor(const Entry& entry, Time now) const {
  return std::chrono::duration_cast<std::chrono::seconds>(now - entry.heard);
}

absl::Status AgentRegistry::Away(const Entry& entry, Time now) const {
  return absl::UnavailableError(fmt::format(
      "the agent of node {} was heard of {} s ago for the last time; is the node up, and its "
      "holdfast-node pod?",
      entry.node.name, SilentFor(entry, now).count()));
}

// OK once everybody who is there has had the time to report.
absl::Status AgentRegistry::JustStarted() const {
  if (options_.now() - started_ > options_.silence) return absl::OkStatus();
  return absl::UnavailableError(
      fmt::format("the controller has just started and waits up to {} s for the nodes to report; "
                  "try again",
                  options_.silence.count()));
}

void AgentRegistry::Forget(Time now) {
  std::erase_if(entries_,
                [&](const auto& item) { return now - item.second.heard > options_.memory; });
}

std::vector<AgentRegistry::Agent> AgentRegistry::Agents() {
  const std::lock_guard lock(mutex_);
  const Time now = options_.now();
  std::vector<Agent> agents;
  for (const auto& [name, entry] : entries_) {
    agents.push_back({name, entry.address, entry.version, entry.node.pools, entry.copies,
                      SilentFor(entry, now), IsAway(entry, now)});
  }
  return agents;
}

std::vector<StorageNodes::Node> AgentRegistry::Nodes() {
  const std::lock_guard lock(mutex_);
  const Time now = options_.now();
  std::vector<Node> nodes;
  for (const auto& [name, entry] : entries_) {
    if (!IsAway(entry, now)) nodes.push_back(entry.node);
  }
  return nodes;
}

absl::StatusOr<std::vector<StorageNodes::Node>> AgentRegistry::AllNodes() {
  RETURN_IF_ERROR(JustStarted());
  const std::lock_guard lock(mutex_);
  const Time now = options_.now();
  std::vector<Node> nodes;
  for (const auto& [name, entry] : entries_) {
    if (IsAway(entry, now)) return Away(entry, now);
    nodes.push_back(entry.node);
  }
  return nodes;
}

absl::StatusOr<StorageNodes::Node> AgentRegistry::FindNode(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const Time now = options_.now();
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    if (now - started_ <= options_.patience) {
      return absl::UnavailableError(fmt::format(
          "the agent of node {} has not reported yet; is its holdfast-node pod running?", name));
    }
    return absl::NotFoundError(fmt::format("no agent of node {} reports", name));
  }
  const Entry& entry = found->second;
  if (!IsAway(entry, now)) return entry.node;
  const absl::Status away = Away(entry, now);
  return now - entry.heard <= options_.patience ? away : absl::NotFoundError(away.message());
}

absl::StatusOr<StorageNodes::Node> AgentRegistry::NodeOfPool(std::string_view pool_uuid) {
  const std::lock_guard lock(mutex_);
  const Time now = options_.now();
  const Entry* here = nullptr;
  const Entry* away = nullptr;
  for (const auto& [name, entry] : entries_) {
    if (!HasPoolWithUuid(entry.node, pool_uuid)) continue;
    if (IsAway(entry, now)) {
      if (away == nullptr || away->heard < entry.heard) away = &entry;
    } else if (here != nullptr) {
      return absl::FailedPreconditionError(fmt::format(
          "pool {}: expected on one node, found on {} and {} at once; one of them is a copy: take "
          "it away, or remove its --pool",
          pool_uuid, here->node.name, name));
    } else {
      here = &entry;
    }
  }
  if (here != nullptr) return here->node;
  if (away != nullptr) return Away(*away, now);
  return absl::UnavailableError(
      fmt::format("no node has reported pool {}; is the node with its disk up, and its "
                  "holdfast-node pod?",
                  pool_uuid));
}

absl::StatusOr<CopyOrigin> AgentRegistry::Grant(const Snapshot& snapshot, const std::string& from,
                                                const std::string& to) {
  ASSIGN_OR_RETURN(std::string grant, options_.grant(snapshot, from, to));
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(from);
  if (found == entries_.end()) {
    return absl::UnavailableError(fmt::format("the agent of node {} has gone", from));
  }
  return CopyOrigin{snapshot, from, found->second.address, std::move(grant)};
}

}  // namespace holdfast
