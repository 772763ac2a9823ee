// What the controller does: volumes and snapshots come, grow and go.
#include "tests/crash/crash_world.h"

namespace holdfast {
namespace {

class CreateVolume : public Operation {
 public:
  absl::Status Call(CrashWorld& world) override {
    const auto made = world.Create(Request(world));
    if (made.ok()) made_ = *made;
    return made.status();
  }
  void Verify(CrashWorld& world) override {
    ASSERT_OK_AND_ASSIGN(const std::string shown, world.Show(made_));
    world.ExpectWritable(made_, shown);
    ASSERT_OK(world.PutAway(made_));
  }
  void Clean(CrashWorld& world) override { ASSERT_OK(world.Delete(made_)); }
  // Its row says ready, its image is in work/.
  std::string interruption(Content) const override { return "renameat2"; }
  KillWhen interrupted() const override { return KillWhen::kBefore; }

 protected:
  virtual Wanted Request(CrashWorld& world) { return {.name = "made", .content = world.content()}; }
  Claim made_;
};

class RestoreSnapshot : public CreateVolume {
 public:
  void SetUp(CrashWorld& world) override {
    world.MakeSource(/*shown=*/false);
    if (world.HasFailure()) return;
    ASSERT_OK_AND_ASSIGN(snapshot_, world.Snapshot(world.source, "cut"));
  }
  void Verify(CrashWorld& world) override { world.ExpectKnown(made_); }
  // tune2fs, xfs_db, btrfstune are started: the last of them still runs when recovery begins.
  std::string interruption(Content content) const override {
    return content == Content::kBlock ? "FICLONE" : "clone";
  }
  KillWhen interrupted() const override { return KillWhen::kAfter; }

 protected:
  Wanted Request(CrashWorld& world) override {
    return {.name = "made", .content = world.content(), .snapshot_id = snapshot_};
  }

 private:
  std::string snapshot_;
};

class CloneVolume : public CreateVolume {
 public:
  void SetUp(CrashWorld& world) override { world.MakeSource(/*shown=*/true); }
  void Prepare(CrashWorld& world) override { world.Dirty(world.target); }
  void Verify(CrashWorld& world) override {
    world.ExpectKnownAt(world.source, world.target);
    world.ExpectKnown(made_);
  }
  // Frozen, and a row that is creating.
  std::string interruption(Content content) const override {
    return content == Content::kBlock ? "FICLONE" : "FIFREEZE";
  }
  KillWhen interrupted() const override { return KillWhen::kAfter; }

 protected:
  Wanted Request(CrashWorld& world) override {
    return {.name = "made", .content = world.content(), .volume_id = world.source.id};
  }
};

class SnapshotPutAway : public Operation {
 public:
  void SetUp(CrashWorld& world) override { world.MakeSource(/*shown=*/false); }
  absl::Status Call(CrashWorld& world) override {
    const auto cut = world.Snapshot(world.source, "cut");
    if (cut.ok()) snapshot_ = *cut;
    return cut.status();
  }
  void Verify(CrashWorld& world) override {
    ASSERT_OK_AND_ASSIGN(
        const Claim restored,
        world.Create({.name = "restored", .content = world.content(), .snapshot_id = snapshot_}));
    world.ExpectKnown(restored);
    ASSERT_OK(world.Delete(restored));
  }
  void Clean(CrashWorld& world) override { ASSERT_OK(world.DeleteSnapshot(snapshot_)); }

 protected:
  std::string snapshot_;
};

class SnapshotMounted : public SnapshotPutAway {
 public:
  void SetUp(CrashWorld& world) override { world.MakeSource(/*shown=*/true); }
  void Prepare(CrashWorld& world) override { world.Dirty(world.target); }
  void Verify(CrashWorld& world) override {
    world.ExpectKnownAt(world.source, world.target);
    SnapshotPutAway::Verify(world);
  }
  std::string interruption(Content content) const override {
    return content == Content::kBlock ? "FICLONE" : "FIFREEZE";
  }
};

class ExpandVolume : public Operation {
 public:
  void SetUp(CrashWorld& world) override { world.MakeSource(/*shown=*/false); }
  void Prepare(CrashWorld& world) override { wanted_ = world.source.bytes + 8 * kMiB; }
  absl::Status Call(CrashWorld& world) override { return world.Expand(world.source, wanted_); }
  void Verify(CrashWorld& world) override {
    EXPECT_EQ(world.Row(world.source).capacity_bytes, wanted_);
    world.ExpectKnown(world.source);
  }
  // The file is longer than its row says.
  std::string interruption(Content) const override { return "fallocate"; }

 private:
  uint64_t wanted_ = 0;
};

class DeleteVolume : public Operation {
 public:
  void SetUp(CrashWorld& world) override { world.MakeSource(/*shown=*/false); }
  void Prepare(CrashWorld& world) override {
    ASSERT_OK_AND_ASSIGN(gone_, world.Create({.name = "gone", .content = world.content()}));
  }
  absl::Status Call(CrashWorld& world) override { return world.Delete(gone_); }
  void Verify(CrashWorld& world) override {
    const auto volumes = world.client().Call(csi::v1::ListVolumesRequest());
    ASSERT_OK(volumes);
    EXPECT_EQ(volumes->entries_size(), 1);
    world.ExpectKnown(world.source);
  }
  // In the trash already, and its row says deleting.
  std::string interruption(Content) const override { return "renameat2"; }

 private:
  Claim gone_;
};

class DeleteSnapshot : public Operation {
 public:
  void SetUp(CrashWorld& world) override { world.MakeSource(/*shown=*/false); }
  void Prepare(CrashWorld& world) override {
    ASSERT_OK_AND_ASSIGN(gone_, world.Snapshot(world.source, "gone"));
  }
  absl::Status Call(CrashWorld& world) override { return world.DeleteSnapshot(gone_); }
  void Verify(CrashWorld& world) override {
    const auto snapshots = world.client().Call(csi::v1::ListSnapshotsRequest());
    ASSERT_OK(snapshots);
    EXPECT_EQ(snapshots->entries_size(), 0);
    world.ExpectKnown(world.source);
  }

 private:
  std::string gone_;
};

// A create that does not fit unless what lies in the trash is purged.
class CreatePurgingTrash : public Operation {
 public:
  std::chrono::seconds trash_grace() const override { return std::chrono::hours(1); }
  void SetUp(CrashWorld& world) override {
    const auto capacity = world.client().Call(csi::v1::GetCapacityRequest());
    ASSERT_OK(capacity);
    bytes_ = static_cast<uint64_t>(capacity->available_capacity()) / kMiB * kMiB * 6 / 10;
  }
  void Prepare(CrashWorld& world) override {
    ASSERT_OK_AND_ASSIGN(const Claim old, world.Create(Request("old")));
    ASSERT_OK(world.Delete(old));
    ASSERT_EQ(world.TrashEntries(), 1u);
  }
  absl::Status Call(CrashWorld& world) override {
    const auto made = world.Create(Request("made"));
    if (made.ok()) made_ = *made;
    return made.status();
  }
  void Verify(CrashWorld& world) override { EXPECT_EQ(world.TrashEntries(), 0u); }
  void Clean(CrashWorld& world) override { ASSERT_OK(world.Delete(made_)); }

 private:
  Wanted Request(const std::string& name) const {
    return {.name = name, .content = Content::kBlock, .bytes = bytes_ / kBlockBytes * kBlockBytes};
  }
  uint64_t bytes_ = 0;
  Claim made_;
};

// The server's own thread, when the grace has passed.
class PurgeExpiredTrash : public Operation {
 public:
  std::chrono::seconds trash_grace() const override { return std::chrono::seconds(1); }
  size_t least_kills() const override { return 2; }  // each waits for the thread
  void Prepare(CrashWorld& world) override {
    ASSERT_OK_AND_ASSIGN(const Claim gone,
                         world.Create({.name = "gone", .content = world.content()}));
    ASSERT_OK(world.Delete(gone));
    ASSERT_EQ(world.TrashEntries(), 1u);
  }
  absl::Status Call(CrashWorld& world) override {
    if (world.PurgedOrKilled()) return absl::OkStatus();
    return absl::DeadlineExceededError("the trash is not purged");
  }
  void Verify(CrashWorld& world) override { EXPECT_EQ(world.TrashEntries(), 0u); }
};

}  // namespace

std::vector<OperationKind> ControllerOperations() {
  return {{"CreateVolume", MakeOperation<CreateVolume>},
          {"RestoreSnapshot", MakeOperation<RestoreSnapshot>},
          {"CloneVolume", MakeOperation<CloneVolume>},
          {"SnapshotPutAway", MakeOperation<SnapshotPutAway>},
          {"SnapshotMounted", MakeOperation<SnapshotMounted>},
          {"ExpandVolume", MakeOperation<ExpandVolume>},
          {"DeleteVolume", MakeOperation<DeleteVolume>},
          {"DeleteSnapshot", MakeOperation<DeleteSnapshot>},
          {"CreatePurgingTrash", MakeOperation<CreatePurgingTrash>},
          {"PurgeExpiredTrash", MakeOperation<PurgeExpiredTrash>}};
}

}  // namespace holdfast
