// Calls that meet each other: what the load suite found, made likely.
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "os/unique_fd.h"
#include "tests/integration/integration_test.h"

namespace holdfast {
namespace {

class ConcurrencyTest : public IntegrationTest {
 protected:
  // Runs `meanwhile` again and again, with a client of its own, beside `body`.
  template <typename Meanwhile, typename Body>
  void Beside(const Meanwhile& meanwhile, const Body& body) {
    std::atomic<bool> done = false;
    std::thread thread([&] {
      CsiClient client(driver().socket());
      while (!done) meanwhile(client);
    });
    body();
    done = true;
    thread.join();
  }
};

// Stats take no lock and look at the mount: umount was told that it is busy, and they themselves
// that the mount they had seen was none.
TEST_F(ConcurrencyTest, Unpublish_BesideStats_IsNotRefused) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "asked"}));
  ASSERT_OK(Stage(claim));
  csi::v1::NodeGetVolumeStatsRequest stats;
  stats.set_volume_id(claim.id);
  stats.set_volume_path(TargetPath(claim));
  std::atomic<int> answered = 0;
  const auto ask = [&](CsiClient& client) {
    const absl::Status status = client.Call(stats).status();
    answered += status.ok() ? 1 : 0;
    EXPECT_TRUE(status.ok() || absl::IsNotFound(status)) << status;
  };
  Beside(ask, [&] {
    for (int i = 0; i < 60; ++i) {
      ASSERT_OK(Publish(claim));
      ASSERT_OK(Unpublish(claim));
    }
  });
  EXPECT_GT(answered, 0);
}

// mkfs.btrfs of another volume opens every device, for a moment: a staged raw block volume that
// kubelet forgot was said to be in use.
TEST_F(ConcurrencyTest, DeleteOfAForgottenRawBlockVolume_BesideLooksAtItsDevice_IsNotRefused) {
  for (int i = 0; i < 10; ++i) {
    ASSERT_OK_AND_ASSIGN(const Claim claim,
                         Create({.name = "forgotten", .content = Content::kBlock}));
    ASSERT_OK(Stage(claim));
    const std::string device = LoopsOfImage(claim).at(0);
    const auto look = [&](CsiClient&) {
      UniqueFd opened(open(device.c_str(), O_RDONLY | O_CLOEXEC));
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
      opened.Close();
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    };
    Beside(look, [&] { EXPECT_OK(Delete(claim)); });
  }
}

// A restore takes no lock on its snapshot: deleted in between, it was said to be lost.
TEST_F(ConcurrencyTest, Restore_BesideItsSnapshotsDeletion_IsMadeOrFindsNone) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "s", .content = Content::kBlock}));
  int round = 0;
  std::atomic<int> asked = 0;
  csi::v1::DeleteSnapshotRequest remove;
  for (; round < 40; ++round) {
    ASSERT_OK_AND_ASSIGN(const std::string id, Snapshot(claim, "cut-" + std::to_string(round)));
    remove.set_snapshot_id(id);
    const auto removed = [&](CsiClient& client) {
      EXPECT_OK(client.Call(remove));
      ++asked;
    };
    Beside(removed, [&] {
      const auto made = Create({.name = "copy", .content = Content::kBlock, .snapshot_id = id});
      EXPECT_TRUE(made.ok() || absl::IsNotFound(made.status())) << made.status();
      if (made.ok()) {
        EXPECT_OK(Delete(*made));
      }
    });
    ASSERT_OK(DeleteSnapshot(id));
  }
  EXPECT_GE(asked, round / 2);
}

// btrfs-progs look through the mount table first, and gave up when a loop device in it was detached
// while they looked. A mount whose source is a loop device without a file is what they saw.
TEST_F(ConcurrencyTest, CreateOfABtrfsVolume_BesideAnUnmountThatDetaches_IsMade) {
  const UniqueFd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
  ASSERT_GE(number, 0);
  const std::string place = folder() + "/unmounted";
  std::filesystem::create_directory(place);
  const std::string device = "/dev/loop" + std::to_string(number);
  ASSERT_EQ(mount(device.c_str(), place.c_str(), "tmpfs", 0, nullptr), 0);
  std::thread unmount([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    EXPECT_EQ(umount2(place.c_str(), 0), 0);
  });
  const auto claim = Create({.name = "beside", .content = Content::kBtrfs});
  unmount.join();
  EXPECT_OK(claim);
}

}  // namespace
}  // namespace holdfast
