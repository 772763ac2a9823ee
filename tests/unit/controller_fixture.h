// A ControllerService on a FakeEngine, and requests as a provisioner makes them.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/clock.h"
#include "base/sizes.h"
#include "controller/controller_service.h"
#include "engine/fake/fake_engine.h"

namespace holdfast {

class ControllerTest : public testing::Test {
 protected:
  static constexpr char kNode[] = "node-1";

  static csi::v1::VolumeCapability Mount(const std::string& fs_type = "ext4") {
    csi::v1::VolumeCapability capability;
    capability.mutable_mount()->set_fs_type(fs_type);
    capability.mutable_access_mode()->set_mode(
        csi::v1::VolumeCapability::AccessMode::SINGLE_NODE_WRITER);
    return capability;
  }
  static csi::v1::VolumeCapability Block() {
    csi::v1::VolumeCapability capability = Mount();
    capability.mutable_block();
    return capability;
  }

  static csi::v1::CreateVolumeRequest VolumeNamed(const std::string& name, uint64_t bytes = kGiB) {
    csi::v1::CreateVolumeRequest request;
    request.set_name(name);
    request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(bytes));
    *request.add_volume_capabilities() = Mount();
    return request;
  }

  grpc::Status Create(const csi::v1::CreateVolumeRequest& request,
                      csi::v1::CreateVolumeResponse* response = nullptr) {
    csi::v1::CreateVolumeResponse ignored;
    return service_.CreateVolume(nullptr, &request, response ? response : &ignored);
  }
  // The id of a volume that must come into being.
  std::string MustCreate(const csi::v1::CreateVolumeRequest& request) {
    csi::v1::CreateVolumeResponse response;
    const grpc::Status status = Create(request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.volume().volume_id();
  }

  grpc::Status Snapshot(const std::string& name, const std::string& volume_id,
                        csi::v1::CreateSnapshotResponse* response = nullptr) {
    csi::v1::CreateSnapshotRequest request;
    request.set_name(name);
    request.set_source_volume_id(volume_id);
    csi::v1::CreateSnapshotResponse ignored;
    return service_.CreateSnapshot(nullptr, &request, response ? response : &ignored);
  }
  std::string MustSnapshot(const std::string& name, const std::string& volume_id) {
    csi::v1::CreateSnapshotResponse response;
    const grpc::Status status = Snapshot(name, volume_id, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.snapshot().snapshot_id();
  }

  SystemClock clock_;
  FakeEngine engine_{clock_, {{.name = "fast", .size_bytes = 100 * kGiB}}};
  SingleNode nodes_{kNode, engine_};
  ControllerService service_{nodes_};
};

}  // namespace holdfast
