// os/mounts.h: mounts
#include "tests/contract/host_contract.h"

namespace holdfast {
namespace {

TEST_P(FilesystemContract, MountDetached_IsSeenByNobodyUntilMoved) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  ASSERT_OK(host().EnsureTarget(target("a"), TargetKind::kFolder));
  ASSERT_OK_AND_ASSIGN(DetachedMount mounted, Mount(image, content()));
  ASSERT_OK_AND_ASSIGN(const auto hidden, host().MountsOf(mounted.loop.loop));
  EXPECT_TRUE(hidden.empty());
  ASSERT_OK(host().MoveMount(mounted.root, target("a")));
  ASSERT_OK_AND_ASSIGN(const auto entry, host().MountedAt(target("a")));
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->target, target("a"));
  EXPECT_EQ(entry->root, "/");
  EXPECT_EQ(entry->type, ContentName(content()));
  EXPECT_EQ(entry->source, mounted.loop.loop.path);
  EXPECT_EQ(entry->device == mounted.loop.loop.device, content() != Content::kBtrfs);
  EXPECT_FALSE(entry->read_only);
  EXPECT_FALSE(entry->filesystem_read_only);
  ASSERT_OK_AND_ASSIGN(const auto shown, host().MountsOf(mounted.loop.loop));
  ASSERT_EQ(shown.size(), 1u);
  EXPECT_EQ(shown[0].id, entry->id);
  mounted.root.Close();
  ASSERT_OK(host().Unmount(target("a")));
}

TEST_P(FilesystemContract, MountDetached_ClosedDescriptor_LeavesNothing) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  { ASSERT_OK(Mount(image, content())); }
  EXPECT_TRUE(IsDetachedSoon(image));
  ASSERT_OK_AND_ASSIGN(const auto superblock, host().Identify(image));
  ASSERT_TRUE(superblock.has_value());
  EXPECT_EQ(superblock->needs_recovery, content() == Content::kXfs) << "a clean unmount";
}

TEST_P(FilesystemContract, MountDetached_TwiceOfOneLoop_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, Mount(image, content()));
  EXPECT_CODE(host().MountDetached(mounted.loop.loop, {.content = content()}), kFailedPrecondition);
}

TEST_P(FilesystemContract, MountDetached_UnknownOption_IsFailedPreconditionAndLeavesNothing) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  {
    ASSERT_OK_AND_ASSIGN(const AttachedLoop attached, host().Attach(image, {}));
    MountOptions options{.content = content()};
    options.flags.filesystem_options.push_back({"holdfast_nonsense", std::nullopt});
    EXPECT_CODE(host().MountDetached(attached.loop, options), kFailedPrecondition);
  }
  EXPECT_TRUE(IsDetachedSoon(image));
}

TEST_P(FilesystemContract, MountDetached_OfAnEmptyImage_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", ImageBytes(content())));
  EXPECT_FALSE(Mount(image, content()).ok());
  ASSERT_TRUE(IsDetachedSoon(image));
  ASSERT_OK_AND_ASSIGN(const bool has_data, host().HasData(image));
  EXPECT_FALSE(has_data) << "and never formatted";
}

TEST_P(FilesystemContract, MountDetached_FromAReadOnlyLoop_IsReadOnly) {
  ASSERT_OK(NewImage("image", content(), kUuid));
  ASSERT_OK_AND_ASSIGN(const auto image, host().OpenFile(folder(), "image", Access::kReadOnly));
  ASSERT_OK_AND_ASSIGN(AttachedLoop attached, host().Attach(*image, {.access = Access::kReadOnly}));
  ASSERT_OK_AND_ASSIGN(UniqueFd root, host().MountDetached(attached.loop, {.content = content()}));
  EXPECT_FALSE(host().SetRoot(root, 0700, std::nullopt).ok());
  EXPECT_OK(host().ReadRoot(root));
  ASSERT_OK(host().EnsureTarget(target("a"), TargetKind::kFolder));
  ASSERT_OK(host().MoveMount(root, target("a")));
  ASSERT_OK_AND_ASSIGN(const auto entry, host().MountedAt(target("a")));
  ASSERT_TRUE(entry.has_value());
  EXPECT_TRUE(entry->filesystem_read_only);
  EXPECT_TRUE(entry->read_only);
  root.Close();
  ASSERT_OK(host().Unmount(target("a")));
}

TEST_P(FilesystemContract, AMount_AloneKeepsItsLoop_UntilUnmounted) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  ASSERT_OK(Show(image, content(), "a"));
  ASSERT_OK_AND_ASSIGN(const size_t count, CountAttachments(image));
  EXPECT_EQ(count, 1u);
  ASSERT_OK(host().Unmount(target("a")));
  EXPECT_TRUE(IsDetachedSoon(image));
}

TEST_P(FilesystemContract, CloneMount_ReadOnly_LeavesItsOriginalWritable) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  ASSERT_OK(Show(image, content(), "staged"));
  ASSERT_OK(host().EnsureTarget(target("published"), TargetKind::kFolder));
  {
    ASSERT_OK_AND_ASSIGN(const UniqueFd staged, host().OpenMount(target("staged")));
    MountFlags flags;
    flags.read_only = true;
    ASSERT_OK_AND_ASSIGN(const UniqueFd clone, host().CloneMount(staged, flags));
    ASSERT_OK(host().MoveMount(clone, target("published")));
    EXPECT_FALSE(host().SetRoot(clone, 0700, std::nullopt).ok());
    ASSERT_OK_AND_ASSIGN(const bool of_clone, host().IsReadOnly(clone));
    ASSERT_OK_AND_ASSIGN(const bool of_original, host().IsReadOnly(staged));
    EXPECT_TRUE(of_clone);
    EXPECT_FALSE(of_original);
    EXPECT_OK(host().SetRoot(staged, 0711, std::nullopt));
    ASSERT_OK_AND_ASSIGN(const RootAttributes one, host().ReadRoot(staged));
    ASSERT_OK_AND_ASSIGN(const RootAttributes other, host().ReadRoot(clone));
    EXPECT_EQ(one, other);
  }
  ASSERT_OK_AND_ASSIGN(const auto staged, host().MountedAt(target("staged")));
  ASSERT_OK_AND_ASSIGN(const auto published, host().MountedAt(target("published")));
  ASSERT_TRUE(staged && published);
  EXPECT_FALSE(staged->read_only);
  EXPECT_TRUE(published->read_only);
  EXPECT_FALSE(published->filesystem_read_only);
  EXPECT_EQ(staged->source, published->source);
  ASSERT_OK(host().Unmount(target("staged")));
  ASSERT_OK_AND_ASSIGN(const size_t count, CountAttachments(image));
  EXPECT_EQ(count, 1u) << "the second mount keeps it";
  ASSERT_OK(host().Unmount(target("published")));
}

TEST_P(FilesystemContract, CloneMount_AddsFlagsToTheOriginals_AndTheTableShowsThem) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  ASSERT_OK(Show(image, content(), "staged"));
  ASSERT_OK(host().EnsureTarget(target("first"), TargetKind::kFolder));
  ASSERT_OK(host().EnsureTarget(target("second"), TargetKind::kFolder));
  {
    MountFlags added, other;
    added.no_exec = true;
    added.no_dir_atime = true;
    other.atime = "noatime";
    ASSERT_OK_AND_ASSIGN(const UniqueFd staged, host().OpenMount(target("staged")));
    ASSERT_OK_AND_ASSIGN(const UniqueFd first, host().CloneMount(staged, added));
    ASSERT_OK(host().MoveMount(first, target("first")));
    ASSERT_OK_AND_ASSIGN(const UniqueFd second, host().CloneMount(first, other));
    ASSERT_OK(host().MoveMount(second, target("second")));
  }
  ASSERT_OK_AND_ASSIGN(const auto first, host().MountedAt(target("first")));
  ASSERT_OK_AND_ASSIGN(const auto second, host().MountedAt(target("second")));
  ASSERT_TRUE(first && second);
  for (const MountEntry& entry : {*first, *second}) {
    EXPECT_TRUE(entry.no_exec);
    EXPECT_TRUE(entry.no_dir_atime);
    EXPECT_FALSE(entry.read_only);
  }
  EXPECT_EQ(first->atime, "relatime");
  EXPECT_EQ(second->atime, "noatime");
  ASSERT_OK(host().Unmount(target("staged")));
  ASSERT_OK(host().Unmount(target("first")));
  ASSERT_OK(host().Unmount(target("second")));
}

TEST_P(FilesystemContract, Unmount_WhileADescriptorIsOpen_IsBusy) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  ASSERT_OK(Show(image, content(), "a"));
  {
    ASSERT_OK_AND_ASSIGN(const UniqueFd held, host().OpenMount(target("a")));
    EXPECT_CODE(host().Unmount(target("a")), kFailedPrecondition);
  }
  ASSERT_OK_AND_ASSIGN(const auto still, host().MountedAt(target("a")));
  EXPECT_TRUE(still.has_value());
  ASSERT_OK(host().Unmount(target("a")));
  ASSERT_OK_AND_ASSIGN(const auto gone, host().MountedAt(target("a")));
  EXPECT_FALSE(gone.has_value());
  EXPECT_OK(host().Unmount(target("a"))) << "gone is gone";
}

// What a process that was killed in a cut left, whose mount for it was unmounted meanwhile.
TEST_P(FilesystemContract, ThawDevice_FindsAnotherMountOfTheFrozenFilesystem) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  ASSERT_OK_AND_ASSIGN(DetachedMount mounted, Mount(image, content()));
  ASSERT_OK_AND_ASSIGN(UniqueFd clone, host().CloneMount(mounted.root, {}));
  for (const char* name : {"a", "b"}) {
    ASSERT_OK(host().EnsureTarget(target(name), TargetKind::kFolder));
  }
  ASSERT_OK(host().MoveMount(mounted.root, target("a")));
  ASSERT_OK(host().MoveMount(clone, target("b")));
  ASSERT_OK_AND_ASSIGN(const auto entry, host().MountedAt(target("a")));
  ASSERT_OK_AND_ASSIGN(const bool never, host().ThawDevice(entry->device));
  EXPECT_FALSE(never);
  ASSERT_OK(host().Freeze(mounted.root));
  mounted.root.Close();
  clone.Close();
  ASSERT_OK(host().Unmount(target("a")));
  ASSERT_OK_AND_ASSIGN(const bool thawed, host().ThawDevice(entry->device));
  EXPECT_TRUE(thawed);
  ASSERT_OK(host().Unmount(target("b")));
  ASSERT_OK_AND_ASSIGN(const bool gone, host().ThawDevice(entry->device));
  EXPECT_FALSE(gone);
  ASSERT_OK(host().RemoveTarget(target("a")));
  ASSERT_OK(host().RemoveTarget(target("b")));
}

TEST_P(FilesystemContract, MountedAt_IsTheTopmost) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd lower, NewImage("lower", content(), kUuid));
  ASSERT_OK_AND_ASSIGN(const UniqueFd upper, NewImage("upper", content(), kOtherUuid));
  ASSERT_OK(Show(lower, content(), "a"));
  ASSERT_OK_AND_ASSIGN(const auto first, host().MountedAt(target("a")));
  ASSERT_OK(Show(upper, content(), "a"));
  ASSERT_OK_AND_ASSIGN(const auto second, host().MountedAt(target("a")));
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->source, second->source);
  ASSERT_OK(host().Unmount(target("a")));
  ASSERT_OK_AND_ASSIGN(const auto third, host().MountedAt(target("a")));
  ASSERT_TRUE(third.has_value());
  EXPECT_EQ(third->source, first->source);
  ASSERT_OK(host().Unmount(target("a")));
}

TEST_P(FilesystemContract, HoldersOf_WhatOnlyWeHave_IsEmptyWithoutDescriptors) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", content(), kUuid));
  ASSERT_OK_AND_ASSIGN(const FileFacts facts, host().Describe(image));
  ASSERT_OK(Show(image, content(), "a"));
  ASSERT_OK_AND_ASSIGN(const auto loops, host().Attachments(facts));
  ASSERT_EQ(loops.size(), 1u);
  ASSERT_OK_AND_ASSIGN(const auto holders, host().HoldersOf(loops[0]));
  EXPECT_EQ(holders, std::vector<std::string>());
  ASSERT_OK(host().Unmount(target("a")));
}

TEST_P(HostContract, MountDetached_XfsWithADuplicateUuid_NeedsPrivateClone) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", Content::kXfs, kUuid));
  ASSERT_OK_AND_ASSIGN(const UniqueFd clone, NewClone(image, "clone"));
  ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, Mount(image, Content::kXfs));
  EXPECT_CODE(Mount(clone, Content::kXfs), kFailedPrecondition);
  EXPECT_OK(Mount(clone, Content::kXfs, /*private_clone=*/true));
}

TEST_P(HostContract, OpenMount_OfAPlainFolder_IsFailedPrecondition) {
  ASSERT_OK(host().EnsureTarget(target("a"), TargetKind::kFolder));
  EXPECT_CODE(host().OpenMount(target("a")), kFailedPrecondition);
  EXPECT_CODE(host().OpenMount(target("absent")), kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(const auto entry, host().MountedAt(target("a")));
  EXPECT_FALSE(entry.has_value());
  ASSERT_OK_AND_ASSIGN(const auto absent, host().MountedAt(target("absent")));
  EXPECT_FALSE(absent.has_value());
}

TEST_P(HostContract, MoveMount_OntoNothingOrTheWrongKind_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", Content::kExt4, kUuid));
  ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, Mount(image, Content::kExt4));
  ASSERT_OK(host().EnsureTarget(target("file"), TargetKind::kFile));
  EXPECT_CODE(host().MoveMount(mounted.root, target("absent")), kFailedPrecondition);
  EXPECT_CODE(host().MoveMount(mounted.root, target("file")), kInvalidArgument);
  ASSERT_OK_AND_ASSIGN(const auto shown, host().MountsOf(mounted.loop.loop));
  EXPECT_TRUE(shown.empty());
}

TEST_P(HostContract, CloneDevice_ShowsTheNodeAtAFile) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", 8 * kMiB));
  ASSERT_OK_AND_ASSIGN(AttachedLoop attached, host().Attach(image, {}));
  const Loop loop = attached.loop;
  ASSERT_OK(host().PinLoop(loop));
  attached.fd.Close();
  ASSERT_OK(host().EnsureTarget(target("device"), TargetKind::kFile));
  ASSERT_OK(host().EnsureTarget(target("folder"), TargetKind::kFolder));
  {
    ASSERT_OK_AND_ASSIGN(const UniqueFd node, host().CloneDevice(loop));
    EXPECT_CODE(host().MoveMount(node, target("folder")), kInvalidArgument);
    ASSERT_OK(host().MoveMount(node, target("device")));
  }
  ASSERT_OK_AND_ASSIGN(const auto entry, host().MountedAt(target("device")));
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->root, "/loop" + std::to_string(loop.number));
  EXPECT_EQ(entry->type, "devtmpfs");
  ASSERT_OK_AND_ASSIGN(const auto shown, host().MountsOf(loop));
  EXPECT_EQ(shown.size(), 1u);
  EXPECT_OK(host().EnsureTarget(target("device"), TargetKind::kFile)) << "published again";
  EXPECT_CODE(host().RemoveTarget(target("device")), kFailedPrecondition);
  ASSERT_OK(host().Unmount(target("device")));
  EXPECT_OK(host().RemoveTarget(target("device")));
  EXPECT_OK(host().Detach(loop));
}

}  // namespace
}  // namespace holdfast
