// Which agents there are, what pools they have and how to reach them: soft state, known again
// seconds after a restart, because every agent reports to every controller every few seconds.
//
// A pool is where its node says it is: a disk moved to another node is served there. An agent that
// was silent for `silence` is away. What its node had is then UNAVAILABLE, never gone, until it or
// another node reports it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/storage_nodes.h"
#include "proto/agent/agent.grpc.pb.h"

namespace holdfast {

// Thread-safe.
class AgentRegistry final : public StorageNodes, public agent::v1::Registry::Service {
 public:
  using Now = std::function<std::chrono::steady_clock::time_point()>;
  // The engine of the agent of `node` at `address`, connected when it is first used.
  using Connect = std::function<std::shared_ptr<StorageEngine>(const std::string& node,
                                                               const std::string& address)>;
  struct Options {
    std::chrono::seconds silence{15};
    // How long a new volume waits for a node that comes first, before others are tried.
    std::chrono::seconds patience{60};
    // When a node that is not there any more is forgotten.
    std::chrono::hours memory{24};
    Now now = std::chrono::steady_clock::now;
    // Signs that a node may have a snapshot of another one (agent/grant.h).
    std::function<absl::StatusOr<std::string>(const Snapshot& snapshot, const std::string& from,
                                              const std::string& to)>
        grant;
  };
  // What is known of one agent.
  struct Agent {
    std::string node;
    std::string address;
    std::string version;
    std::vector<PoolStatus> pools;     // in brief
    std::vector<CopyProgress> copies;  // to that node, that were under way when it was heard of
    std::chrono::seconds silent_for{0};
    bool away = false;
  };

  explicit AgentRegistry(Connect connect) : AgentRegistry(std::move(connect), Options()) {}
  AgentRegistry(Connect connect, Options options);

  grpc::Status Report(grpc::ServerContext* context, const agent::v1::ReportRequest* request,
                      agent::v1::ReportResponse* response) override;
  // The same, once it is known whose certificate it came with.
  absl::Status Take(const std::string& certified_node, const agent::v1::ReportRequest& request,
                    agent::v1::ReportResponse& response);

  std::vector<Agent> Agents();

  std::vector<Node> Nodes() override;
  absl::StatusOr<std::vector<Node>> AllNodes() override;
  absl::StatusOr<Node> FindNode(std::string_view name) override;
  absl::StatusOr<Node> NodeOfPool(std::string_view pool_uuid) override;
  absl::StatusOr<CopyOrigin> Grant(const Snapshot& snapshot, const std::string& from,
                                   const std::string& to) override;

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Entry {
    Node node;
    std::string address, version, instance;
    std::vector<CopyProgress> copies;
    Time heard;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

  std::chrono::seconds SilentFor(const Entry& entry, Time now) const;
  bool IsAway(const Entry& entry, Time now) const { return now - entry.heard > options_.silence; }
  absl::Status Away(const Entry& entry, Time now) const;
  absl::Status JustStarted() const;
  void Forget(Time now);

  const Connect connect_;
  const Options options_;
  const Time started_;
  std::mutex mutex_;
  Entries entries_;
};

}  // namespace holdfast
