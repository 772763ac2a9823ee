// What the controller tells an administrator of the nodes.
#pragma once

#include "agent/registry.h"
#include "proto/admin/cluster.grpc.pb.h"

namespace holdfast {

// Thread-safe.
class ClusterService final : public admin::v1::Cluster::Service {
 public:
  // `registry` must outlive the service.
  explicit ClusterService(AgentRegistry& registry) : registry_(registry) {}

  // Asks every node that is there, one after the other.
  grpc::Status GetClusterStatus(grpc::ServerContext* context,
                                const admin::v1::GetClusterStatusRequest* request,
                                admin::v1::GetClusterStatusResponse* response) override;

 private:
  AgentRegistry& registry_;
};

}  // namespace holdfast
