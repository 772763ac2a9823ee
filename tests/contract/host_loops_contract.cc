// os/loops.h
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <thread>

#include "base/uuid.h"
#include "os/loop_device.h"
#include "tests/contract/host_contract.h"

namespace holdfast {
namespace {

TEST_P(HostContract, Attach_GivesALoopThatIsFoundByItsImage) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", 8 * kMiB));
  ASSERT_OK_AND_ASSIGN(const FileFacts facts, host().Describe(image));
  ASSERT_OK_AND_ASSIGN(const AttachedLoop attached, host().Attach(image, {}));
  ASSERT_OK_AND_ASSIGN(const auto found, host().Attachments(facts));
  ASSERT_EQ(found.size(), 1u);
  for (const Loop& loop : {attached.loop, found[0]}) {
    EXPECT_EQ(loop.path, "/dev/loop" + std::to_string(loop.number));
    EXPECT_EQ(loop.backing_device, facts.device);
    EXPECT_EQ(loop.backing_inode, facts.inode);
    EXPECT_EQ(loop.size_bytes, 8 * kMiB);
    EXPECT_TRUE(loop.direct_io);
    EXPECT_TRUE(loop.autoclear);
    EXPECT_FALSE(loop.read_only);
  }
  EXPECT_EQ(found[0].device, attached.loop.device);
}

TEST_P(HostContract, Attach_ReadOnly_FromAReadOnlyDescriptor) {
  ASSERT_OK(NewFile("image", kMiB));
  ASSERT_OK_AND_ASSIGN(const auto image, host().OpenFile(folder(), "image", Access::kReadOnly));
  ASSERT_OK_AND_ASSIGN(const AttachedLoop attached,
                       host().Attach(*image, {.access = Access::kReadOnly}));
  EXPECT_TRUE(attached.loop.read_only);
  ASSERT_OK_AND_ASSIGN(const auto writer, host().OtherWriter(*image));
  EXPECT_FALSE(writer.has_value()) << *writer;
}

TEST_P(HostContract, Attach_ClosedDescriptor_DetachesByItself) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", kMiB));
  ASSERT_OK_AND_ASSIGN(AttachedLoop attached, host().Attach(image, {}));
  attached.fd.Close();
  EXPECT_TRUE(IsDetachedSoon(image));
}

TEST_P(HostContract, Attach_OfOneImageTwice_IsSeenTwice) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", kMiB));
  ASSERT_OK_AND_ASSIGN(const AttachedLoop first, host().Attach(image, {}));
  ASSERT_OK_AND_ASSIGN(const AttachedLoop second, host().Attach(image, {}));
  EXPECT_NE(first.loop.number, second.loop.number);
  ASSERT_OK_AND_ASSIGN(const size_t count, CountAttachments(image));
  EXPECT_EQ(count, 2u);
}

TEST_P(HostContract, PinLoop_LivesOnUntilDetach) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", kMiB));
  ASSERT_OK_AND_ASSIGN(const FileFacts facts, host().Describe(image));
  ASSERT_OK_AND_ASSIGN(AttachedLoop attached, host().Attach(image, {}));
  ASSERT_OK(host().PinLoop(attached.loop));
  attached.fd.Close();
  ASSERT_OK_AND_ASSIGN(const auto found, host().Attachments(facts));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_FALSE(found[0].autoclear);
  ASSERT_OK_AND_ASSIGN(const bool attached_still, host().IsAttached(attached.loop));
  EXPECT_TRUE(attached_still);
  EXPECT_OK(host().SyncLoop(attached.loop));
  ASSERT_OK(host().Detach(attached.loop));
  ASSERT_OK_AND_ASSIGN(const size_t count, CountAttachments(image));
  EXPECT_EQ(count, 0u);
  ASSERT_OK_AND_ASSIGN(const bool still, host().IsAttached(attached.loop));
  EXPECT_FALSE(still);
  EXPECT_OK(host().Detach(attached.loop)) << "gone is gone";
}

TEST_P(HostContract, AllLoops_TellsEachWithThePathOfItsImage) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd first, NewFile("first", kMiB));
  ASSERT_OK_AND_ASSIGN(const UniqueFd second, NewFile("second", kMiB));
  ASSERT_OK_AND_ASSIGN(const AttachedLoop one, host().Attach(first, {}));
  ASSERT_OK_AND_ASSIGN(const AttachedLoop two, host().Attach(second, {}));
  ASSERT_OK(host().Remove(folder(), "second"));
  ASSERT_OK_AND_ASSIGN(const auto all, host().AllLoops());
  size_t found = 0;
  for (const Loop& loop : all) {
    if (loop.number == one.loop.number) {
      ++found;
      EXPECT_EQ(loop.backing_path, folder_path() + "/first");
      EXPECT_EQ(loop.backing_inode, one.loop.backing_inode);
    }
    if (loop.number == two.loop.number) {
      ++found;
      EXPECT_TRUE(loop.backing_path.ends_with(" (deleted)")) << loop.backing_path;
    }
  }
  EXPECT_EQ(found, 2u);
}

// Nor a child of ours that did not execute its program yet.
TEST_P(KernelContract, HoldersOf_ADeviceThatWeLookAt_AreNotOurselves) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", kMiB));
  ASSERT_OK_AND_ASSIGN(const AttachedLoop attached, host().Attach(image, {}));
  ASSERT_OK_AND_ASSIGN(const auto ours, host().HoldersOf(attached.loop));
  EXPECT_EQ(ours, std::vector<std::string>());
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  ASSERT_GT(child, 0);
  const auto with_child = host().HoldersOf(attached.loop);
  kill(child, SIGKILL);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  ASSERT_OK(with_child);
  EXPECT_EQ(*with_child, std::vector<std::string>());
}

TEST_P(KernelContract, DirtyBytes_AreWhatAFlushWrites) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewImage("image", Content::kExt4, NewUuid()));
  ASSERT_OK_AND_ASSIGN(const DetachedMount mounted, Mount(image, Content::kExt4));
  const UniqueFd file(openat(mounted.root.get(), "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const std::string data(8 * kMiB, 'd');
  ASSERT_EQ(write(file.get(), data.data(), data.size()), static_cast<ssize_t>(data.size()));
  ASSERT_OK_AND_ASSIGN(const uint64_t dirty, host().DirtyBytes({mounted.loop.loop}));
  ASSERT_OK_AND_ASSIGN(const uint64_t machine, host().MachineDirtyBytes());
  // The kernel adds up what its processors counted, not to the last page.
  EXPECT_GT(dirty, data.size() - kMiB);
  EXPECT_GT(machine, data.size() / 2) << "in KiB, or of something else";
  ASSERT_OK(host().SyncMounted(mounted.root));
  ASSERT_OK_AND_ASSIGN(const uint64_t flushed, host().DirtyBytes({mounted.loop.loop}));
  EXPECT_LT(flushed, kMiB);
}

// The kernel's part of Attachments. All of /proc/partitions instead of its first page fails this
// about once in three removals.
TEST_P(KernelContract, BackedLoops_WhileOlderDevicesGo_PassesOverNone) {
  constexpr int kOld = 60;
  constexpr int kKept = 150;  // more than the kernel tells in one page
  std::vector<Loop> old;
  for (int i = 0; i < kOld; ++i) {
    ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("old-" + std::to_string(i), kMiB));
    ASSERT_OK_AND_ASSIGN(const AttachedLoop attached, host().Attach(image, {}));
    ASSERT_OK(host().PinLoop(attached.loop));
    old.push_back(attached.loop);
  }
  std::vector<AttachedLoop> kept(kKept);
  for (int i = 0; i < kKept; ++i) {
    ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("kept-" + std::to_string(i), kMiB));
    ASSERT_OK_AND_ASSIGN(kept[i], host().Attach(image, {}));
  }
  std::atomic<bool> done = false;
  std::thread remover([&] {
    for (const Loop& loop : old) EXPECT_OK(host().Detach(loop));
    done = true;
  });
  size_t looks = 0, missed = 0;
  while (!done) {
    ++looks;
    const auto numbers = BackedLoops();
    const auto found = [&](const AttachedLoop& one) {
      return numbers.ok() && std::binary_search(numbers->begin(), numbers->end(), one.loop.number);
    };
    if (!std::all_of(kept.begin(), kept.end(), found)) ++missed;
  }
  remover.join();
  EXPECT_GT(looks, static_cast<size_t>(kOld));
  EXPECT_EQ(missed, 0u) << "of " << looks;
}

// A number that carries "no discards" of its last life is given back by Attach, and a bystander who
// has it open then must not leave the image attached twice.
TEST_P(HostContract, Attach_WhileABystanderOpensDevices_LeavesNoSecondAttachment) {
  const std::jthread bystander([](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      for (int number = 0; number < 16; ++number) {
        const UniqueFd device(open(LoopPath(number).c_str(), O_RDONLY | O_CLOEXEC));
        std::this_thread::sleep_for(std::chrono::milliseconds(device.valid() ? 2 : 0));
      }
    }
  });
  size_t twice = 0;
  for (int i = 0; i < 40; ++i) {
    ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image-" + std::to_string(i), kMiB));
    for (const bool discard : {false, true}) {
      ASSERT_OK_AND_ASSIGN(AttachedLoop attached, host().Attach(image, {.discard = discard}));
      ASSERT_OK_AND_ASSIGN(const size_t count, CountAttachments(image));
      if (count != 1) ++twice;
      attached.fd.Close();
      ASSERT_TRUE(IsDetachedSoon(image));
    }
  }
  EXPECT_EQ(twice, 0u);
}

// What was set on a number outlives what was attached: any program's next device had it too.
TEST_P(HostContract, RemoveSpoilt_AfterAThickLife_GivesTheNumberToOthersAsItWas) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", kMiB));
  ASSERT_OK_AND_ASSIGN(AttachedLoop attached, host().Attach(image, {.discard = false}));
  const int number = attached.loop.number;
  attached.fd.Close();
  ASSERT_TRUE(IsDetachedSoon(image));
  // Ten a call, and others on this machine may have left some.
  EXPECT_TRUE(Eventually([&] {
    host().RemoveSpoilt();
    return machine().DiscardsForOthers(number);
  }));
}

TEST_P(KernelContract, RemoveSpoilt_AfterALimit_TakesItAway) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", kMiB));
  ASSERT_OK_AND_ASSIGN(AttachedLoop attached, host().Attach(image, {.discard = true}));
  ASSERT_OK(host().LimitDirty(attached.loop, kMiB));
  attached.fd.Close();
  ASSERT_TRUE(IsDetachedSoon(image));
  EXPECT_TRUE(Eventually([&] {
    host().RemoveSpoilt();
    return !IsSpoilt(attached.loop.number);
  }));
}

TEST_P(HostContract, RemoveSpoilt_OfADeviceInUse_LeavesItAlone) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", kMiB));
  ASSERT_OK_AND_ASSIGN(const AttachedLoop attached, host().Attach(image, {.discard = false}));
  host().RemoveSpoilt();
  ASSERT_OK_AND_ASSIGN(const bool still, host().IsAttached(attached.loop));
  EXPECT_TRUE(still);
}

// A number that is named as free can be gone when it is opened, and come back as another device.
TEST_P(HostContract, Attach_WhileFreeDevicesAreRemoved_TriesAgain) {
  const std::jthread remover([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      host().RemoveSpoilt();
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  });
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", kMiB));
  for (int i = 0; i < 60; ++i) {
    ASSERT_OK_AND_ASSIGN(AttachedLoop attached, host().Attach(image, {.discard = i % 3 == 0}));
    ASSERT_OK_AND_ASSIGN(const size_t count, CountAttachments(image));
    EXPECT_EQ(count, 1u);
    attached.fd.Close();
    ASSERT_TRUE(IsDetachedSoon(image));
  }
}

// The lowest free number, which the thin image is given next, is the one that the thick one had.
TEST_P(KernelContract, Attach_ThinOnANumberThatAThickOneHad_Discards) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", kMiB));
  const uint64_t all[] = {0, kMiB};
  size_t same = 0;
  for (int i = 0; i < 8; ++i) {
    ASSERT_OK_AND_ASSIGN(AttachedLoop thick, host().Attach(image, {.discard = false}));
    EXPECT_NE(ioctl(thick.fd.get(), BLKDISCARD, all), 0);
    thick.fd.Close();
    ASSERT_TRUE(IsDetachedSoon(image));
    ASSERT_OK(host().Write(image, 0, std::string(kMiB, 'x')));
    ASSERT_OK_AND_ASSIGN(AttachedLoop thin, host().Attach(image, {.discard = true}));
    if (thin.loop.number == thick.loop.number) ++same;
    EXPECT_EQ(ioctl(thin.fd.get(), BLKDISCARD, all), 0) << std::strerror(errno);
    ASSERT_OK_AND_ASSIGN(const bool has_data, host().HasData(image));
    EXPECT_FALSE(has_data);
    thin.fd.Close();
    ASSERT_TRUE(IsDetachedSoon(image));
  }
  EXPECT_GT(same, 0u) << "this tests nothing";
}

// The kernel names it again and again.
TEST_P(KernelContract, Attach_WhileTheFirstFreeDeviceIsHeldExclusively_TakesAnother) {
  const UniqueFd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
  ASSERT_GE(number, 0);
  const UniqueFd held(open(LoopPath(number).c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
  ASSERT_TRUE(held.valid()) << std::strerror(errno);
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", kMiB));
  ASSERT_OK_AND_ASSIGN(const AttachedLoop attached, host().Attach(image, {}));
  EXPECT_NE(attached.loop.number, number);
}

// And changes nothing: else its user would take it along, from under whoever shows it by then.
TEST_P(HostContract, Detach_WhileItIsOpen_IsFailedPrecondition) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", kMiB));
  ASSERT_OK_AND_ASSIGN(const FileFacts facts, host().Describe(image));
  ASSERT_OK_AND_ASSIGN(AttachedLoop attached, host().Attach(image, {}));
  ASSERT_OK(host().PinLoop(attached.loop));
  EXPECT_CODE(host().Detach(attached.loop), kFailedPrecondition);
  attached.fd.Close();
  ASSERT_OK_AND_ASSIGN(const auto found, host().Attachments(facts));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_FALSE(found[0].autoclear);
  EXPECT_OK(host().Detach(attached.loop));
  EXPECT_TRUE(IsDetachedSoon(image));
}

TEST_P(HostContract, Detach_OfANumberThatBacksAnotherFileByNow_LeavesThatAlone) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", kMiB));
  ASSERT_OK_AND_ASSIGN(const UniqueFd other, NewFile("other", kMiB));
  ASSERT_OK_AND_ASSIGN(const AttachedLoop attached, host().Attach(other, {}));
  ASSERT_OK_AND_ASSIGN(const FileFacts facts, host().Describe(image));
  Loop stale = attached.loop;
  stale.backing_inode = facts.inode;
  ASSERT_OK_AND_ASSIGN(const bool backs_image, host().IsAttached(stale));
  EXPECT_FALSE(backs_image);
  EXPECT_OK(host().Detach(stale));
  ASSERT_OK_AND_ASSIGN(const size_t count, CountAttachments(other));
  EXPECT_EQ(count, 1u);
}

TEST_P(HostContract, UpdateLoopSize_FollowsTheImage) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", kMiB));
  ASSERT_OK_AND_ASSIGN(const FileFacts facts, host().Describe(image));
  ASSERT_OK_AND_ASSIGN(const AttachedLoop attached, host().Attach(image, {}));
  ASSERT_OK(host().Resize(image, 4 * kMiB));
  ASSERT_OK_AND_ASSIGN(const auto before, host().Attachments(facts));
  EXPECT_EQ(before.at(0).size_bytes, kMiB);
  ASSERT_OK(host().UpdateLoopSize(attached.loop));
  ASSERT_OK_AND_ASSIGN(const auto after, host().Attachments(facts));
  EXPECT_EQ(after.at(0).size_bytes, 4 * kMiB);
}

TEST_P(HostContract, ALoopThatIsGone_IsNeitherPinnedNorSyncedNorGrown) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd image, NewFile("image", kMiB));
  ASSERT_OK_AND_ASSIGN(AttachedLoop attached, host().Attach(image, {}));
  attached.fd.Close();
  ASSERT_TRUE(IsDetachedSoon(image));
  EXPECT_FALSE(host().PinLoop(attached.loop).ok());
  EXPECT_FALSE(host().SyncLoop(attached.loop).ok());
  EXPECT_FALSE(host().UpdateLoopSize(attached.loop).ok());
}

}  // namespace
}  // namespace holdfast
