// The CSI Node service: stage, publish and their undoing, on the machine that has the pools.
//
// No mkfs, no repair and no recursive delete anywhere in this folder. What is staged or published
// is asked of the kernel each time, never remembered: a restart changes nothing for running mounts.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/image/ballast.h"
#include "engine/image/image_engine.h"
#include "node/presence.h"
#include "os/host.h"
#include "proto/csi/csi.grpc.pb.h"
#include "rpc/status.h"

namespace holdfast {

struct NodeOptions {
  std::string node_id;      // 1 to 256 bytes
  int64_t max_volumes = 0;  // per node; 0: the orchestrator's default
  // The other node that reports that pool too; empty: none. Absent: there are no other nodes.
  std::function<std::string(const std::string& pool_uuid)> other_node_of;
};

// One file per RPC holds its Handle overload. Thread-safe.
class NodeService final : public csi::v1::Node::Service {
 public:
  // `engine` and `host` must outlive the service. From here on the engine's DeleteVolume puts away
  // what kubelet forgot.
  NodeService(ImageEngine& engine, Host& host, NodeOptions options)
      : engine_(engine), host_(host), options_(std::move(options)) {
    engine_.set_put_away([this](LocalVolume& local) { return PutAwayForgotten(local); });
  }
  ~NodeService() override { engine_.set_put_away(nullptr); }

#define HOLDFAST_RPC(Name)                                                       \
  grpc::Status Name(grpc::ServerContext*, const csi::v1::Name##Request* request, \
                    csi::v1::Name##Response* response) override {                \
    return ToGrpc(Handle(*request, *response));                                  \
  }
  HOLDFAST_RPC(NodeStageVolume)
  HOLDFAST_RPC(NodeUnstageVolume)
  HOLDFAST_RPC(NodePublishVolume)
  HOLDFAST_RPC(NodeUnpublishVolume)
  HOLDFAST_RPC(NodeGetVolumeStats)
  HOLDFAST_RPC(NodeExpandVolume)
  HOLDFAST_RPC(NodeGetCapabilities)
  HOLDFAST_RPC(NodeGetInfo)
#undef HOLDFAST_RPC

  // Has the thin ext4 and XFS volumes that are in use here give back what their workloads deleted:
  // their "discard" would do it in the path of every commit. The first failure, after all were
  // tried; ends early when `stop` says so.
  absl::Status TrimThinVolumes(const std::function<bool()>& stop);

 private:
  using LocalVolume = ImageEngine::LocalVolume;
  struct Stage;    // node_stage_volume.cc: a parsed request
  struct Publish;  // node_publish_volume.cc

  absl::Status Handle(const csi::v1::NodeStageVolumeRequest& request,
                      csi::v1::NodeStageVolumeResponse& response);
  absl::Status Handle(const csi::v1::NodeUnstageVolumeRequest& request,
                      csi::v1::NodeUnstageVolumeResponse& response);
  absl::Status Handle(const csi::v1::NodePublishVolumeRequest& request,
                      csi::v1::NodePublishVolumeResponse& response);
  absl::Status Handle(const csi::v1::NodeUnpublishVolumeRequest& request,
                      csi::v1::NodeUnpublishVolumeResponse& response);
  absl::Status Handle(const csi::v1::NodeGetVolumeStatsRequest& request,
                      csi::v1::NodeGetVolumeStatsResponse& response);
  absl::Status Handle(const csi::v1::NodeExpandVolumeRequest& request,
                      csi::v1::NodeExpandVolumeResponse& response);
  absl::Status Handle(const csi::v1::NodeGetCapabilitiesRequest& request,
                      csi::v1::NodeGetCapabilitiesResponse& response);
  absl::Status Handle(const csi::v1::NodeGetInfoRequest& request,
                      csi::v1::NodeGetInfoResponse& response);

  // ABORTED when another call has the volume; NOT_FOUND for an id that cannot be one.
  absl::StatusOr<VolumeLocks::Guard> Lock(const std::string& volume_id);
  // For a volume that no pool has: `not_found`, or OK when nothing is mounted at `path` either. A
  // delete can come before kubelet's last unpublish or unstage, which kubelet repeats until it is
  // OK.
  absl::Status CheckNothingAt(const std::string& path, const absl::Status& not_found);
  absl::StatusOr<Presence> Ask(const LocalVolume& local);
  // The volume's mount at a path that a request names, never null; NOT_FOUND when there is none or
  // the path cannot be one.
  absl::StatusOr<const MountEntry*> MountOfPath(const LocalVolume& local, const Presence& presence,
                                                const std::string& path);
  static absl::Status NoMountAt(const LocalVolume& local, const std::string& path);
  absl::Status Record(const LocalVolume& local, Outlives outlives = Outlives::kPowerCut) {
    return WithCatalogRoom(
        *local.pool, [&] { return local.pool->catalog->UpdateVolume(local.volume, outlives); });
  }

  absl::StatusOr<bool> AlreadyStaged(const LocalVolume& local, const Stage& stage,
                                     const Presence& presence);
  absl::Status CheckAlive(const LocalVolume& local, const std::string& staging);
  absl::Status CheckUncontested(const LocalVolume& local);
  absl::Status CheckAlone(const LocalVolume& local, const Stage& stage, const Presence& presence);
  absl::Status StageBlock(LocalVolume& local, const Stage& stage, const UniqueFd& image);
  absl::Status StageFilesystem(LocalVolume& local, const Stage& stage, const UniqueFd& image);
  absl::Status PrepareFilesystem(LocalVolume& local, const Stage& stage, const UniqueFd& image);
  absl::Status Grow(LocalVolume& local, const UniqueFd& image);
  absl::Status Judge(LocalVolume& local, const RootAttributes& root);
  absl::Status CheckNoTwin(const LocalVolume& local);
  absl::Status ShowStaged(LocalVolume& local, const Stage& stage, const UniqueFd& mount,
                          const RootAttributes& root, const Loop& loop);

  absl::Status CheckStaged(const LocalVolume& local, const Publish& publish,
                           const Presence& presence);
  absl::StatusOr<bool> AlreadyPublished(const LocalVolume& local, const Publish& publish,
                                        const Presence& presence);
  absl::Status CheckFitsStage(const Volume& volume, const Publish& publish);
  absl::Status CheckPlace(const Volume& volume, const Publish& publish, const Presence& presence);
  absl::Status PublishBlock(const LocalVolume& local, const Publish& publish, const Loop& loop);
  absl::Status PublishFilesystem(LocalVolume& local, const Publish& publish);

  absl::Status UnstageFilesystem(LocalVolume& local, const std::string& staging,
                                 const Presence& presence);
  absl::Status RecordUnseenEnd(LocalVolume& local);
  absl::Status RecordClean(LocalVolume& local);
  absl::Status PutAwayForgotten(LocalVolume& local);

  absl::Status TrimSlice(const std::string& volume_id, uint64_t start);

  ImageEngine& engine_;
  Host& host_;
  const NodeOptions options_;
};

}  // namespace holdfast
