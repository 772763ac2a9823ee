// What goes between controller and agents arrives as it was.
#include "agent/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/status_asserts.h"

namespace holdfast {
namespace {

// No field has the value that it would have anyway.
Volume FullVolume() {
  RootAttributes root;
  root.inode = 1;
  root.generation = 2;
  root.birth_time = {-3, 4};
  root.change_time = {5, 6};
  root.mode = 07700;
  root.owner = 8;
  root.group = 9;
  root.access_acl = "user::rwx";
  root.default_acl = "group::r-x";
  Volume volume;
  volume.id = "vol-x";
  volume.name = "n\xc3\xa4me";
  volume.incarnation = "i";
  volume.state = ObjectState::kDeleting;
  volume.content = Content::kBtrfs;
  volume.capacity_bytes = UINT64_MAX;
  volume.growing_to_bytes = 10;
  volume.filesystem_bytes = 11;
  volume.filesystem_uuid = "u";
  volume.formatted = true;
  volume.shares_blocks = true;
  volume.parameters = {.pool = "p",
                       .provisioning = Provisioning::kThin,
                       .reserve_percent = 12,
                       .accepts_lost_writes = true,
                       .root_mode = 0,
                       .root_owner = Owner{13, 14}};
  volume.labels = {{"csi.storage.k8s.io/pvc/name", "data"}};
  volume.source = {Source::Kind::kVolume, std::string("\xff\0x", 3)};
  volume.created_unix_nanos = -15;
  volume.image_inode = 16;
  volume.image_generation = 17;
  volume.stage.last_end = LastEnd::kClean;
  volume.stage.boot_id = "b";
  volume.stage.driver_version = "d";
  volume.stage.root = root;
  volume.stage.published = true;
  root.inode = 18;
  volume.stage.verdict = Verdict{.sentence = "refused", .found = root};
  return volume;
}

Volume ThereAndBack(const Volume& volume) {
  agent::v1::Volume wire;
  EXPECT_TRUE(wire.ParseFromString(ToWire(volume).SerializeAsString()));
  const auto back = FromWire(wire);
  EXPECT_OK(back);
  return *back;
}

TEST(Wire, Volume_ArrivesWhole) {
  const Volume sent = FullVolume();
  const Volume back = ThereAndBack(sent);
  EXPECT_EQ(back.id, sent.id);
  EXPECT_EQ(back.name, sent.name);
  EXPECT_EQ(back.incarnation, sent.incarnation);
  EXPECT_EQ(back.state, sent.state);
  EXPECT_EQ(back.content, sent.content);
  EXPECT_EQ(back.capacity_bytes, sent.capacity_bytes);
  EXPECT_EQ(back.growing_to_bytes, sent.growing_to_bytes);
  EXPECT_EQ(back.filesystem_bytes, sent.filesystem_bytes);
  EXPECT_EQ(back.filesystem_uuid, sent.filesystem_uuid);
  EXPECT_EQ(back.formatted, sent.formatted);
  EXPECT_EQ(back.shares_blocks, sent.shares_blocks);
  EXPECT_EQ(back.parameters, sent.parameters);
  EXPECT_EQ(back.labels, sent.labels);
  EXPECT_EQ(back.source, sent.source);
  EXPECT_EQ(back.created_unix_nanos, sent.created_unix_nanos);
  EXPECT_EQ(back.image_inode, sent.image_inode);
  EXPECT_EQ(back.image_generation, sent.image_generation);
  EXPECT_EQ(back.stage.last_end, sent.stage.last_end);
  EXPECT_EQ(back.stage.boot_id, sent.stage.boot_id);
  EXPECT_EQ(back.stage.driver_version, sent.stage.driver_version);
  EXPECT_EQ(back.stage.root, sent.stage.root);
  EXPECT_EQ(back.stage.published, sent.stage.published);
  ASSERT_TRUE(back.stage.verdict.has_value());
  EXPECT_EQ(back.stage.verdict->sentence, sent.stage.verdict->sentence);
  EXPECT_EQ(back.stage.verdict->found, sent.stage.verdict->found);
}

TEST(Wire, WhatIsAbsent_StaysAbsent) {
  const Volume back = ThereAndBack(Volume());
  EXPECT_FALSE(back.parameters.root_mode.has_value());
  EXPECT_FALSE(back.parameters.root_owner.has_value());
  EXPECT_FALSE(back.stage.root.has_value());
  EXPECT_FALSE(back.stage.verdict.has_value());
  EXPECT_EQ(*FromWire(ToWire(std::optional<Content>())), std::nullopt);
}

TEST(Wire, EveryEnumerator_ArrivesAsItself) {
  for (const Content content : {Content::kBlock, Content::kExt4, Content::kXfs, Content::kBtrfs}) {
    EXPECT_EQ(*FromWire(ToWire(content)), content);
  }
  for (const ObjectState state :
       {ObjectState::kCreating, ObjectState::kReady, ObjectState::kDeleting}) {
    Volume volume;
    volume.state = state;
    EXPECT_EQ(ThereAndBack(volume).state, state);
  }
  for (const auto kind : {Source::Kind::kNone, Source::Kind::kSnapshot, Source::Kind::kVolume}) {
    Volume volume;
    volume.source.kind = kind;
    EXPECT_EQ(ThereAndBack(volume).source.kind, kind);
  }
  for (const LastEnd end : {LastEnd::kNeverStaged, LastEnd::kStaged, LastEnd::kClean}) {
    Volume volume;
    volume.stage.last_end = end;
    EXPECT_EQ(ThereAndBack(volume).stage.last_end, end);
  }
  for (const auto kind : {Consistency::kFrozen, Consistency::kOffline, Consistency::kCrash}) {
    Snapshot snapshot;
    snapshot.consistency = kind;
    EXPECT_EQ(FromWire(ToWire(snapshot))->consistency, kind);
  }
  for (const auto mark :
       {Watermark::kPlenty, Watermark::kLow, Watermark::kStop, Watermark::kLast}) {
    PoolStatus pool;
    pool.watermark = mark;
    EXPECT_EQ(FromWire(ToWire(pool))->watermark, mark);
  }
}

TEST(Wire, MessageThatLacksWhatEveryVersionSends_IsNoVolume) {
  EXPECT_CODE(FromWire(agent::v1::Volume()), kInternal);
  EXPECT_CODE(FromWire(agent::v1::Snapshot()), kInternal);
  EXPECT_CODE(FromWire(agent::v1::PoolStatus()), kInternal);
  EXPECT_CODE(FromWire(agent::v1::CreateVolumeRequest()), kInternal);
}

}  // namespace
}  // namespace holdfast
