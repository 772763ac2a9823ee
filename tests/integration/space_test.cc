// A pool never promises what it does not have: whatever a workload may write, it can.
#include <fcntl.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "os/unique_fd.h"
#include "tests/integration/integration_test.h"
#include "tests/integration/kernel_log.h"
#include "tests/integration/pool_space.h"

namespace holdfast {
namespace {

class SpaceTest : public PoolTest {
 protected:
  SpaceTest() : PoolTest(3 * kGiB) {}

  csi::v1::GetCapacityResponse Capacity(Content content, const std::string& provisioning) {
    csi::v1::GetCapacityRequest request;
    *request.add_volume_capabilities() = CapabilityOf(Claim{.content = content});
    (*request.mutable_parameters())["provisioning"] = provisioning;
    const auto answer = csi().Call(request);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? *answer : csi::v1::GetCapacityResponse();
  }

  // The largest volume, when what earlier deletes freed is back: btrfs and XFS take their time.
  uint64_t SettledMaximum(Content content, const std::string& provisioning) {
    int64_t maximum = -1;
    for (int same = 0, i = 0; same < 3 && i < 100; ++i) {
      MustRun({"sync", "--file-system", pool()});
      const int64_t now = Capacity(content, provisioning).maximum_volume_size().value();
      same = now == maximum ? same + 1 : 0;
      maximum = now;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return static_cast<uint64_t>(maximum);
  }

  // Files until the filesystem says it is full; the number of those that were written and synced.
  static int FillFilesystem(const std::string& target, uint64_t seed) {
    constexpr uint64_t kFileBytes = 8 * kMiB;
    for (int i = 0; i < 10000; ++i) {
      const std::string file = target + "/file-" + std::to_string(i);
      const int error = WriteBytes(file, 0, kFileBytes, seed + static_cast<uint64_t>(i));
      if (error == 0) continue;
      EXPECT_EQ(error, ENOSPC) << file << ": " << strerror(error);
      MustRun({"rm", file});
      return i;
    }
    ADD_FAILURE() << target << " never became full";
    return 0;
  }

  static void ExpectFiles(const std::string& target, int files, uint64_t seed) {
    for (int i = 0; i < files; ++i) {
      EXPECT_TRUE(HasBytes(target + "/file-" + std::to_string(i), 0, 8 * kMiB,
                           seed + static_cast<uint64_t>(i)));
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Pools, SpaceTest, ::testing::Values(PoolKind::kXfs, PoolKind::kBtrfs),
                         PoolTestName);

TEST_P(SpaceTest, GetCapacitysMaximum_CanBeCreated_AndOneBlockMoreCannot) {
  std::vector<std::pair<Content, std::string>> classes;
  for (Content content : {Content::kExt4, Content::kXfs, Content::kBtrfs, Content::kBlock}) {
    for (const char* provisioning : {"thick", "thin"}) classes.emplace_back(content, provisioning);
  }
  for (const auto& [content, provisioning] : classes) {
    SCOPED_TRACE(std::string(ContentName(content)) + " " + provisioning);
    const uint64_t maximum = SettledMaximum(content, provisioning);
    ASSERT_GT(maximum, kGiB);
    Wanted wanted{.name = "maximum",
                  .content = content,
                  .bytes = maximum + kBlockBytes,
                  .parameters = {{"provisioning", provisioning}}};
    EXPECT_TRUE(
        Refused(Create(wanted), absl::StatusCode::kResourceExhausted, {"free", "owed", "floor"}));
    wanted.bytes = maximum;
    ASSERT_OK_AND_ASSIGN(const Claim claim, Create(wanted));
    EXPECT_TRUE(KeepsItsPromises(pool()));
    EXPECT_LT(Capacity(content, provisioning).maximum_volume_size().value(),
              static_cast<int64_t>(64 * kMiB));
    ASSERT_OK(Delete(claim));
  }
}

TEST_P(SpaceTest, SixteenConcurrentCreates_DoNotOversubscribe) {
  const uint64_t maximum = SettledMaximum(Content::kBlock, "thick");
  const uint64_t bytes = maximum / 5 / kBlockBytes * kBlockBytes;
  std::vector<absl::Status> outcomes(16);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    threads.emplace_back([&, i] {
      csi::v1::CreateVolumeRequest request;
      request.set_name("concurrent-" + std::to_string(i));
      request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(bytes));
      (*request.mutable_parameters())["provisioning"] = i % 2 == 0 ? "thick" : "thin";
      *request.add_volume_capabilities() = CapabilityOf(Claim{.content = Content::kBlock});
      outcomes[i] = csi().Call(request).status();
    });
  }
  for (std::thread& thread : threads) thread.join();
  int made = 0;
  for (const absl::Status& outcome : outcomes) {
    if (outcome.ok()) {
      ++made;
    } else {
      EXPECT_EQ(outcome.code(), absl::StatusCode::kResourceExhausted) << outcome;
    }
  }
  EXPECT_GE(made, 4);
  EXPECT_LE(made, 5);
  EXPECT_TRUE(KeepsItsPromises(pool()));
  ASSERT_OK_AND_ASSIGN(const auto list, csi().Call(csi::v1::ListVolumesRequest()));
  EXPECT_EQ(list.entries_size(), made);
  for (const auto& entry : list.entries()) {
    ASSERT_OK(Delete(Claim{.id = entry.volume().volume_id()}));
  }
}

// The control of what the tests below ask of the kernel's log.
TEST_P(SpaceTest, KernelLog_TellsOfAnErrorOnADevice) {
  KernelLog kernel;
  MustRun({"sh", "-c", "echo 'holdfast test: I/O error, dev loop4095' > /dev/kmsg"});
  EXPECT_EQ(kernel.ErrorsOf({"/dev/loop409", "/dev/loop4095"}).size(), 1u);
}

// The pool is promised to the last block; then every workload takes what it was promised.
TEST_P(SpaceTest, VolumesOfAFullyPromisedPool_CanBeFilled_AndReadBackRight) {
  KernelLog kernel;
  ASSERT_OK_AND_ASSIGN(const Claim thick,
                       Create({.name = "thick", .content = Content::kBlock, .bytes = 400 * kMiB}));
  ASSERT_OK_AND_ASSIGN(const std::string device, Show(thick));
  ASSERT_EQ(WriteBytesDirect(device, 0, thick.bytes, 1), 0);
  // Every block shared: an overwrite needs the volume's size again.
  ASSERT_OK_AND_ASSIGN(const std::string snapshot, Snapshot(thick, "cut"));
  ASSERT_OK_AND_ASSIGN(const Claim ext4, Create({.name = "ext4", .bytes = 300 * kMiB}));
  ASSERT_OK_AND_ASSIGN(const std::string files_target, Show(ext4));
  const uint64_t maximum = SettledMaximum(Content::kBlock, "thin");
  ASSERT_OK_AND_ASSIGN(const Claim rest, Create({.name = "rest",
                                                 .content = Content::kBlock,
                                                 .bytes = maximum,
                                                 .parameters = {{"provisioning", "thin"}}}));
  EXPECT_TRUE(KeepsItsPromises(pool()));
  EXPECT_TRUE(Refused(Snapshot(ext4, "too-much"), absl::StatusCode::kResourceExhausted,
                      {"free", "owed", "floor"}));
  ASSERT_OK_AND_ASSIGN(const std::string rest_device, Show(rest));

  EXPECT_EQ(WriteBytesDirect(rest_device, 0, rest.bytes, 2), 0) << "below a thin volume";
  EXPECT_EQ(WriteBytesDirect(device, 0, thick.bytes, 3), 0) << "below a shared volume";
  const int files = FillFilesystem(files_target, 100);
  EXPECT_GE(files, 25);
  EXPECT_TRUE(KeepsItsPromises(pool()));
  MustRun({"sync"});
  EXPECT_TRUE(HasBytes(rest_device, 0, rest.bytes, 2));
  EXPECT_TRUE(HasBytes(device, 0, thick.bytes, 3));
  ExpectFiles(files_target, files, 100);
  std::vector<std::string> loops;
  for (const Claim& claim : {thick, ext4, rest}) loops.push_back(LoopsOfImage(claim).at(0));
  EXPECT_EQ(kernel.ErrorsOf(loops), std::vector<std::string>());
  // And the snapshot still is what it was.
  EXPECT_TRUE(HasBytes(SnapshotPath(snapshot), 0, thick.bytes, 1));
}

TEST_P(SpaceTest, FilesystemsWithSnapshots_AreFullOnlyWhenTheyAreFullThemselves) {
  KernelLog kernel;
  std::vector<std::string> loops;
  std::vector<Claim> claims;
  for (const Content content : {Content::kExt4, Content::kXfs, Content::kBtrfs}) {
    ASSERT_OK_AND_ASSIGN(const Claim claim,
                         Create({.name = ContentName(content), .content = content}));
    ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
    ASSERT_EQ(WriteBytes(target + "/before", 0, 24 * kMiB, 7), 0);
    ASSERT_OK(Snapshot(claim, std::string("of-") + ContentName(content)));
    claims.push_back(claim);
    loops.push_back(LoopsOfImage(claim).at(0));
  }
  // What is left is somebody else's.
  const uint64_t maximum = SettledMaximum(Content::kBlock, "thick");
  ASSERT_OK(Create({.name = "rest", .content = Content::kBlock, .bytes = maximum}));
  for (const Claim& claim : claims) {
    const std::string target = TargetPath(claim);
    ASSERT_EQ(WriteBytes(target + "/before", 0, 24 * kMiB, 8), 0);
    const int files = FillFilesystem(target, 200);
    ExpectFiles(target, files, 200);
    EXPECT_TRUE(HasBytes(target + "/before", 0, 24 * kMiB, 8));
    EXPECT_TRUE(KeepsItsPromises(pool())) << ContentName(claim.content);
  }
  EXPECT_EQ(kernel.ErrorsOf(loops), std::vector<std::string>());
}

// What the freeze of its source flushes is shared, and was not there when the clone was admitted.
TEST_P(SpaceTest, Clone_OfAVolumeWithMuchThatIsNotWrittenYet_IsRefusedWhenItDoesNotFit) {
  constexpr uint64_t kBytes = 1200 * kMiB;
  ASSERT_OK_AND_ASSIGN(const Claim source,
                       Create({.name = "source", .content = Content::kExt4, .bytes = kBytes}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(source));
  MustRun({"dd", "if=/dev/zero", "of=" + target + "/dirty", "bs=1M", "count=900", "status=none"});
  EXPECT_TRUE(Refused(Create({.name = "clone", .content = Content::kExt4, .volume_id = source.id}),
                      absl::StatusCode::kResourceExhausted));
  EXPECT_TRUE(KeepsItsPromises(pool()));
}

// cp shares the blocks: the original owes nothing for its own until the copy is a volume too.
TEST_P(SpaceTest, AdoptedCopy_MakesItsOriginalOweWhatTheyShare) {
  constexpr uint64_t kBytes = 256 * kMiB;
  ASSERT_OK_AND_ASSIGN(const Claim original,
                       Create({.name = "original", .content = Content::kBlock, .bytes = kBytes}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(original));
  ASSERT_EQ(WriteBytes(target, 0, kBytes, 5), 0);
  ASSERT_OK(PutAway(original));
  EXPECT_EQ(SpaceOf(pool()).owed_bytes, 0u);
  const std::string copy = pool() + "/volumes/copy.img";
  MustRun({"touch", copy});
  if (GetParam() == PoolKind::kBtrfs) MustRun({"chattr", "+C", copy});
  MustRun({"cp", "--reflink=always", ImagePath(original), copy});
  const Ended adopted = Ctl({"orphan", "adopt", "volumes/copy.img", "--name", "copy", "--block"});
  ASSERT_EQ(adopted.exit_code, 0) << adopted.output;
  EXPECT_EQ(CountOwed(pool()), 2 * kBytes);
  EXPECT_GE(SpaceOf(pool()).owed_bytes, 2 * kBytes);
  EXPECT_TRUE(KeepsItsPromises(pool()));
  ASSERT_OK_AND_ASSIGN(const Claim taken, Create({.name = "copy",
                                                  .content = Content::kBlock,
                                                  .bytes = kBytes,
                                                  .parameters = {{"provisioning", "thin"}}}));
  EXPECT_OK(Delete(taken));
}

TEST_P(SpaceTest, Expand_BeyondThePool_IsOutOfRange_AndChangesNothing) {
  ASSERT_OK_AND_ASSIGN(Claim claim, Create({.name = "greedy", .content = Content::kBlock}));
  const PoolSpace before = SpaceOf(pool());
  EXPECT_TRUE(
      Refused(Expand(claim, 4 * kGiB), absl::StatusCode::kOutOfRange, {"free", "owed", "floor"}));
  EXPECT_EQ(SizeOf(ImagePath(claim)), claim.bytes);
  EXPECT_EQ(SpaceOf(pool()).owed_bytes, before.owed_bytes);
}

}  // namespace
}  // namespace holdfast
