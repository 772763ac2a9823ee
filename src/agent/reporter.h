// The agent's side of the registry: tells every replica of the controller what this node has.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "base/uuid.h"
#include "engine/storage_engine.h"
#include "grpcpp/security/credentials.h"
#include "proto/agent/agent.grpc.pb.h"
#include "rpc/http.h"

namespace holdfast {

struct ReporterOptions {
  std::string node;
  std::string address;  // host:port of this agent, as a controller reaches it
  HostPort controller;  // a name with the addresses of all replicas, such as a headless Service
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  std::chrono::milliseconds interval = std::chrono::seconds(5);
  // The addresses of a name (os/network.h).
  std::function<absl::StatusOr<std::vector<std::string>>(const std::string& host)> resolve;
  // What is being copied to this node now.
  std::function<std::vector<CopyProgress>()> copies = [] { return std::vector<CopyProgress>(); };
};

// Reports from Start() until it goes. What cannot be reached is told in the log once, and tried
// again; nothing of the node waits for it. Thread-safe.
class Reporter {
 public:
  // `engine` must outlive it.
  Reporter(StorageEngine& engine, ReporterOptions options);
  // To be called once, when the agent can be dialled.
  void Start();
  // Reports nothing more, and does not wait for an answer.
  void Stop() { thread_ = {}; }

  // The node that reports the pool too, as a controller said last; empty: none.
  std::string OtherNodeOf(std::string_view pool_uuid) const;

 private:
  struct Replica {
    std::unique_ptr<agent::v1::Registry::Stub> stub;
    std::string trouble = "not tried yet";                      // empty: it took the last report
    std::map<std::string, std::string, std::less<>> contested;  // pool, other node
  };

  void Run(const std::stop_token& stop);
  void FindReplicas();
  static void Tell(const std::string& address, Replica& replica,
                   const agent::v1::ReportRequest& request, const std::stop_token& stop);

  StorageEngine& engine_;
  const ReporterOptions options_;
  const std::string instance_ = NewUuid();
  mutable std::mutex mutex_;  // of what contested_ has
  std::map<std::string, std::string, std::less<>> contested_;
  std::map<std::string, Replica> replicas_;  // by address; of the thread
  std::string trouble_;                      // with the name; of the thread
  std::jthread thread_;
};

}  // namespace holdfast
