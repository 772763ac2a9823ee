// The calls, and what a test asks of the machine. The fixture's begin and end: leftovers.cc.
#include "tests/integration/integration_test.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/build_info.h"
#include "catalog/catalog.h"

namespace holdfast {

namespace fs = std::filesystem;
using csi::v1::VolumeCapability;

csi::v1::VolumeCapability CapabilityOf(const Claim& claim) {
  VolumeCapability capability;
  capability.mutable_access_mode()->set_mode(claim.mode);
  if (IsBlock(claim)) {
    capability.mutable_block();
    return capability;
  }
  capability.mutable_mount()->set_fs_type(ContentName(claim.content));
  for (const std::string& flag : claim.mount_flags)
    capability.mutable_mount()->add_mount_flags(flag);
  return capability;
}

bool IsBlock(const Claim& claim) { return claim.content == Content::kBlock; }

uint64_t SmallestOf(Content content) {
  switch (content) {
    case Content::kBlock:
    case Content::kExt4:
      return 64 * kMiB;
    case Content::kXfs:
      return 304 * kMiB;
    case Content::kBtrfs:
      return 272 * kMiB;
  }
  return 0;
}

absl::StatusOr<Claim> IntegrationTest::Create(const Wanted& wanted) {
  csi::v1::CreateVolumeRequest request;
  request.set_name(wanted.name);
  const bool from_source = !wanted.snapshot_id.empty() || !wanted.volume_id.empty();
  const uint64_t bytes =
      wanted.bytes == 0 && !from_source ? SmallestOf(wanted.content) : wanted.bytes;
  request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(bytes));
  request.mutable_parameters()->insert(wanted.parameters.begin(), wanted.parameters.end());
  Claim claim{.content = wanted.content};
  *request.add_volume_capabilities() = CapabilityOf(claim);
  if (!wanted.snapshot_id.empty()) {
    request.mutable_volume_content_source()->mutable_snapshot()->set_snapshot_id(
        wanted.snapshot_id);
  } else if (!wanted.volume_id.empty()) {
    request.mutable_volume_content_source()->mutable_volume()->set_volume_id(wanted.volume_id);
  }
  auto answer = csi_->Call(request);
  if (!answer.ok()) return answer.status();
  claim.id = answer->volume().volume_id();
  claim.bytes = static_cast<uint64_t>(answer->volume().capacity_bytes());
  claims_[claim.id] = claim;
  return claim;
}

absl::Status IntegrationTest::Delete(const Claim& claim) {
  csi::v1::DeleteVolumeRequest request;
  request.set_volume_id(claim.id);
  const auto answer = csi_->Call(request);
  if (answer.ok()) claims_.erase(claim.id);
  return answer.status();
}

absl::Status IntegrationTest::Expand(Claim& claim, uint64_t bytes) {
  csi::v1::ControllerExpandVolumeRequest request;
  request.set_volume_id(claim.id);
  request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(bytes));
  *request.mutable_volume_capability() = CapabilityOf(claim);
  const auto answer = csi_->Call(request);
  if (answer.ok()) claim.bytes = static_cast<uint64_t>(answer->capacity_bytes());
  return answer.status();
}

absl::Status IntegrationTest::ExpandOnNode(const Claim& claim, const std::string& path) {
  csi::v1::NodeExpandVolumeRequest request;
  request.set_volume_id(claim.id);
  request.set_volume_path(path);
  request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(claim.bytes));
  return csi_->Call(request).status();
}

absl::StatusOr<std::string> IntegrationTest::Snapshot(const Claim& claim, const std::string& name) {
  csi::v1::CreateSnapshotRequest request;
  request.set_name(name);
  request.set_source_volume_id(claim.id);
  const auto answer = csi_->Call(request);
  if (!answer.ok()) return answer.status();
  EXPECT_TRUE(answer->snapshot().ready_to_use());
  snapshots_.insert(answer->snapshot().snapshot_id());
  return answer->snapshot().snapshot_id();
}

absl::Status IntegrationTest::DeleteSnapshot(const std::string& id) {
  csi::v1::DeleteSnapshotRequest request;
  request.set_snapshot_id(id);
  const auto answer = csi_->Call(request);
  if (answer.ok()) snapshots_.erase(id);
  return answer.status();
}

absl::Status IntegrationTest::Stage(const Claim& claim) {
  csi::v1::NodeStageVolumeRequest request;
  request.set_volume_id(claim.id);
  request.set_staging_target_path(StagingPath(claim));
  *request.mutable_volume_capability() = CapabilityOf(claim);
  fs::create_directories(StagingPath(claim));
  const auto answer = csi_->Call(request);
  if (answer.ok()) staged_[claim.id] = claim;
  return answer.status();
}

absl::Status IntegrationTest::Unstage(const Claim& claim) {
  csi::v1::NodeUnstageVolumeRequest request;
  request.set_volume_id(claim.id);
  request.set_staging_target_path(StagingPath(claim));
  const auto answer = csi_->Call(request);
  if (answer.ok()) staged_.erase(claim.id);
  return answer.status();
}

absl::StatusOr<std::string> IntegrationTest::Publish(const Claim& claim, const std::string& pod,
                                                     bool read_only) {
  csi::v1::NodePublishVolumeRequest request;
  request.set_volume_id(claim.id);
  request.set_staging_target_path(StagingPath(claim));
  request.set_target_path(TargetPath(claim, pod));
  *request.mutable_volume_capability() = CapabilityOf(claim);
  request.set_readonly(read_only);
  fs::create_directories(fs::path(TargetPath(claim, pod)).parent_path());
  const auto answer = csi_->Call(request);
  if (!answer.ok()) return answer.status();
  published_.insert({claim.id, pod});
  return TargetPath(claim, pod);
}

absl::Status IntegrationTest::Unpublish(const Claim& claim, const std::string& pod) {
  csi::v1::NodeUnpublishVolumeRequest request;
  request.set_volume_id(claim.id);
  request.set_target_path(TargetPath(claim, pod));
  const auto answer = csi_->Call(request);
  if (answer.ok()) published_.erase({claim.id, pod});
  return answer.status();
}

absl::StatusOr<std::string> IntegrationTest::Show(const Claim& claim) {
  if (absl::Status staged = Stage(claim); !staged.ok()) return staged;
  return Publish(claim);
}

absl::Status IntegrationTest::PutAway(const Claim& claim) {
  if (absl::Status unpublished = Unpublish(claim); !unpublished.ok()) return unpublished;
  return Unstage(claim);
}

std::string IntegrationTest::StagingPath(const Claim& claim) const {
  return driver_->kubelet() + "/plugins/" + claim.id + "/globalmount";
}

std::string IntegrationTest::TargetPath(const Claim& claim, const std::string& pod) const {
  return driver_->kubelet() + "/pods/" + pod + "/" + claim.id + "/mount";
}

std::string IntegrationTest::DataPath(const Claim& claim, const std::string& target) {
  return IsBlock(claim) ? target : target + "/data";
}

Volume IntegrationTest::Row(const Claim& claim) const {
  const auto catalog = OpenCatalog(pool() + "/catalog.db", Catalog::Access::kReadOnly);
  EXPECT_TRUE(catalog.ok()) << catalog.status();
  const auto row = catalog.ok() ? (*catalog)->FindVolume(claim.id)
                                : absl::StatusOr<std::optional<Volume>>(catalog.status());
  EXPECT_TRUE(row.ok() && row->has_value()) << claim.id << ": no such row";
  return row.ok() && row->has_value() ? **row : Volume{};
}

void IntegrationTest::ChangeRow(const Claim& claim, const std::function<void(Volume&)>& change) {
  auto catalog = OpenCatalog(pool() + "/catalog.db", Catalog::Access::kReadWrite);
  ASSERT_TRUE(catalog.ok()) << catalog.status();
  auto row = (*catalog)->FindVolume(claim.id);
  ASSERT_TRUE(row.ok() && row->has_value()) << claim.id << ": no such row";
  change(**row);
  EXPECT_OK((*catalog)->UpdateVolume(**row));
}

std::string IntegrationTest::ImagePath(const Claim& claim) const {
  return pool() + "/volumes/" + Row(claim).incarnation + ".img";
}

std::string IntegrationTest::SnapshotPath(const std::string& id) const {
  const auto catalog = OpenCatalog(pool() + "/catalog.db", Catalog::Access::kReadOnly);
  const auto row = (*catalog)->FindSnapshot(id);
  EXPECT_TRUE(row.ok() && row->has_value()) << id << ": no such row";
  return pool() + "/snapshots/" + (*row)->incarnation + ".img";
}

void IntegrationTest::WithImageMounted(const Claim& claim,
                                       const std::function<void(const std::string&)>& change) {
  const std::string loop = MustRun({"losetup", "--find", "--show", ImagePath(claim)});
  const std::string path = folder_ + "/by-hand";
  fs::create_directory(path);
  MustRun({"mount", loop, path});
  change(path);
  MustRun({"umount", path});
  MustRun({"losetup", "--detach", loop});
}

std::vector<std::string> IntegrationTest::LoopsOfImage(const Claim& claim) const {
  std::vector<std::string> loops;
  const std::string name = Row(claim).incarnation;
  for (const std::string& loop : LoopsBelow(folder_)) {
    if (loop.find(name) != loop.npos) loops.push_back(loop.substr(0, loop.find(' ')));
  }
  return loops;
}

Ended IntegrationTest::Ctl(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), {ProgramPath("holdfastctl"), "--pool", pool(),
                                       "--admin-socket", driver_->admin_socket()});
  return Execute(arguments);
}

bool IntegrationTest::Mounted(const std::string& path) const {
  for (const std::string& mount : MountsBelow(folder_)) {
    if (mount == path) return true;
  }
  return false;
}

::testing::AssertionResult Refused(const absl::Status& status, absl::StatusCode code,
                                   const std::vector<std::string>& parts) {
  const std::string message(status.message());
  if (status.code() != code) {
    return ::testing::AssertionFailure()
           << "expected " << absl::StatusCodeToString(code) << ", found " << status.ToString();
  }
  if (message.empty() || message.find('\n') != message.npos) {
    return ::testing::AssertionFailure() << "expected one line, found '" << message << "'";
  }
  for (const std::string& part : parts) {
    if (message.find(part) == message.npos) {
      return ::testing::AssertionFailure() << "expected '" << part << "' in '" << message << "'";
    }
  }
  return ::testing::AssertionSuccess();
}

RootFacts RootOf(const std::string& path) {
  return {.mode = MustRun({"stat", "--format=%a", path}),
          .owner = MustRun({"stat", "--format=%u:%g", path}),
          .acl = MustRun({"getfacl", "--omit-header", "--absolute-names", "--numeric", path})};
}

std::string GroundName(const ::testing::TestParamInfo<Ground>& info) {
  return std::string(ContentName(info.param.content)) + "_on_" + PoolKindName(info.param.pool);
}

std::vector<Ground> AllGrounds() {
  std::vector<Ground> grounds;
  for (PoolKind pool : {PoolKind::kXfs, PoolKind::kBtrfs}) {
    for (Content content : {Content::kExt4, Content::kXfs, Content::kBtrfs, Content::kBlock}) {
      grounds.push_back({pool, content});
    }
  }
  return grounds;
}

std::vector<Ground> FilesystemGrounds() {
  return {{PoolKind::kXfs, Content::kExt4},
          {PoolKind::kXfs, Content::kXfs},
          {PoolKind::kBtrfs, Content::kBtrfs}};
}

std::vector<Ground> ContentGrounds() {
  return {{PoolKind::kXfs, Content::kExt4},
          {PoolKind::kXfs, Content::kXfs},
          {PoolKind::kBtrfs, Content::kBtrfs},
          {PoolKind::kBtrfs, Content::kBlock}};
}

std::string PoolTestName(const ::testing::TestParamInfo<PoolKind>& info) {
  return PoolKindName(info.param);
}

}  // namespace holdfast
