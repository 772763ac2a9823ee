// os/filesystems.h
#include <gmock/gmock.h>

#include <cstring>

#include "base/uuid.h"
#include "tests/contract/host_contract.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

// Where the superblock has its UUID: a bit flipped there is a superblock damaged.
uint64_t UuidOffset(Content content) {
  switch (content) {
    case Content::kXfs:
      return 32;
    case Content::kBtrfs:
      return 64 * kKiB + 32;
    default:
      return 1024 + 0x68;
  }
}

absl::Status FlipByte(Host& host, const UniqueFd& image, uint64_t offset) {
  ASSIGN_OR_RETURN(std::string byte, host.Read(image, offset, 1));
  byte[0] = static_cast<char>(byte[0] ^ 0x40);
  return host.Write(image, offset, byte);
}

// The superblock of a Linux software RAID, version 1.0 (linux/raid/md_p.h, struct
// mdp_superblock_1).
std::string RaidHeader(uint64_t offset) {
  std::string header(256, '\0');
  const uint32_t magic_and_version[] = {0xa92b4efc, 1};
  const uint64_t sector = offset / 512;  // where it lies
  std::memcpy(header.data(), magic_and_version, sizeof(magic_and_version));
  header.replace(16, 16, 16, 'r');  // the array's UUID
  std::memcpy(header.data() + 144, &sector, sizeof(sector));
  return header;
}

TEST_P(HostContract, Identify_OfZeroes_IsNullopt) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", 8 * kMiB));
  ASSERT_OK_AND_ASSIGN(const auto superblock, host().Identify(image));
  EXPECT_FALSE(superblock.has_value());
}

TEST_P(FilesystemContract, Format_IsIdentifiedAsWhatItIs) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  ASSERT_OK_AND_ASSIGN(const auto superblock, host().Identify(image));
  ASSERT_TRUE(superblock.has_value());
  EXPECT_EQ(superblock->content, content());
  EXPECT_EQ(superblock->uuid, kUuid);
  EXPECT_EQ(superblock->size_bytes, ImageBytes(content()));
  EXPECT_EQ(superblock->needs_recovery, content() == Content::kXfs);
  EXPECT_FALSE(superblock->has_errors);
  EXPECT_OK(host().CheckFilesystem(image, content()));
}

TEST_P(FilesystemContract, MountedWithUuid_FindsTheDeviceWhileItIsMounted) {
  const std::string uuid = NewUuid();
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), uuid));
  ASSERT_OK_AND_ASSIGN(const auto before, host().MountedWithUuid(content(), uuid));
  EXPECT_TRUE(before.empty()) << before.front().path;
  {
    ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, Mount(image, content()));
    ASSERT_OK_AND_ASSIGN(const auto found, host().MountedWithUuid(content(), uuid));
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].path, mounted.loop.loop.path);
    ASSERT_TRUE(found[0].loop.has_value());
    EXPECT_EQ(found[0].loop->backing_inode, mounted.loop.loop.backing_inode);
    ASSERT_OK_AND_ASSIGN(const auto other, host().MountedWithUuid(content(), NewUuid()));
    EXPECT_TRUE(other.empty());
  }
  EXPECT_TRUE(IsDetachedSoon(image));
  ASSERT_OK_AND_ASSIGN(const auto after, host().MountedWithUuid(content(), uuid));
  EXPECT_TRUE(after.empty());
}

TEST_P(FilesystemContract, Format_OfAThickImage_LeavesEveryBlockAllocated) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", ImageBytes(content())));
  ASSERT_OK(host().Preallocate(image, 0, ImageBytes(content())));
  ASSERT_OK(host().Format(image, {.content = content(), .uuid = kUuid}));
  ASSERT_OK_AND_ASSIGN(const FileFacts facts, host().Describe(image));
  EXPECT_GE(facts.allocated_bytes, ImageBytes(content()));
}

TEST_P(FilesystemContract, Format_OverData_IsRefusedAndChangesNothing) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", ImageBytes(content())));
  ASSERT_OK(host().Write(image, 20 * kMiB, "precious"));
  EXPECT_CODE(host().Format(image, {.content = content(), .uuid = kUuid}), kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(const auto superblock, host().Identify(image));
  EXPECT_FALSE(superblock.has_value());
  ASSERT_OK_AND_ASSIGN(const std::string data, host().Read(image, 20 * kMiB, 8));
  EXPECT_EQ(data, "precious");
}

// What a workload writes can lie at the end of its image by chance: here it looks like an array's.
TEST_P(FilesystemContract, Identify_WithAWorkloadsRaidHeaderAtTheEnd_IsTheFilesystem) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  const uint64_t offset = ImageBytes(content()) - 8 * kKiB;
  ASSERT_OK(host().Write(image, offset, RaidHeader(offset)));
  ASSERT_OK_AND_ASSIGN(const auto superblock, host().Identify(image));
  ASSERT_TRUE(superblock.has_value());
  EXPECT_EQ(superblock->content, content());
  EXPECT_EQ(superblock->uuid, kUuid);
}

TEST_P(FilesystemContract, Identify_OfADamagedSuperblock_IsDataLoss) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  ASSERT_OK(FlipByte(host(), image, UuidOffset(content())));
  EXPECT_CODE(host().Identify(image), kDataLoss);
  EXPECT_CODE(host().CheckFilesystem(image, content()), kDataLoss);
  ASSERT_OK(FlipByte(host(), image, UuidOffset(content())));
  EXPECT_OK(host().Identify(image));
}

TEST_P(FilesystemContract, SetFilesystemUuid_ChangesThatAlone) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  const std::string other_uuid = NewUuid();  // mkfs and btrfstune look for it on the whole machine
  ASSERT_OK(host().SetFilesystemUuid(image, content(), other_uuid));
  ASSERT_OK_AND_ASSIGN(const auto superblock, host().Identify(image));
  ASSERT_TRUE(superblock.has_value());
  EXPECT_EQ(superblock->uuid, other_uuid);
  EXPECT_EQ(superblock->size_bytes, ImageBytes(content()));
  EXPECT_OK(host().CheckFilesystem(image, content()));
  EXPECT_OK(Mount(image, content()));
}

TEST_P(FilesystemContract, CheckFilesystem_OfSomethingElse_IsDataLoss) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", ImageBytes(content())));
  EXPECT_CODE(host().CheckFilesystem(image, content()), kDataLoss);
}

TEST_P(FilesystemContract, Grow_ToTheImage) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  const uint64_t grown = ImageBytes(content()) + 64 * kMiB;
  ASSERT_OK(host().Resize(image, grown));
  if (content() == Content::kExt4) {
    ASSERT_OK(host().GrowUnmounted(image, content()));
  } else {
    EXPECT_CODE(host().GrowUnmounted(image, content()), kInvalidArgument);
    ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, Mount(image, content()));
    ASSERT_TRUE(host().CanGrowMounted(content()));
    ASSERT_OK_AND_ASSIGN(const Usage before, host().ReadUsage(mounted.root));
    ASSERT_OK(host().GrowMounted(mounted.root, content()));
    ASSERT_OK_AND_ASSIGN(const Usage after, host().ReadUsage(mounted.root));
    EXPECT_GT(after.total_bytes, before.total_bytes);
  }
  ASSERT_TRUE(IsDetachedSoon(image));
  ASSERT_OK_AND_ASSIGN(const auto superblock, host().Identify(image));
  ASSERT_TRUE(superblock.has_value());
  EXPECT_EQ(superblock->size_bytes, grown);
  EXPECT_OK(host().CheckFilesystem(image, content()));
}

TEST_P(Ext4GrowthContract, GrowMounted_WithTheCapability_GrowsToTheImage) {
  if (!machine().SetResourceCapability(true)) GTEST_SKIP() << "needs CAP_SYS_RESOURCE";
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", Content::kExt4, kUuid));
  {
    ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, MountInALargerImage(image));
    EXPECT_TRUE(host().CanGrowMounted(Content::kExt4));
    ASSERT_OK_AND_ASSIGN(const Usage before, host().ReadUsage(mounted.root));
    EXPECT_OK(host().GrowMounted(mounted.root, Content::kExt4));
    ASSERT_OK_AND_ASSIGN(const Usage after, host().ReadUsage(mounted.root));
    EXPECT_GT(after.total_bytes, before.total_bytes);
  }
  ExpectFilesystemBytes(image, 64 * kMiB);
}

TEST_P(Ext4GrowthContract, GrowMounted_WithoutTheCapability_IsRefusedByItsName) {
  ASSERT_TRUE(machine().SetResourceCapability(false));
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", Content::kExt4, kUuid));
  {
    ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, MountInALargerImage(image));
    EXPECT_FALSE(host().CanGrowMounted(Content::kExt4));
    const absl::Status refused = host().GrowMounted(mounted.root, Content::kExt4);
    EXPECT_CODE(refused, kFailedPrecondition);
    EXPECT_THAT(std::string(refused.message()), HasSubstr("CAP_SYS_RESOURCE"));
    EXPECT_OK(host().SyncMounted(mounted.root)) << "it goes on";
  }
  ExpectFilesystemBytes(image, 32 * kMiB);
}

TEST_P(FilesystemContract, SetRoot_IsSeenAfterARemount_AndItsIdentityStays) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  RootAttributes fresh;
  {
    ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, Mount(image, content()));
    ASSERT_OK_AND_ASSIGN(fresh, host().ReadRoot(mounted.root));
    ASSERT_OK(host().SetRoot(mounted.root, 02770, Owner{1001, 1002}));
  }
  EXPECT_EQ(fresh.mode, 0755u);
  EXPECT_EQ(fresh.owner, 0u);
  EXPECT_EQ(fresh.access_acl, "");
  ASSERT_TRUE(IsDetachedSoon(image));
  ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, Mount(image, content()));
  ASSERT_OK_AND_ASSIGN(const RootAttributes root, host().ReadRoot(mounted.root));
  EXPECT_EQ(root.mode, 02770u);
  EXPECT_EQ(root.owner, 1001u);
  EXPECT_EQ(root.group, 1002u);
  EXPECT_EQ(root.inode, fresh.inode);
  EXPECT_EQ(root.generation, fresh.generation);
  EXPECT_EQ(root.birth_time, fresh.birth_time);
  EXPECT_FALSE(root.change_time == fresh.change_time);
}

TEST_P(FilesystemContract, SetRoot_OfAClone_LeavesItsOriginalAlone) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  ASSERT_OK_AND_ASSIGN(const UniqueFd clone, NewClone(image, "clone"));
  {
    ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, Mount(clone, content()));
    ASSERT_OK(host().SetRoot(mounted.root, 0700, std::nullopt));
  }
  ASSERT_TRUE(IsDetachedSoon(clone));
  ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, Mount(image, content()));
  ASSERT_OK_AND_ASSIGN(const RootAttributes root, host().ReadRoot(mounted.root));
  EXPECT_EQ(root.mode, 0755u);
}

TEST_P(FilesystemContract, Freeze_UntilThaw) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, Mount(image, content()));
  ASSERT_OK_AND_ASSIGN(const bool never, host().Thaw(mounted.root));
  EXPECT_FALSE(never);
  ASSERT_OK(host().Freeze(mounted.root));
  EXPECT_FALSE(host().Freeze(mounted.root).ok());
  EXPECT_OK(host().ReadRoot(mounted.root)) << "reading is not held up";
  ASSERT_OK_AND_ASSIGN(const bool thawed, host().Thaw(mounted.root));
  EXPECT_TRUE(thawed);
  ASSERT_OK_AND_ASSIGN(const bool again, host().Thaw(mounted.root));
  EXPECT_FALSE(again);
  EXPECT_OK(host().SyncMounted(mounted.root));
}

TEST_P(FilesystemContract, ShutDown_FailsEverythingLater_UntilItIsMountedAnew) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  RootAttributes before;
  {
    ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, Mount(image, content()));
    ASSERT_OK_AND_ASSIGN(before, host().ReadRoot(mounted.root));
    if (content() == Content::kBtrfs) {
      EXPECT_CODE(host().ShutDown(mounted.root), kFailedPrecondition);
      EXPECT_OK(host().ReadRoot(mounted.root)) << "it goes on";
      return;
    }
    ASSERT_OK(host().ShutDown(mounted.root));
    EXPECT_FALSE(host().SetRoot(mounted.root, 0700, std::nullopt).ok());
    EXPECT_FALSE(host().SyncMounted(mounted.root).ok());
    EXPECT_FALSE(host().SyncMounted(mounted.root).ok()) << "and keeps failing";
    EXPECT_OK(host().ShutDown(mounted.root)) << "twice";
  }
  ASSERT_TRUE(IsDetachedSoon(image));
  ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, Mount(image, content()));
  ASSERT_OK_AND_ASSIGN(const RootAttributes root, host().ReadRoot(mounted.root));
  EXPECT_EQ(root, before);
}

TEST_P(FilesystemContract, CutOff_FailsEveryWriteLater_UntilItIsAttachedAnew) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  ASSERT_OK_AND_ASSIGN(const FileFacts facts, host().Describe(image));
  RootAttributes before;
  {
    ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, Mount(image, content()));
    ASSERT_OK(host().SetRoot(mounted.root, 0750, std::nullopt));
    ASSERT_OK(host().SyncMounted(mounted.root));
    ASSERT_OK_AND_ASSIGN(before, host().ReadRoot(mounted.root));
    ASSERT_OK_AND_ASSIGN(const auto loops, host().Attachments(facts));
    ASSERT_EQ(loops.size(), 1u);
    ASSERT_OK(host().CutOff(loops[0]));
    EXPECT_OK(host().UpdateLoopSize(loops[0])) << "which does not bring it back";
    EXPECT_FALSE(host().SetRoot(mounted.root, 0700, std::nullopt).ok());
    EXPECT_FALSE(host().SetRoot(mounted.root, 0700, std::nullopt).ok()) << "and keeps failing";
    if (content() != Content::kBtrfs) {
      EXPECT_OK(host().ShutDown(mounted.root));
    }
  }
  ASSERT_TRUE(IsDetachedSoon(image));
  ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, Mount(image, content()));
  ASSERT_OK_AND_ASSIGN(const RootAttributes root, host().ReadRoot(mounted.root));
  EXPECT_EQ(root, before);
}

// What a snapshot under load and its clone are made of.
TEST_P(FilesystemContract, ACutUnderFreeze_BecomesAFilesystemOfItsOwn) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  ASSERT_OK_AND_ASSIGN(const DetachedMount live, Mount(image, content()));
  ASSERT_OK(host().SetRoot(live.root, 0750, std::nullopt));
  ASSERT_OK(host().Freeze(live.root));
  auto cut = NewClone(image, "cut");
  ASSERT_OK(host().Thaw(live.root));
  ASSERT_OK(cut);
  {
    ASSERT_OK_AND_ASSIGN(const DetachedMount replay, Mount(*cut, content(), true));
    ASSERT_OK_AND_ASSIGN(const RootAttributes root, host().ReadRoot(replay.root));
    EXPECT_EQ(root.mode, 0750u);
  }
  ASSERT_TRUE(IsDetachedSoon(*cut));
  ASSERT_OK(host().SetFilesystemUuid(*cut, content(), NewUuid()));
  EXPECT_OK(host().CheckFilesystem(*cut, content()));
  EXPECT_OK(Mount(*cut, content())) << "beside its original, which is still mounted";
}

TEST_P(FilesystemContract, ReadUsage_AddsUp) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, Mount(image, content()));
  ASSERT_OK_AND_ASSIGN(const Usage usage, host().ReadUsage(mounted.root));
  EXPECT_GT(usage.total_bytes, ImageBytes(content()) / 4);
  EXPECT_LE(usage.total_bytes, ImageBytes(content()));
  EXPECT_LE(usage.used_bytes + usage.available_bytes, usage.total_bytes);
  if (content() == Content::kBtrfs) {
    EXPECT_EQ(usage.total_inodes, 0u);
  } else {
    EXPECT_GT(usage.total_inodes, 0u);
    EXPECT_LE(usage.used_inodes + usage.available_inodes, usage.total_inodes);
  }
}

}  // namespace
}  // namespace holdfast
