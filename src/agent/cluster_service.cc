#include "agent/cluster_service.h"

#include "base/build_info.h"

namespace holdfast {
namespace {

void Describe(const PoolStatus& pool, admin::v1::ClusterPool& answer) {
  answer.set_name(pool.name);
  answer.set_uuid(pool.uuid);
  answer.set_refusal(pool.refusal);
  answer.set_size_bytes(pool.space.size_bytes);
  answer.set_free_bytes(pool.space.free_bytes);
  answer.set_owed_bytes(pool.space.owed_bytes);
  answer.set_floor_bytes(pool.space.floor_bytes);
  answer.set_trash_bytes(pool.space.trash_bytes);
  answer.set_volumes(pool.volumes);
  answer.set_snapshots(pool.snapshots);
}

void Describe(const CopyProgress& copy, admin::v1::ClusterCopy& answer) {
  answer.set_volume_id(copy.volume_id);
  for (const auto& [key, value] : copy.labels) (*answer.mutable_labels())[key] = value;
  answer.set_source_id(copy.source_id);
  answer.set_from_node(copy.from_node);
  answer.set_passed_bytes(copy.passed_bytes);
  answer.set_total_bytes(copy.total_bytes);
  answer.set_started_unix_nanos(copy.started_unix_nanos);
}

// What the node says now; of one that cannot be asked, what it said last.
void Ask(const AgentRegistry::Agent& agent, const absl::StatusOr<StorageNodes::Node>& node,
         admin::v1::ClusterNode& answer) {
  std::vector<PoolStatus> pools = agent.pools;
  absl::Status asked = node.status();
  if (asked.ok()) {
    const auto refused = node->engine->RefusedVolumes();
    asked = refused.status();
    if (asked.ok()) {
      pools = node->engine->Pools();
      for (const RefusedVolume& volume : *refused) {
        admin::v1::ClusterRefusal& told = *answer.add_refused_volumes();
        told.set_volume_id(volume.id);
        for (const auto& [key, value] : volume.labels) (*told.mutable_labels())[key] = value;
        told.set_sentence(volume.sentence);
      }
    }
  }
  if (!asked.ok()) answer.set_trouble(std::string(asked.message()));
  for (const PoolStatus& pool : pools) Describe(pool, *answer.add_pools());
}

}  // namespace

grpc::Status ClusterService::GetClusterStatus(grpc::ServerContext*,
                                              const admin::v1::GetClusterStatusRequest*,
                                              admin::v1::GetClusterStatusResponse* response) {
  response->set_version(kDriverVersion);
  for (const AgentRegistry::Agent& agent : registry_.Agents()) {
    admin::v1::ClusterNode& answer = *response->add_nodes();
    answer.set_name(agent.node);
    answer.set_address(agent.address);
    answer.set_version(agent.version);
    answer.set_silent_seconds(static_cast<uint64_t>(agent.silent_for.count()));
    for (const CopyProgress& copy : agent.copies) Describe(copy, *answer.add_copies());
    Ask(agent, registry_.FindNode(agent.node), answer);
  }
  return grpc::Status::OK;
}

}  // namespace holdfast
