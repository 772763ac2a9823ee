#include "volume/volume_locks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace holdfast {
namespace {

TEST(VolumeLocks, TryLock_HeldKey_IsAbortedUntilItIsReleased) {
  VolumeLocks locks;
  {
    const auto guard = locks.TryLock("a");
    ASSERT_TRUE(guard.ok());
    EXPECT_EQ(locks.TryLock("a").status().code(), absl::StatusCode::kAborted);
    EXPECT_TRUE(locks.TryLock("b").ok());
  }
  EXPECT_TRUE(locks.TryLock("a").ok());
}

TEST(VolumeLocks, Guard_MovedFrom_ReleasesOnlyOnce) {
  VolumeLocks locks;
  auto first = locks.TryLock("a");
  ASSERT_TRUE(first.ok());
  {
    const VolumeLocks::Guard second = *std::move(first);
    EXPECT_EQ(locks.TryLock("a").status().code(), absl::StatusCode::kAborted);
  }
  const auto third = locks.TryLock("a");
  ASSERT_TRUE(third.ok());
  first = absl::UnknownError("drops the guard that was moved from");
  EXPECT_EQ(locks.TryLock("a").status().code(), absl::StatusCode::kAborted);
}

TEST(VolumeLocks, TryLock_ManyThreads_OneHolderAtATime) {
  VolumeLocks locks;
  std::atomic<int> inside = 0, overlaps = 0, entered = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int held = 0; held < 500;) {
        const auto guard = locks.TryLock("a");
        if (!guard.ok()) {
          std::this_thread::yield();
          continue;
        }
        if (++inside != 1) ++overlaps;
        ++held;
        ++entered;
        --inside;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(overlaps, 0);
  EXPECT_EQ(entered, 2000);
}

}  // namespace
}  // namespace holdfast
