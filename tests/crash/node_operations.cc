// What the node does: a volume is shown, grows under its mount, and is put away.
#include <filesystem>

#include "tests/crash/crash_world.h"

namespace holdfast {
namespace {

// Each begins and ends with the source put away.
class NodeOperation : public Operation {
 public:
  void SetUp(CrashWorld& world) override { world.MakeSource(/*shown=*/false); }
};

class Stage : public NodeOperation {
 public:
  absl::Status Call(CrashWorld& world) override { return world.Stage(world.source); }
  void Verify(CrashWorld& world) override {
    ASSERT_OK_AND_ASSIGN(const std::string shown, world.Publish(world.source));
    world.ExpectKnownAt(world.source, shown);
    world.ExpectWritable(world.source, shown);
  }
  void Clean(CrashWorld& world) override { ASSERT_OK(world.PutAway(world.source)); }
};

// The pod is gone by the time the driver is back: kubelet takes away what may be there.
class StageGivenUp : public Stage {
 public:
  absl::Status Again(CrashWorld& world) override { return world.Unstage(world.source); }
  void Verify(CrashWorld& world) override { world.ExpectKnown(world.source); }
  void Clean(CrashWorld&) override {}
};

// The stage after an expansion grows the filesystem: by a program (ext4) or on a private mount.
class StageGrowing : public Stage {
 public:
  bool Fits(const Ground& ground) const override { return ground.content != Content::kBlock; }
  void Prepare(CrashWorld& world) override {
    ASSERT_OK(world.Expand(world.source, world.source.bytes + 16 * kMiB));
  }
  void Verify(CrashWorld& world) override {
    EXPECT_EQ(world.Row(world.source).filesystem_bytes, world.source.bytes);
    Stage::Verify(world);
  }
};

class Publish : public NodeOperation {
 public:
  void Prepare(CrashWorld& world) override { ASSERT_OK(world.Stage(world.source)); }
  absl::Status Call(CrashWorld& world) override { return world.Publish(world.source).status(); }
  void Verify(CrashWorld& world) override {
    const std::string shown = world.TargetPath(world.source);
    world.ExpectKnownAt(world.source, shown);
    world.ExpectWritable(world.source, shown);
  }
  void Clean(CrashWorld& world) override { ASSERT_OK(world.PutAway(world.source)); }
};

class PublishGivenUp : public Publish {
 public:
  absl::Status Again(CrashWorld& world) override { return world.Unpublish(world.source); }
  void Verify(CrashWorld& world) override {
    EXPECT_FALSE(std::filesystem::exists(world.TargetPath(world.source)));
    ASSERT_OK(world.Publish(world.source));
    Publish::Verify(world);
  }
};

class ExpandMounted : public Publish {
 public:
  bool Fits(const Ground& ground) const override {
    return ground.content != Content::kExt4;  // online growth of ext4 needs CAP_SYS_RESOURCE
  }
  void Prepare(CrashWorld& world) override {
    ASSERT_OK(world.Show(world.source));
    ASSERT_OK(world.Expand(world.source, world.source.bytes + 16 * kMiB));
  }
  absl::Status Call(CrashWorld& world) override {
    return world.ExpandOnNode(world.source, world.TargetPath(world.source));
  }
  uint32_t calls_of_repeat() const override { return 1; }  // LOOP_SET_CAPACITY to the same size
};

class Unpublish : public NodeOperation {
 public:
  void Prepare(CrashWorld& world) override { ASSERT_OK(world.Show(world.source)); }
  absl::Status Call(CrashWorld& world) override { return world.Unpublish(world.source); }
  void Verify(CrashWorld& world) override {
    EXPECT_FALSE(std::filesystem::exists(world.TargetPath(world.source)));
    ASSERT_OK(world.Publish(world.source));
    world.ExpectKnownAt(world.source, world.TargetPath(world.source));
  }
  void Clean(CrashWorld& world) override { ASSERT_OK(world.PutAway(world.source)); }
};

class Unstage : public NodeOperation {
 public:
  void Prepare(CrashWorld& world) override { ASSERT_OK(world.Stage(world.source)); }
  absl::Status Call(CrashWorld& world) override { return world.Unstage(world.source); }
  void Verify(CrashWorld& world) override {
    EXPECT_EQ(world.Row(world.source).stage.last_end, LastEnd::kClean);
    world.ExpectKnown(world.source);
  }
};

}  // namespace

std::vector<OperationKind> NodeOperations() {
  return {{"Stage", MakeOperation<Stage>},
          {"StageGivenUp", MakeOperation<StageGivenUp>},
          {"StageGrowing", MakeOperation<StageGrowing>},
          {"Publish", MakeOperation<Publish>},
          {"PublishGivenUp", MakeOperation<PublishGivenUp>},
          {"ExpandMounted", MakeOperation<ExpandMounted>},
          {"Unpublish", MakeOperation<Unpublish>},
          {"Unstage", MakeOperation<Unstage>}};
}

}  // namespace holdfast
