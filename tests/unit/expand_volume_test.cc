// Expansions that fail half-way: whatever is behind the row's end of an image is nobody's.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/sizes.h"
#include "tests/fakes/status_asserts.h"
#include "tests/rig/rig.h"

namespace holdfast {
namespace {

constexpr uint64_t kBefore = 64 * kMiB, kAfter = 128 * kMiB;

// The file at the image's path, whoever put it there.
uint64_t ImageBytes(Rig& rig, const std::string& path) {
  const std::filesystem::path image(path);
  const UniqueFd folder = rig.machine.OpenFolder(image.parent_path()).value();
  const auto file = rig.machine.OpenFile(folder, image.filename(), Access::kReadOnly).value();
  return rig.machine.Describe(*file)->size_bytes;
}

// A device longer than its row would be cut short under the workload by the next start.
TEST(ExpandVolume, WhoseRowCannotBeWritten_GivesTheNodeNothingToGrowInto) {
  for (int64_t n = 0;; ++n) {
    SCOPED_TRACE(n);
    Rig rig;
    const std::string id = rig.MustCreate("a", "block");
    ASSERT_TRUE(rig.Stage(id, "block").ok());
    ASSERT_TRUE(rig.Publish(id, "pod", "block").ok());
    rig.catalog_plan.FailNth(n, FaultPlan::Counts::kAllCalls,
                             absl::UnavailableError("database is locked"), /*persistent=*/true);
    const bool expanded = rig.Expand(id, kAfter).ok();
    rig.catalog_plan.Clear();
    if (expanded) {
      ASSERT_GT(n, 0);
      break;
    }
    const bool node_expanded = rig.NodeExpand(id).ok();
    const uint64_t shown = rig.machine.OpenLoops().front().size_bytes;
    EXPECT_EQ(shown, kBefore);
    EXPECT_EQ(rig.Row(id).capacity_bytes, kBefore);
    rig.Restart();
    EXPECT_EQ(ImageBytes(rig, rig.ImagePath(id)), kBefore);
    EXPECT_TRUE(node_expanded || rig.NodeExpand(id).ok()) << "and nothing stands in its way now";
    EXPECT_TRUE(rig.Expand(id, kAfter).ok());
    EXPECT_TRUE(rig.NodeExpand(id).ok());
    EXPECT_EQ(rig.machine.OpenLoops().front().size_bytes, kAfter);
  }
}

TEST(ExpandVolume, StartWithAnotherFileInAnImagesPlace_LeavesThatFileAlone) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  const std::filesystem::path image(rig.ImagePath(id));
  {
    const UniqueFd folder = rig.machine.OpenFolder(image.parent_path()).value();
    ASSERT_TRUE(rig.machine.Remove(folder, image.filename()).value());
    const UniqueFd other = rig.machine.CreateFile(folder, image.filename()).value();
    ASSERT_OK(rig.machine.Resize(other, kAfter));
  }
  EXPECT_FALSE(rig.Stage(id).ok());
  rig.Restart();
  EXPECT_EQ(ImageBytes(rig, image), kAfter);
}

// An older catalog.db was put back, or somebody grew the image by hand: what is behind the row's
// end is data.
TEST(ExpandVolume, ImageThatIsLongerThanItsRow_IsNeverMadeShorter_AndCanBeTakenAsItIs) {
  Rig rig;
  const std::string id = rig.MustCreate("a", "block");
  const std::filesystem::path image(rig.ImagePath(id));
  {
    const UniqueFd folder = rig.machine.OpenFolder(image.parent_path()).value();
    const auto file = rig.machine.OpenFile(folder, image.filename(), Access::kReadWrite).value();
    ASSERT_OK(rig.machine.Resize(*file, kAfter));
    ASSERT_OK(rig.machine.Write(*file, kAfter - 4, "kept"));
  }
  const auto expect_untouched = [&] {
    EXPECT_EQ(ImageBytes(rig, image), kAfter);
    EXPECT_EQ(rig.Row(id).capacity_bytes, kBefore);
  };
  ExpectRefused(rig.Stage(id, "block"), grpc::StatusCode::FAILED_PRECONDITION,
                "expand the volume to at least the image's size");
  rig.Restart();
  expect_untouched();
  // Less than it is, and more than the pool has.
  ExpectRefused(rig.Expand(id, kAfter - 32 * kMiB), grpc::StatusCode::FAILED_PRECONDITION,
                "expand the volume to at least the image's size");
  EXPECT_EQ(rig.Expand(id, 1024 * kGiB).error_code(), grpc::StatusCode::OUT_OF_RANGE);
  expect_untouched();
  // However far it comes.
  for (int64_t n = 0;; ++n) {
    rig.catalog_plan.FailNth(n, FaultPlan::Counts::kAllCalls,
                             absl::UnavailableError("database is locked"), /*persistent=*/true);
    const bool expanded = rig.Expand(id, kAfter).ok();
    rig.catalog_plan.Clear();
    if (expanded) break;
    rig.Restart();
    expect_untouched();
  }
  EXPECT_TRUE(rig.Stage(id, "block").ok());
  const UniqueFd folder = rig.machine.OpenFolder(image.parent_path()).value();
  const auto file = rig.machine.OpenFile(folder, image.filename(), Access::kReadOnly).value();
  EXPECT_EQ(rig.machine.Read(*file, kAfter - 4, 4).value(), "kept");
}

// Killed between the growth of the file and its row.
TEST(ExpandVolume, InterruptedOne_IsUndoneByTheNextStart) {
  Rig rig;
  const std::string id = rig.MustCreate("a", "block");
  const std::filesystem::path image(rig.ImagePath(id));
  {
    Volume row = rig.Row(id);
    row.growing_to_bytes = kAfter;
    ASSERT_OK(rig.engine->pools().front()->catalog->UpdateVolume(row));
    const UniqueFd folder = rig.machine.OpenFolder(image.parent_path()).value();
    const auto file = rig.machine.OpenFile(folder, image.filename(), Access::kReadWrite).value();
    ASSERT_OK(rig.machine.Resize(*file, kAfter));
  }
  rig.Restart();
  EXPECT_EQ(ImageBytes(rig, image), kBefore);
  EXPECT_EQ(rig.Row(id).growing_to_bytes, 0u);
  EXPECT_TRUE(rig.Stage(id, "block").ok());
}

// A copy of catalog.db that was taken in the midst of an expansion, put back when that had ended.
TEST(ExpandVolume, WithAnIntentThatIsStale_DataBehindTheRowsEndIsNotCutOff) {
  Rig rig;
  const std::string id = rig.MustCreate("a", "block");
  const std::filesystem::path image(rig.ImagePath(id));
  const UniqueFd folder = rig.machine.OpenFolder(image.parent_path()).value();
  {
    Volume row = rig.Row(id);
    row.growing_to_bytes = kAfter;
    ASSERT_OK(rig.engine->pools().front()->catalog->UpdateVolume(row));
    const auto file = rig.machine.OpenFile(folder, image.filename(), Access::kReadWrite).value();
    ASSERT_OK(rig.machine.Resize(*file, kAfter));
    ASSERT_OK(rig.machine.Write(*file, kAfter - 4, "kept"));
  }
  rig.Restart();
  EXPECT_EQ(ImageBytes(rig, image), kAfter);
  ExpectRefused(rig.Stage(id, "block"), grpc::StatusCode::FAILED_PRECONDITION,
                "expand the volume to at least the image's size");
  EXPECT_TRUE(rig.Expand(id, kAfter).ok());
  EXPECT_TRUE(rig.Stage(id, "block").ok());
  const auto file = rig.machine.OpenFile(folder, image.filename(), Access::kReadOnly).value();
  EXPECT_EQ(rig.machine.Read(*file, kAfter - 4, 4).value(), "kept");
}

// It has its space already: none is asked for a second time.
TEST(ExpandVolume, OfAnImageThatIsLonger_NeedsOnlyTheSpaceThatItHasNot) {
  Rig rig;
  const std::string id = rig.MustCreate("a", "block");
  const std::filesystem::path image(rig.ImagePath(id));
  const UniqueFd folder = rig.machine.OpenFolder(image.parent_path()).value();
  const auto file = rig.machine.OpenFile(folder, image.filename(), Access::kReadWrite).value();
  const uint64_t free = rig.machine.DescribeFilesystem(folder)->free_bytes;
  const uint64_t longer = free / 10 * 7 / kMiB * kMiB;
  ASSERT_GT(longer, kBefore);
  ASSERT_OK(rig.machine.Resize(*file, longer));
  ASSERT_OK(rig.machine.Preallocate(*file, 0, longer));
  EXPECT_EQ(rig.Expand(id, longer * 2).error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(ImageBytes(rig, image), longer) << "as long as it was before";
  EXPECT_TRUE(rig.Expand(id, longer).ok());
  EXPECT_EQ(rig.Row(id).capacity_bytes, longer);
}

TEST(ExpandVolume, OfAVolumeWhoseRootWasChanged_IsRefusedBeforeItsFilesystemGrows) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Expand(id, kAfter).ok());
  rig.machine.EditRootOffline(rig.ImagePath(id), [](RootAttributes& root) { root.mode = 02777; });
  EXPECT_FALSE(rig.Stage(id).ok());
  EXPECT_EQ(rig.Row(id).filesystem_bytes, kBefore);
}

// Thin volumes allocate nothing when they grow: only their rows tell the next one what is owed.
TEST(ExpandVolume, OfManyThinVolumesAtOnce_NeverOversubscribes) {
  Rig rig({.pool_bytes = 4 * kGiB});
  std::vector<std::string> ids;
  for (const char* name : {"a", "b", "c", "d"}) {
    csi::v1::CreateVolumeRequest request = rig.CreateRequest(name, "block");
    (*request.mutable_parameters())["provisioning"] = "thin";
    csi::v1::Volume volume;
    ASSERT_TRUE(rig.Create(request, &volume).ok());
    ids.push_back(volume.volume_id());
  }
  std::atomic<int> grown = 0;
  {
    std::vector<std::jthread> clients;
    for (const std::string& id : ids) {
      clients.emplace_back(
          [&rig, &grown, id] { grown += rig.Expand(id, 3 * kGiB / 2).ok() ? 1 : 0; });
    }
  }
  EXPECT_GT(grown, 0);
  const PoolSpace space = rig.engine->Pools().front().space;
  EXPECT_GE(space.free_bytes, space.owed_bytes + space.floor_bytes);
}

}  // namespace
}  // namespace holdfast
