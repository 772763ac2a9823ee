// The storage of one node, through its agent.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "engine/storage_engine.h"
#include "grpcpp/channel.h"
#include "grpcpp/security/credentials.h"
#include "proto/agent/agent.grpc.pb.h"

namespace holdfast {

// Connected when it is first used, and again after each failure. Keepalives tell a node that is
// gone within seconds.
std::shared_ptr<grpc::Channel> AgentChannel(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials);

// Thread-safe. What the agent answers is passed on as it is. UNAVAILABLE, with the node's name and
// what to look at: no answer came; the call may have had its effect and may be repeated.
// DEADLINE_EXCEEDED: none within the limits below, and the agent goes on with it.
class RemoteEngine final : public StorageEngine {
 public:
  struct Limits {
    std::chrono::milliseconds ask = std::chrono::seconds(30);  // find, list, capacity
    std::chrono::milliseconds change = std::chrono::minutes(10);
  };
  RemoteEngine(const std::shared_ptr<grpc::Channel>& channel, std::string node)
      : RemoteEngine(channel, std::move(node), Limits()) {}
  RemoteEngine(const std::shared_ptr<grpc::Channel>& channel, std::string node, Limits limits)
      : stub_(agent::v1::Storage::NewStub(channel)), node_(std::move(node)), limits_(limits) {}

  absl::StatusOr<Volume> CreateVolume(const VolumeRequest& request) override;
  absl::Status DeleteVolume(std::string_view id) override;
  absl::StatusOr<Volume> ExpandVolume(std::string_view id, const CapacityRange& range) override;
  absl::StatusOr<std::optional<Volume>> FindVolume(std::string_view id) override;
  absl::StatusOr<std::vector<ListedVolume>> ListVolumes(std::string_view after,
                                                        uint64_t limit) override;
  absl::StatusOr<std::vector<RefusedVolume>> RefusedVolumes() override;
  absl::StatusOr<Snapshot> CreateSnapshot(const std::string& name,
                                          std::string_view volume_id) override;
  absl::Status DeleteSnapshot(std::string_view id) override;
  absl::StatusOr<std::optional<Snapshot>> FindSnapshot(std::string_view id) override;
  absl::StatusOr<std::vector<Snapshot>> ListSnapshots(const SnapshotFilter& filter,
                                                      std::string_view after,
                                                      uint64_t limit) override;
  // One that says why when the agent does not answer.
  std::vector<PoolStatus> Pools() override { return ListPools(/*brief=*/false); }
  std::vector<PoolStatus> PoolsInBrief() override { return ListPools(/*brief=*/true); }
  absl::StatusOr<CapacityAnswer> GetCapacity(const ClassParameters& parameters,
                                             std::optional<Content> content) override;

 private:
  template <typename Request, typename Response>
  using Method = grpc::Status (agent::v1::Storage::Stub::*)(grpc::ClientContext*, const Request&,
                                                            Response*);
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(Method<Request, Response> method, const Request& request,
                                std::chrono::milliseconds limit);
  std::vector<PoolStatus> ListPools(bool brief);

  const std::unique_ptr<agent::v1::Storage::Stub> stub_;
  const std::string node_;
  const Limits limits_;
};

}  // namespace holdfast
