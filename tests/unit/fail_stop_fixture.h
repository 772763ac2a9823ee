// A pool that is overcommitted, on the simulated machine.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/sizes.h"
#include "engine/image/fail_stop.h"
#include "tests/fakes/status_asserts.h"
#include "tests/rig/rig.h"

namespace holdfast {

inline constexpr char kPool[] = "/pool";

class FailStopTest : public ::testing::Test {
 protected:
  explicit FailStopTest(bool overcommit = true)
      : rig_({.pool_bytes = 2 * kGiB, .overcommit = overcommit}) {}

  std::string Make(const std::string& name, const std::string& reserve,
                   const std::string& provisioning = "thin", const std::string& fs_type = "ext4") {
    auto request = rig_.CreateRequest(name, fs_type);
    request.mutable_capacity_range()->set_required_bytes(512 * kMiB);
    (*request.mutable_parameters())["reserve"] = reserve;
    (*request.mutable_parameters())["provisioning"] = provisioning;
    if (fs_type == "block") {
      (*request.mutable_parameters())["rawBlockOvercommit"] = "acknowledged-writes-may-be-lost";
    }
    csi::v1::Volume volume;
    const grpc::Status made = rig_.Create(request, &volume);
    EXPECT_TRUE(made.ok()) << made.error_message();
    return volume.volume_id();
  }

  void MustStage(const std::string& id, const std::string& fs_type = "ext4") {
    const grpc::Status staged = rig_.Stage(id, fs_type);
    ASSERT_TRUE(staged.ok()) << staged.error_message();
  }

  FailStop& fail_stop() { return rig_.engine->fail_stop(); }
  std::chrono::milliseconds Look() {
    return fail_stop().Look([this](const std::string& line) { told_.push_back(line); });
  }
  void Tend() {
    fail_stop().Tend([this](const std::string& line) { told_.push_back(line); });
  }
  PoolStatus Status() { return rig_.engine->Pools().at(0); }
  Pool& PoolOf(const std::string& id) { return *rig_.engine->FindLocal(id)->pool; }
  // Another program's file leaves that much free.
  void LeaveFree(uint64_t bytes) { rig_.machine.FillPool(kPool, bytes); }
  bool Answers(const std::string& id) {
    const auto mount = rig_.machine.OpenMount(rig_.StagingPath(id));
    return mount.ok() && rig_.machine.ReadRoot(*mount).ok();
  }

  Rig rig_;
  std::vector<std::string> told_;
};

}  // namespace holdfast
