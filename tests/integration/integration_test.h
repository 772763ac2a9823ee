// What every integration test stands on: a pool on a filesystem of its own, the real server, and
// the calls of kubelet and the sidecars in one line each.
//
// Each test has a folder, a pool and a server of its own. TearDown unpublishes, unstages and
// deletes through the API what the test left, and fails when anything is left behind then.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/sizes.h"
#include "gtest/gtest.h"
#include "tests/integration/bytes.h"
#include "tests/integration/child.h"
#include "tests/integration/csi_client.h"
#include "tests/integration/driver_process.h"
#include "tests/integration/scratch_disk.h"
#include "volume/snapshot.h"
#include "volume/volume.h"

namespace holdfast {

inline constexpr auto kInUse = absl::StatusCode::kFailedPrecondition;

using Mode = csi::v1::VolumeCapability::AccessMode::Mode;
inline constexpr Mode kReadWriteOnce = csi::v1::VolumeCapability::AccessMode::SINGLE_NODE_WRITER;
inline constexpr Mode kReadWriteOncePod =
    csi::v1::VolumeCapability::AccessMode::SINGLE_NODE_SINGLE_WRITER;
inline constexpr Mode kMultiWriter =
    csi::v1::VolumeCapability::AccessMode::SINGLE_NODE_MULTI_WRITER;
inline constexpr Mode kReadOnlyMany = csi::v1::VolumeCapability::AccessMode::MULTI_NODE_READER_ONLY;

// What CreateVolume is asked for.
struct Wanted {
  std::string name;
  Content content = Content::kExt4;
  uint64_t bytes = 0;  // 0: the smallest that is worth a test, or the source's size
  std::map<std::string, std::string> parameters = {};
  std::string snapshot_id = {}, volume_id = {};  // where it comes from
};

// A volume and how it is used.
struct Claim {
  std::string id;
  Content content = Content::kExt4;
  uint64_t bytes = 0;
  Mode mode = kReadWriteOnce;
  std::vector<std::string> mount_flags = {};
};

class IntegrationTest : public ::testing::Test {
 protected:
  explicit IntegrationTest(PoolKind kind = PoolKind::kXfs, uint64_t pool_bytes = 6 * kGiB)
      : kind_(kind), pool_bytes_(pool_bytes) {}
  void SetUp() override;
  void TearDown() override;
  // Not started yet.
  virtual std::unique_ptr<DriverProcess> MakeDriver(const std::string& folder,
                                                    const std::vector<std::string>& pools) {
    return std::make_unique<DriverProcess>(folder, pools);
  }
  // A client for the server that runs now, whose descriptors are counted from here on.
  void Connect();

  // --- Calls
  // ---------------------------------------------------------------------------------------
  absl::StatusOr<Claim> Create(const Wanted& wanted);
  absl::Status Delete(const Claim& claim);
  // With the controller only; `claim` learns the new size.
  absl::Status Expand(Claim& claim, uint64_t bytes);
  absl::Status ExpandOnNode(const Claim& claim, const std::string& path);
  absl::StatusOr<std::string> Snapshot(const Claim& claim, const std::string& name);
  absl::Status DeleteSnapshot(const std::string& id);
  absl::Status Stage(const Claim& claim);
  absl::Status Unstage(const Claim& claim);
  // The target's path.
  absl::StatusOr<std::string> Publish(const Claim& claim, const std::string& pod = "pod",
                                      bool read_only = false);
  absl::Status Unpublish(const Claim& claim, const std::string& pod = "pod");
  absl::StatusOr<std::string> Show(const Claim& claim);  // stage and publish
  absl::Status PutAway(const Claim& claim);              // unpublish and unstage

  std::string StagingPath(const Claim& claim) const;
  std::string TargetPath(const Claim& claim, const std::string& pod = "pod") const;
  // Where a test writes: the device itself, or a file in the filesystem.
  static std::string DataPath(const Claim& claim, const std::string& target);

  // --- The machine and the records
  // -----------------------------------------------------------------
  Volume Row(const Claim& claim) const;
  // A record that no call would write.
  void ChangeRow(const Claim& claim, const std::function<void(Volume&)>& change);
  std::string ImagePath(const Claim& claim) const;
  std::string SnapshotPath(const std::string& id) const;
  // The put-away image, mounted by hand as an administrator could.
  void WithImageMounted(const Claim& claim, const std::function<void(const std::string&)>& change);
  std::vector<std::string> LoopsOfImage(const Claim& claim) const;
  Ended Ctl(std::vector<std::string> arguments) const;  // holdfastctl --pool <ours>
  bool Mounted(const std::string& path) const;
  // Rows are ready and have their files, files have their rows, work/ is empty.
  void ExpectNothingHalfDone() const;
  // A lawful end and a new start of the server: descriptors are counted anew.
  void Restart();
  void KillAndRestart();

  // One more filesystem, there until the test's end.
  ScratchDisk& AddDisk(const std::string& name, uint64_t bytes,
                       const std::vector<std::string>& mkfs);

  const std::string& folder() const { return folder_; }
  std::string pool() const { return disk_->path(); }
  DriverProcess& driver() { return *driver_; }
  CsiClient& csi() { return *csi_; }

 private:
  void TakeDown();
  void ExpectNothingLeft();
  void CleanAfterFailure();

  const PoolKind kind_;
  const uint64_t pool_bytes_;
  std::string folder_;
  std::unique_ptr<ScratchDisk> disk_;
  std::vector<std::unique_ptr<ScratchDisk>> more_disks_;
  std::unique_ptr<DriverProcess> driver_;
  std::unique_ptr<CsiClient> csi_;
  std::vector<std::string> open_files_;
  std::map<std::string, Claim> claims_, staged_;
  std::set<std::pair<std::string, std::string>> published_;  // id, pod
  std::set<std::string> snapshots_;
};

csi::v1::VolumeCapability CapabilityOf(const Claim& claim);
uint64_t SmallestOf(Content content);
bool IsBlock(const Claim& claim);

// A refusal of that code, in one line that has every one of `parts`.
::testing::AssertionResult Refused(const absl::Status& status, absl::StatusCode code,
                                   const std::vector<std::string>& parts = {});
template <typename T>
::testing::AssertionResult Refused(const absl::StatusOr<T>& answer, absl::StatusCode code,
                                   const std::vector<std::string>& parts = {}) {
  return Refused(answer.status(), code, parts);
}

// "mode", "uid:gid" and the whole of getfacl, of a folder.
struct RootFacts {
  std::string mode, owner, acl;
  bool operator==(const RootFacts&) const = default;
};
RootFacts RootOf(const std::string& path);

// Mounts and loop devices whose path or backing file lies below `folder`, in no order.
std::vector<std::string> MountsBelow(const std::string& folder);
std::vector<std::string> LoopsBelow(const std::string& folder);

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& answer) {
  return answer.status();
}

#define HOLDFAST_CHECK_OK(check, expression)                                       \
  do {                                                                             \
    const auto answer_of_call = (expression);                                      \
    check(answer_of_call.ok()) << #expression << ": "                              \
                               << ::holdfast::StatusOf(answer_of_call).ToString(); \
  } while (false)
#define EXPECT_OK(expression) HOLDFAST_CHECK_OK(EXPECT_TRUE, expression)
#define ASSERT_OK(expression) HOLDFAST_CHECK_OK(ASSERT_TRUE, expression)
#define ASSERT_OK_AND_ASSIGN(declaration, expression) \
  ASSERT_OK_AND_ASSIGN_INNER(HOLDFAST_TEST_CONCAT(answer_, __LINE__), declaration, expression)
#define ASSERT_OK_AND_ASSIGN_INNER(answer, declaration, expression)              \
  auto answer = (expression);                                                    \
  ASSERT_TRUE(answer.ok()) << #expression << ": " << answer.status().ToString(); \
  declaration = *std::move(answer)
#define HOLDFAST_TEST_CONCAT_INNER(a, b) a##b
#define HOLDFAST_TEST_CONCAT(a, b) HOLDFAST_TEST_CONCAT_INNER(a, b)

// Both kinds of pool, every content; the parameter of a suite.
struct Ground {
  PoolKind pool = PoolKind::kXfs;
  Content content = Content::kExt4;
};
std::string GroundName(const ::testing::TestParamInfo<Ground>& info);
std::vector<Ground> AllGrounds();
std::vector<Ground> FilesystemGrounds();
// Every content on XFS, and one on btrfs: where the pool makes no difference to what is tested.
std::vector<Ground> ContentGrounds();

class GroundTest : public IntegrationTest, public ::testing::WithParamInterface<Ground> {
 protected:
  GroundTest() : IntegrationTest(GetParam().pool) {}
  static Content content() { return GetParam().content; }
  static bool block() { return content() == Content::kBlock; }
};

class PoolTest : public IntegrationTest, public ::testing::WithParamInterface<PoolKind> {
 protected:
  explicit PoolTest(uint64_t pool_bytes) : IntegrationTest(GetParam(), pool_bytes) {}
};
std::string PoolTestName(const ::testing::TestParamInfo<PoolKind>& info);

}  // namespace holdfast
