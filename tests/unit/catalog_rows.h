// Rows for the catalog's tests: every field set to something that is not its default.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "catalog/catalog.h"

namespace holdfast {

using Strings = std::vector<std::string>;

// A folder of its own in memory (an fsync costs nothing there), removed at scope end.
class TestFolder {
 public:
  TestFolder() {
    char name[] = "/dev/shm/holdfast-catalog-XXXXXX";
    if (mkdtemp(name) == nullptr) std::abort();
    path_ = name;
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  std::string catalog() const { return path_ + "/catalog.db"; }

 private:
  std::string path_;
};

inline PoolIdentity TestIdentity() {
  return {.uuid = "01234567-89ab-4def-8123-456789abcdef",
          .name = "it's a pool",
          .created_unix_nanos = 1234567890123456789};
}

inline RootAttributes FullRoot() {
  return {.inode = UINT64_MAX,
          .generation = UINT32_MAX,
          .birth_time = {.seconds = -1, .nanoseconds = 999999999},
          .change_time = {.seconds = INT64_MAX, .nanoseconds = 1},
          .mode = 07777,
          .owner = UINT32_MAX,
          .group = 5,
          .access_acl = "user::rwx,user:1000:r--",
          .default_acl = "group::r-x"};
}

inline Volume FullVolume(const std::string& id) {
  Volume volume;
  volume.id = id;
  volume.name = "name of " + id;
  volume.incarnation = "incarnation of " + id;
  volume.state = ObjectState::kReady;
  volume.content = Content::kXfs;
  volume.capacity_bytes = uint64_t{1} << 44;
  volume.filesystem_bytes = 4096;
  volume.filesystem_uuid = "fs uuid";
  volume.formatted = true;
  volume.shares_blocks = true;
  volume.parameters = {.pool = "fast",
                       .provisioning = Provisioning::kThin,
                       .reserve_percent = 50,
                       .accepts_lost_writes = true,
                       .root_mode = 0,
                       .root_owner = Owner{.uid = UINT32_MAX - 1, .gid = 7}};
  volume.labels = {{"csi.storage.k8s.io/pvc/name", "data"}, {"b", ""}};
  volume.source = {.kind = Source::Kind::kSnapshot, .id = "snap-x"};
  volume.created_unix_nanos = INT64_MAX;
  volume.image_inode = UINT64_MAX;
  volume.image_generation = UINT32_MAX;
  volume.stage = {.last_end = LastEnd::kStaged,
                  .boot_id = "boot",
                  .driver_version = "0.1.0",
                  .root = FullRoot(),
                  .terms = StageTerms{.access_mode = "SINGLE_NODE_WRITER",
                                      .read_only = true,
                                      .mount_flags = "noatime\ncontext=\"a,b\""},
                  .staging_digest = "0123456789abcdef0123456789abcdef",
                  .disk_sequence = UINT64_MAX,
                  .published = true,
                  .verdict = Verdict{.sentence = "root mode: expected 0700", .found = FullRoot()}};
  return volume;
}

inline Snapshot FullSnapshot(const std::string& id, const std::string& volume_id) {
  Snapshot snapshot;
  snapshot.id = id;
  snapshot.name = "name of " + id;
  snapshot.incarnation = "incarnation of " + id;
  snapshot.state = ObjectState::kReady;
  snapshot.volume_id = volume_id;
  snapshot.volume_incarnation = "incarnation of " + volume_id;
  snapshot.content = Content::kBtrfs;
  snapshot.size_bytes = uint64_t{1} << 44;
  snapshot.filesystem_bytes = 8192;
  snapshot.filesystem_uuid = "fs uuid";
  snapshot.provisioning = Provisioning::kThin;
  snapshot.consistency = Consistency::kFrozen;
  snapshot.extents = 12345;
  snapshot.created_unix_nanos = 77;
  snapshot.root = FullRoot();
  snapshot.root_may_differ = true;
  return snapshot;
}

inline void ExpectSame(const Volume& a, const Volume& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.incarnation, b.incarnation);
  EXPECT_EQ(a.state, b.state);
  EXPECT_EQ(a.content, b.content);
  EXPECT_EQ(a.capacity_bytes, b.capacity_bytes);
  EXPECT_EQ(a.filesystem_bytes, b.filesystem_bytes);
  EXPECT_EQ(a.filesystem_uuid, b.filesystem_uuid);
  EXPECT_EQ(a.formatted, b.formatted);
  EXPECT_EQ(a.shares_blocks, b.shares_blocks);
  EXPECT_EQ(a.parameters, b.parameters);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.source, b.source);
  EXPECT_EQ(a.created_unix_nanos, b.created_unix_nanos);
  EXPECT_EQ(a.image_inode, b.image_inode);
  EXPECT_EQ(a.image_generation, b.image_generation);
  EXPECT_EQ(a.stage.last_end, b.stage.last_end);
  EXPECT_EQ(a.stage.boot_id, b.stage.boot_id);
  EXPECT_EQ(a.stage.driver_version, b.stage.driver_version);
  EXPECT_EQ(a.stage.root, b.stage.root);
  EXPECT_EQ(a.stage.terms, b.stage.terms);
  EXPECT_EQ(a.stage.staging_digest, b.stage.staging_digest);
  EXPECT_EQ(a.stage.disk_sequence, b.stage.disk_sequence);
  EXPECT_EQ(a.stage.published, b.stage.published);
  ASSERT_EQ(a.stage.verdict.has_value(), b.stage.verdict.has_value());
  if (!a.stage.verdict.has_value()) return;
  EXPECT_EQ(a.stage.verdict->sentence, b.stage.verdict->sentence);
  EXPECT_EQ(a.stage.verdict->found, b.stage.verdict->found);
}

inline void ExpectSame(const Snapshot& a, const Snapshot& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.incarnation, b.incarnation);
  EXPECT_EQ(a.state, b.state);
  EXPECT_EQ(a.volume_id, b.volume_id);
  EXPECT_EQ(a.volume_incarnation, b.volume_incarnation);
  EXPECT_EQ(a.content, b.content);
  EXPECT_EQ(a.size_bytes, b.size_bytes);
  EXPECT_EQ(a.filesystem_bytes, b.filesystem_bytes);
  EXPECT_EQ(a.filesystem_uuid, b.filesystem_uuid);
  EXPECT_EQ(a.provisioning, b.provisioning);
  EXPECT_EQ(a.consistency, b.consistency);
  EXPECT_EQ(a.extents, b.extents);
  EXPECT_EQ(a.created_unix_nanos, b.created_unix_nanos);
  EXPECT_EQ(a.root, b.root);
  EXPECT_EQ(a.root_may_differ, b.root_may_differ);
}

inline TrashEntry EntryOf(const Volume& volume) {
  return {volume.incarnation, ObjectKind::kVolume,   volume.id,
          volume.name,        volume.capacity_bytes, 1};
}

template <typename Row>
Strings Ids(const std::vector<Row>& rows) {
  Strings ids;
  for (const Row& row : rows) ids.push_back(row.id);
  return ids;
}

}  // namespace holdfast
