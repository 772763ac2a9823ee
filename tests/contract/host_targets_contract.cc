// os/mounts.h: target paths; os/host.h: freeze records
#include <algorithm>

#include "tests/contract/host_contract.h"

namespace holdfast {
namespace {

TEST_P(HostContract, Targets_OutsideTheRootsOrRelative_AreInvalid) {
  const std::string inside = target("a");
  for (const std::string& bad :
       {std::string(""), std::string("a/b"), std::string("/etc/a"), machine().pool() + "/a",
        inside.substr(1), inside + "/../../../../a", inside + "/./b"}) {
    SCOPED_TRACE(bad);
    EXPECT_CODE(host().ResolveTarget(bad), kInvalidArgument);
    EXPECT_CODE(host().EnsureTarget(bad, TargetKind::kFolder), kInvalidArgument);
    EXPECT_CODE(host().RemoveTarget(bad), kInvalidArgument);
    EXPECT_CODE(host().MountedAt(bad), kInvalidArgument);
    EXPECT_CODE(host().TargetExists(bad), kInvalidArgument);
    EXPECT_CODE(host().Unmount(bad), kInvalidArgument);
    EXPECT_CODE(host().OpenMount(bad), kInvalidArgument);
  }
  const auto resolved = host().ResolveTarget(inside);
  ASSERT_OK_AND_ASSIGN(const std::string doubled, host().ResolveTarget(inside + "/"));
  EXPECT_OK(resolved);
  EXPECT_EQ(doubled, *resolved);
}

TEST_P(HostContract, Targets_ThroughASymbolicLink_AreInvalidAndUntouched) {
  machine().MakeFolder(target("real"));
  machine().MakeSymlink(target("link"), target("real"));
  for (const std::string& bad : {target("link"), target("link") + "/a"}) {
    SCOPED_TRACE(bad);
    EXPECT_CODE(host().ResolveTarget(bad), kInvalidArgument);
    EXPECT_CODE(host().EnsureTarget(bad, TargetKind::kFolder), kInvalidArgument);
    EXPECT_CODE(host().MountedAt(bad), kInvalidArgument);
    EXPECT_CODE(host().TargetExists(bad), kInvalidArgument);
  }
  EXPECT_OK(host().RemoveTarget(target("real"))) << "nothing was made in it";
  machine().RemovePath(target("link"));
}

TEST_P(HostContract, EnsureTarget_MakesOnlyTheLastComponent) {
  EXPECT_CODE(host().EnsureTarget(target("a") + "/b", TargetKind::kFolder), kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(const bool before, host().TargetExists(target("a")));
  EXPECT_FALSE(before);
  ASSERT_OK(host().EnsureTarget(target("a"), TargetKind::kFolder));
  EXPECT_OK(host().EnsureTarget(target("a"), TargetKind::kFolder));
  ASSERT_OK_AND_ASSIGN(const bool after, host().TargetExists(target("a")));
  EXPECT_TRUE(after);
  EXPECT_OK(host().EnsureTarget(target("a") + "/b", TargetKind::kFile));
  EXPECT_OK(host().EnsureTarget(target("a") + "/b", TargetKind::kFile));
}

TEST_P(HostContract, EnsureTarget_OverTheOtherKind_IsInvalid) {
  ASSERT_OK(host().EnsureTarget(target("folder"), TargetKind::kFolder));
  ASSERT_OK(host().EnsureTarget(target("file"), TargetKind::kFile));
  EXPECT_CODE(host().EnsureTarget(target("folder"), TargetKind::kFile), kInvalidArgument);
  EXPECT_CODE(host().EnsureTarget(target("file"), TargetKind::kFolder), kInvalidArgument);
}

TEST_P(FilesystemContract, TargetInsideAMountedVolume_IsNeitherMadeNorShownNorRemoved) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd outer, NewImage("outer", content(), kUuid));
  ASSERT_OK(Show(outer, content(), "a"));
  const std::string inside = target("a") + "/sub";
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("inner", Content::kExt4, kOtherUuid));
  ASSERT_OK_AND_ASSIGN(const DetachedMount inner, Mount(image, Content::kExt4));
  EXPECT_CODE(host().EnsureTarget(inside, TargetKind::kFolder), kFailedPrecondition);
  EXPECT_CODE(host().EnsureTarget(inside, TargetKind::kFile), kFailedPrecondition);
  EXPECT_CODE(host().MoveMount(inner.root, inside), kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(const bool made, host().TargetExists(inside));
  EXPECT_FALSE(made);
  EXPECT_OK(host().RemoveTarget(inside)) << "there is none";
  machine().MakeFolder(inside);  // by a workload
  EXPECT_CODE(host().EnsureTarget(inside, TargetKind::kFolder), kFailedPrecondition);
  EXPECT_CODE(host().MoveMount(inner.root, inside), kFailedPrecondition);
  EXPECT_CODE(host().RemoveTarget(inside), kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(const bool left, host().TargetExists(inside));
  EXPECT_TRUE(left);
  EXPECT_OK(host().EnsureTarget(target("a"), TargetKind::kFolder)) << "the mount point itself";
  ASSERT_OK(host().Unmount(target("a")));
}

TEST_P(FilesystemContract, MoveMount_OverWhatIsMountedFurtherIn_IsRefused) {
  ASSERT_OK(host().EnsureTarget(target("a"), TargetKind::kFolder));
  ASSERT_OK_AND_ASSIGN(const UniqueFd inner, NewImage("inner", content(), kUuid));
  ASSERT_OK(Show(inner, content(), "a/b"));
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("outer", content(), kOtherUuid));
  EXPECT_CODE(Show(image, content(), "a"), kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(const auto still, host().MountedAt(target("a/b")));
  EXPECT_TRUE(still.has_value());
  ASSERT_OK(host().Unmount(target("a/b")));
  EXPECT_CODE(Show(image, content(), "a"), kFailedPrecondition) << "it would hide a folder";
  ASSERT_OK(host().RemoveTarget(target("a/b")));
  EXPECT_OK(Show(image, content(), "a"));
  ASSERT_OK(host().Unmount(target("a")));
}

TEST_P(HostContract, RemoveTarget_NeverRemovesWhatIsNotEmpty) {
  ASSERT_OK(host().EnsureTarget(target("a"), TargetKind::kFolder));
  ASSERT_OK(host().EnsureTarget(target("a") + "/b", TargetKind::kFile));
  EXPECT_CODE(host().RemoveTarget(target("a")), kFailedPrecondition);
  ASSERT_OK(host().RemoveTarget(target("a") + "/b"));
  ASSERT_OK(host().RemoveTarget(target("a")));
  EXPECT_OK(host().RemoveTarget(target("a"))) << "gone is gone";
  EXPECT_OK(host().RemoveTarget(target("absent") + "/b"));
}

TEST_P(HostContract, RemoveTarget_OfAMount_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", Content::kExt4, kUuid));
  ASSERT_OK(Show(image, Content::kExt4, "a"));
  EXPECT_CODE(host().RemoveTarget(target("a")), kFailedPrecondition);
  EXPECT_OK(host().EnsureTarget(target("a"), TargetKind::kFolder));
  ASSERT_OK(host().Unmount(target("a")));
  EXPECT_OK(host().RemoveTarget(target("a")));
}

TEST_P(HostContract, TargetExists_BeneathSomethingMissing_IsFalse) {
  ASSERT_OK_AND_ASSIGN(const bool exists, host().TargetExists(target("no") + "/such/folder"));
  EXPECT_FALSE(exists);
}

TEST_P(HostContract, BootId_StaysTheSame) {
  ASSERT_OK_AND_ASSIGN(const std::string first, host().BootId());
  ASSERT_OK_AND_ASSIGN(const std::string second, host().BootId());
  EXPECT_EQ(first, second);
  EXPECT_EQ(first.size(), 36u);
}

TEST_P(HostContract, FreezeRecords_AreListedUntilForgotten) {
  constexpr uint64_t one = 7 << 8 | 3, two = 45;
  ASSERT_OK(host().RecordFreeze(one));
  ASSERT_OK(host().RecordFreeze(two));
  ASSERT_OK(host().RecordFreeze(one));
  ASSERT_OK_AND_ASSIGN(auto records, host().RecordedFreezes());
  std::sort(records.begin(), records.end());
  EXPECT_EQ(records, (std::vector<uint64_t>{two, one}));
  ASSERT_OK(host().ForgetFreeze(one));
  EXPECT_OK(host().ForgetFreeze(one));
  ASSERT_OK_AND_ASSIGN(records, host().RecordedFreezes());
  EXPECT_EQ(records, std::vector<uint64_t>{two});
  ASSERT_OK(host().ForgetFreeze(two));
}

}  // namespace
}  // namespace holdfast
