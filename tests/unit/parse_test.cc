#include "rpc/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "volume/mount_policy.h"

namespace holdfast {
namespace {

using csi::v1::VolumeCapability;
using testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

VolumeCapability Mount(const std::string& fs_type = "") {
  VolumeCapability capability;
  capability.mutable_mount()->set_fs_type(fs_type);
  capability.mutable_access_mode()->set_mode(VolumeCapability::AccessMode::SINGLE_NODE_WRITER);
  return capability;
}

VolumeCapability Block() {
  VolumeCapability capability = Mount();
  capability.mutable_block();
  return capability;
}

absl::StatusOr<CapabilityList> ParseList(const std::vector<VolumeCapability>& capabilities) {
  const ProtoCapabilities list(capabilities.begin(), capabilities.end());
  return ParseCapabilities("volume_capabilities", list);
}

TEST(ParseName, ParseName_Of128BytesOfAnyLanguage_IsKept) {
  const std::string umlauts = "großer Datenträger 卷 💾";
  EXPECT_EQ(ParseName("name", umlauts).value(), umlauts);
  EXPECT_EQ(ParseName("name", std::string(128, 'a')).value(), std::string(128, 'a'));
}

TEST(ParseName, ParseName_OutsideTheLimits_IsInvalidArgument) {
  const std::vector<std::string> wrong = {
      "",
      std::string(129, 'a'),
      "line\nbreak",
      std::string("nul\0inside", 10),
      "del\x7f",
      "c1 control \xc2\x85",
      "cut off \xe5\x8d",
      "overlong \xc0\xaf",
      "surrogate \xed\xa0\x80",
      "beyond \xf4\x90\x80\x80",
      std::string(10 << 20, 'x'),
  };
  for (const std::string& name : wrong) {
    const absl::Status status = ParseName("name", name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << Quoted(name);
    EXPECT_THAT(Message(status), testing::StartsWith("name: ")) << Quoted(name);
    EXPECT_LT(status.message().size(), 600u) << Quoted(name);
  }
}

TEST(Quoted, Quoted_BytesThatAreNoText_AreEscapedAndLongOnesAreCut) {
  EXPECT_EQ(Quoted("plain"), "'plain'");
  EXPECT_EQ(Quoted("卷"), "'卷'");
  EXPECT_EQ(Quoted(std::string("a\n\0\xff", 4)), "'a\\x0a\\x00\\xff'");
  EXPECT_EQ(Quoted(std::string(200, 'a')), "'" + std::string(kQuotedBytes, 'a') + "…' (200 bytes)");
}

TEST(RequireId, RequireId_OfWrongForm_IsLeftToTheCatalog) {
  EXPECT_EQ(RequireId("volume_id", "../../etc").value(), "../../etc");
  EXPECT_EQ(RequireId("volume_id", "").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(RequirePath, RequirePath_NotAbsoluteOrEmpty_IsRefused) {
  EXPECT_EQ(RequirePath("target_path", "/var/lib/kubelet/x").value(), "/var/lib/kubelet/x");
  for (const std::string& path :
       {std::string("some/path"), std::string("/nul\0", 5), "/" + std::string(4095, 'a')}) {
    EXPECT_EQ(RequirePath("target_path", path).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(RequirePath("target_path", "").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      RequirePath("staging_target_path", "", absl::StatusCode::kFailedPrecondition).status().code(),
      absl::StatusCode::kFailedPrecondition);
}

TEST(ParseMap, ParseMap_MoreThanFourKiB_IsInvalidArgumentAndNeverRepeatsValues) {
  ProtoMap map;
  map["key"] = "hunter2" + std::string(4096 - 10, 'x');
  EXPECT_TRUE(ParseMap("secrets", map).ok());
  map["key"] += "x";
  const absl::Status status = ParseMap("secrets", map).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status), testing::Not(HasSubstr("hunter2")));
  map["key"] = "\xff";
  EXPECT_EQ(ParseMap("secrets", map).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ParseCapability, ParseCapability_EachFilesystemBlockAndUnnamed_IsUnderstood) {
  EXPECT_EQ(ParseCapability("c", Mount("ext4"))->content, Content::kExt4);
  EXPECT_EQ(ParseCapability("c", Mount("xfs"))->content, Content::kXfs);
  EXPECT_EQ(ParseCapability("c", Mount("btrfs"))->content, Content::kBtrfs);
  EXPECT_EQ(ParseCapability("c", Mount())->content, std::nullopt);
  EXPECT_TRUE(ParseCapability("c", Block())->block());
  EXPECT_FALSE(ParseCapability("c", Mount())->block());
}

TEST(ParseCapability, ParseCapability_UnknownFilesystem_NamesTheKnownOnes) {
  for (const char* fs_type : {"ntfs", "block", "EXT4", "ext4 "}) {
    const absl::Status status = ParseCapability("volume_capability", Mount(fs_type)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(Message(status), HasSubstr("ext4, xfs or btrfs"));
    EXPECT_THAT(Message(status), HasSubstr(fs_type));
  }
}

TEST(ParseCapability, ParseCapability_AccessModes_OnlySeveralWritingNodesAreRefused) {
  using Mode = VolumeCapability::AccessMode;
  for (int mode = 0; mode <= 9; ++mode) {
    VolumeCapability capability = Mount();
    capability.mutable_access_mode()->set_mode(static_cast<Mode::Mode>(mode));
    const bool lawful = mode != Mode::UNKNOWN && mode != Mode::MULTI_NODE_SINGLE_WRITER &&
                        mode != Mode::MULTI_NODE_MULTI_WRITER && Mode::Mode_IsValid(mode);
    const auto parsed = ParseCapability("volume_capability", capability);
    EXPECT_EQ(parsed.ok(), lawful) << mode;
    if (lawful) {
      EXPECT_EQ(AccessModeName(parsed->mode), Mode::Mode_Name(static_cast<Mode::Mode>(mode)));
    } else {
      EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << mode;
    }
  }
}

TEST(ParseCapability, ParseCapability_WithoutTypeOrModeOrWithMountGroup_IsInvalidArgument) {
  VolumeCapability no_type = Mount();
  no_type.clear_access_type();
  VolumeCapability no_mode = Mount();
  no_mode.clear_access_mode();
  VolumeCapability group = Mount();
  group.mutable_mount()->set_volume_mount_group("1000");
  for (const VolumeCapability& capability : {VolumeCapability(), no_type, no_mode, group}) {
    EXPECT_EQ(ParseCapability("volume_capability", capability).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(ParseCapability, ParseCapability_MountFlags_AreKeptInOrderAndRefusedByName) {
  VolumeCapability capability = Mount("ext4");
  capability.mutable_mount()->add_mount_flags("noatime");
  capability.mutable_mount()->add_mount_flags("context=\"system_u:object_r:x:s0:c1,c2\"");
  EXPECT_THAT(ParseCapability("c", capability)->mount_flags,
              testing::ElementsAre("noatime", "context=\"system_u:object_r:x:s0:c1,c2\""));
  capability.mutable_mount()->add_mount_flags("noload");
  const absl::Status status = ParseCapability("volume_capability", capability).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status), HasSubstr("'noload'"));
  capability.mutable_mount()->set_mount_flags(2, std::string(4097, 'a'));
  EXPECT_FALSE(ParseCapability("c", capability).ok());
  capability.mutable_mount()->set_mount_flags(2, "no\natime");
  EXPECT_FALSE(ParseCapability("c", capability).ok());
}

TEST(MountPolicy, CheckMountFlags_WhatDefeatsThePromise_IsRefusedWhereverItStands) {
  for (const char* flags : {"nouuid",
                            "norecovery",
                            "noload",
                            "errors=continue",
                            "errors=panic",
                            "errors",
                            "data=writeback",
                            "data_err=ignore",
                            "nobarrier",
                            "barrier=0",
                            "barrier=00",
                            "barrier=0x0",
                            "barrier=+0",
                            "nodelalloc,barrier=00",
                            "ro=1",
                            "noexec=0",
                            "abort",
                            "fatal_errors=panic",
                            "loop",
                            "loop=/dev/loop0",
                            "bind",
                            "rbind",
                            "move",
                            "remount",
                            "offset=4096",
                            "sizelimit=1",
                            "journal_async_commit",
                            "dev",
                            "suid",
                            "degraded",
                            "rescue=all",
                            "usebackuproot",
                            "subvol=/x",
                            "subvolid=5",
                            "sb=32768",
                            "journal_dev=8:1",
                            "logdev=/dev/sda",
                            "device=/dev/sda",
                            "X-mount.mkdir",
                            "noatime,nouuid",
                            "context=\"a,b\",bind",
                            "noatime,,bind",
                            "barrier=\"0\""}) {
    const absl::Status status = CheckMountFlags({"noatime", flags});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << flags;
  }
}

TEST(MountPolicy, CheckMountFlags_LawfulOnes_AreAllowed) {
  for (const char* flags :
       {"noatime", "ro", "rw", "discard", "errors=remount-ro", "data=ordered", "data=journal",
        "data_err=abort", "barrier=1", "commit=5", "context=\"a,bind,c\"", "nosuid,nodev,noexec",
        "allocsize=64k", "compress=zstd:3", "prjquota", "", ","}) {
    EXPECT_TRUE(CheckMountFlags({flags}).ok()) << flags << CheckMountFlags({flags});
  }
}

TEST(ParseCapabilities, ParseCapabilities_OneVolumeForAll_TakesTheNamedFilesystem) {
  EXPECT_EQ(ParseList({Mount(), Mount("xfs"), Mount()})->content, Content::kXfs);
  EXPECT_EQ(ParseList({Mount(), Mount()})->content, std::nullopt);
  EXPECT_EQ(ParseList({Block(), Block()})->content, Content::kBlock);
}

TEST(ParseCapabilities, ParseCapabilities_NoneOrNotOneVolume_IsInvalidArgument) {
  for (const auto& list : std::vector<std::vector<VolumeCapability>>{
           {}, {Mount(), Block()}, {Block(), Mount("ext4")}, {Mount("ext4"), Mount("xfs")}}) {
    EXPECT_EQ(ParseList(list).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(ParseCapacityRange, ParseCapacityRange_Negative_IsInvalidArgument) {
  csi::v1::CapacityRange range;
  EXPECT_EQ(ParseCapacityRange("capacity_range", range)->required_bytes, 0u);
  range.set_required_bytes(std::numeric_limits<int64_t>::max());
  EXPECT_EQ(ParseCapacityRange("capacity_range", range)->required_bytes,
            uint64_t{std::numeric_limits<int64_t>::max()});
  range.set_limit_bytes(-1);
  EXPECT_EQ(ParseCapacityRange("capacity_range", range).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ParsePage, ParsePage_TokenOfAnEarlierAnswer_GoesOnBehindItsLastId) {
  const std::string id =
      MakeId(ObjectKind::kVolume, "0f8fad5b-d9cb-469f-a165-70867728950e", "name");
  const auto page = ParsePage(2, MakePageToken(id), ObjectKind::kVolume);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->after, id);
  EXPECT_EQ(page->limit, 2u);
  EXPECT_EQ(ParsePage(0, MakePageToken(id), ObjectKind::kVolume)->limit, kMaxPageEntries);
  EXPECT_EQ(ParsePage(1 << 30, "", ObjectKind::kVolume)->limit, kMaxPageEntries);
}

TEST(ParsePage, ParsePage_ForeignToken_IsAborted) {
  const std::string id =
      MakeId(ObjectKind::kVolume, "0f8fad5b-d9cb-469f-a165-70867728950e", "name");
  for (const std::string& token :
       {std::string("invalid-token"), id, std::string("after:"), std::string("after:1")}) {
    EXPECT_EQ(ParsePage(0, token, ObjectKind::kVolume).status().code(), absl::StatusCode::kAborted);
  }
  EXPECT_EQ(ParsePage(0, MakePageToken(id), ObjectKind::kSnapshot).status().code(),
            absl::StatusCode::kAborted);
  EXPECT_EQ(ParsePage(-1, "", ObjectKind::kVolume).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ParseTopologyRequirement, RequisiteBinds_PreferredOrders) {
  const auto add = [](auto* list, const std::string& key, const std::string& value) {
    (*list->Add()->mutable_segments())[key] = value;
  };
  csi::v1::TopologyRequirement requirement;
  EXPECT_TRUE(ParseTopologyRequirement(requirement).Allows("n1"));
  add(requirement.mutable_preferred(), "csi.holdfast.dev/node", "n2");
  add(requirement.mutable_preferred(), "csi.holdfast.dev/node", "n1");
  NodeChoice choice = ParseTopologyRequirement(requirement);
  EXPECT_TRUE(choice.Allows("n3")) << "preferred does not bind";
  EXPECT_THAT(choice.preferred, testing::ElementsAre("n2", "n1"));
  add(requirement.mutable_requisite(), "csi.holdfast.dev/node", "n2");
  add(requirement.mutable_requisite(), "zone", "n1");
  choice = ParseTopologyRequirement(requirement);
  EXPECT_FALSE(choice.Allows("n1"));
  EXPECT_THAT(choice.preferred, testing::ElementsAre("n2"));
  add(requirement.mutable_requisite(), "csi.holdfast.dev/node", "n1");
  EXPECT_TRUE(ParseTopologyRequirement(requirement).Allows("n1"));
}

}  // namespace
}  // namespace holdfast
