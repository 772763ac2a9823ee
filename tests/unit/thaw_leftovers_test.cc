// A start thaws what a process that was killed in a cut left frozen: writers hang until it does.
#include <gtest/gtest.h>

#include "tests/fakes/status_asserts.h"
#include "tests/rig/rig.h"

namespace holdfast {
namespace {

// As a kill between FIFREEZE and FITHAW leaves it.
void LeaveFrozen(Rig& rig, const std::string& target) {
  const auto mount = rig.machine.MountedAt(target).value();
  ASSERT_OK(rig.machine.RecordFreeze(mount->device));
  const UniqueFd root = rig.machine.OpenMount(target).value();
  ASSERT_OK(rig.machine.Freeze(root));
  ASSERT_EQ(rig.machine.FrozenCount(), 1u);
}

TEST(ThawLeftovers, AtAStart_ThawsAndForgets) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  LeaveFrozen(rig, rig.StagingPath(id));
  rig.Restart();
  EXPECT_EQ(rig.machine.FrozenCount(), 0u);
  EXPECT_TRUE(rig.machine.RecordedFreezes()->empty());
}

TEST(ThawLeftovers, OfAMountThatIsGone_ThawsItWhereItIsPublished) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  ASSERT_TRUE(rig.Publish(id).ok());
  LeaveFrozen(rig, rig.StagingPath(id));
  ASSERT_OK(rig.machine.Unmount(rig.StagingPath(id)));
  rig.Restart();
  EXPECT_EQ(rig.machine.FrozenCount(), 0u);
  EXPECT_TRUE(rig.machine.RecordedFreezes()->empty());
}

}  // namespace
}  // namespace holdfast
