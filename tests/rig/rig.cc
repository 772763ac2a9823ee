#include "tests/rig/rig.h"

#include <cstdlib>

#include "base/sizes.h"
#include "base/uuid.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

constexpr char kPool[] = "/pool";

}  // namespace

csi::v1::VolumeCapability CapabilityOf(const std::string& fs_type,
                                       csi::v1::VolumeCapability::AccessMode::Mode mode) {
  csi::v1::VolumeCapability capability;
  capability.mutable_access_mode()->set_mode(mode);
  if (fs_type == "block") {
    capability.mutable_block();
  } else {
    capability.mutable_mount()->set_fs_type(fs_type);
  }
  return capability;
}

Rig::Rig(const RigOptions& options) : options_(options) {
  folder_ = std::filesystem::path("/dev/shm") / ("holdfast-rig-" + NewUuid());
  std::filesystem::create_directories(folder_);
  FakePoolOptions pool;
  pool.size_bytes = options.pool_bytes;
  machine.MakePool(kPool, pool);
  machine.MakeFolders("/kubelet/staging");
  machine.MakeFolders("/kubelet/pods");
  EXPECT_TRUE(CreateCatalog((folder_ / "catalog.db").string(), {.uuid = NewUuid(),
                                                                .name = "default",
                                                                .created_unix_nanos = 1,
                                                                .overcommit = options.overcommit})
                  .ok());
  Start();
}

Rig::~Rig() {
  admin.reset();
  upkeep.reset();
  node.reset();
  controller.reset();
  nodes.reset();
  engine.reset();
  std::filesystem::remove_all(folder_);
}

void Rig::Start() {
  engine = ImageEngine::Open(
      host, clock, {.pool_paths = {kPool}, .trash_grace = options_.trash_grace},
      [this](const std::string&) {
        return OpenCatalog((folder_ / "catalog.db").string(), Catalog::Access::kReadWrite,
                           [this](std::string_view) {
                             return catalog_plan.Admit(CallKind::kMutating, "catalog");
                           });
      });
  nodes = std::make_unique<SingleNode>("node", *engine);
  controller = std::make_unique<ControllerService>(*nodes);
  node = std::make_unique<NodeService>(*engine, host, NodeOptions{.node_id = "node"});
  upkeep = std::make_unique<ImageUpkeep>(*engine, host, clock);
  admin = std::make_unique<AdminService>(*engine, *upkeep);
}

void Rig::Restart() {
  admin.reset();
  upkeep.reset();
  node.reset();
  controller.reset();
  nodes.reset();
  engine.reset();
  Start();
}

csi::v1::CreateVolumeRequest Rig::CreateRequest(const std::string& name,
                                                const std::string& fs_type) const {
  csi::v1::CreateVolumeRequest request;
  request.set_name(name);
  request.mutable_capacity_range()->set_required_bytes(64 * kMiB);
  *request.add_volume_capabilities() = CapabilityOf(fs_type);
  return request;
}

grpc::Status Rig::Create(const csi::v1::CreateVolumeRequest& request, csi::v1::Volume* volume) {
  csi::v1::CreateVolumeResponse response;
  grpc::Status status = controller->CreateVolume(nullptr, &request, &response);
  if (volume != nullptr) *volume = response.volume();
  return status;
}

std::string Rig::MustCreate(const std::string& name, const std::string& fs_type) {
  csi::v1::Volume volume;
  const grpc::Status status = Create(CreateRequest(name, fs_type), &volume);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return volume.volume_id();
}

grpc::Status Rig::Delete(const std::string& volume_id) {
  csi::v1::DeleteVolumeRequest request;
  request.set_volume_id(volume_id);
  csi::v1::DeleteVolumeResponse response;
  return controller->DeleteVolume(nullptr, &request, &response);
}

std::string Rig::StagingPath(const std::string& volume_id) const {
  return "/kubelet/staging/" + volume_id;
}
std::string Rig::TargetPath(const std::string& pod) const { return "/kubelet/pods/" + pod; }

grpc::Status Rig::Stage(const std::string& volume_id, const std::string& fs_type) {
  machine.MakeFolders(StagingPath(volume_id));
  csi::v1::NodeStageVolumeRequest request;
  request.set_volume_id(volume_id);
  request.set_staging_target_path(StagingPath(volume_id));
  *request.mutable_volume_capability() = CapabilityOf(fs_type);
  csi::v1::NodeStageVolumeResponse response;
  return node->NodeStageVolume(nullptr, &request, &response);
}

grpc::Status Rig::Unstage(const std::string& volume_id) {
  csi::v1::NodeUnstageVolumeRequest request;
  request.set_volume_id(volume_id);
  request.set_staging_target_path(StagingPath(volume_id));
  csi::v1::NodeUnstageVolumeResponse response;
  return node->NodeUnstageVolume(nullptr, &request, &response);
}

grpc::Status Rig::Publish(const std::string& volume_id, const std::string& pod,
                          const std::string& fs_type) {
  csi::v1::NodePublishVolumeRequest request;
  request.set_volume_id(volume_id);
  request.set_staging_target_path(StagingPath(volume_id));
  request.set_target_path(TargetPath(pod));
  *request.mutable_volume_capability() = CapabilityOf(fs_type);
  csi::v1::NodePublishVolumeResponse response;
  return node->NodePublishVolume(nullptr, &request, &response);
}

grpc::Status Rig::Unpublish(const std::string& volume_id, const std::string& pod) {
  csi::v1::NodeUnpublishVolumeRequest request;
  request.set_volume_id(volume_id);
  request.set_target_path(TargetPath(pod));
  csi::v1::NodeUnpublishVolumeResponse response;
  return node->NodeUnpublishVolume(nullptr, &request, &response);
}

grpc::Status Rig::Snapshot(const std::string& name, const std::string& volume_id,
                           csi::v1::Snapshot* snapshot) {
  csi::v1::CreateSnapshotRequest request;
  request.set_name(name);
  request.set_source_volume_id(volume_id);
  csi::v1::CreateSnapshotResponse response;
  grpc::Status status = controller->CreateSnapshot(nullptr, &request, &response);
  if (snapshot != nullptr) *snapshot = response.snapshot();
  return status;
}

grpc::Status Rig::Expand(const std::string& volume_id, uint64_t bytes) {
  csi::v1::ControllerExpandVolumeRequest request;
  request.set_volume_id(volume_id);
  request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(bytes));
  csi::v1::ControllerExpandVolumeResponse response;
  return controller->ControllerExpandVolume(nullptr, &request, &response);
}

grpc::Status Rig::NodeExpand(const std::string& volume_id, const std::string& pod) {
  csi::v1::NodeExpandVolumeRequest request;
  request.set_volume_id(volume_id);
  request.set_volume_path(TargetPath(pod));
  csi::v1::NodeExpandVolumeResponse response;
  return node->NodeExpandVolume(nullptr, &request, &response);
}

Volume Rig::Row(const std::string& volume_id) {
  auto local = engine->FindLocal(volume_id);
  EXPECT_TRUE(local.ok()) << local.status();
  return local.ok() ? local->volume : Volume{};
}

std::string Rig::ImagePath(const std::string& volume_id) {
  return std::string(kPool) + "/volumes/" + ImageName(Row(volume_id).incarnation);
}

void ExpectRefused(const grpc::Status& status, grpc::StatusCode code, const std::string& part) {
  EXPECT_EQ(status.error_code(), code) << status.error_message();
  EXPECT_NE(status.error_message().find(part), std::string::npos) << status.error_message();
  EXPECT_EQ(status.error_message().find('\n'), std::string::npos);
}

}  // namespace holdfast
