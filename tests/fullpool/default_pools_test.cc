// Default pools: filled to what they promise, no workload ever meets an error.
#include <iostream>

#include "tests/fullpool/full_pool_test.h"

namespace holdfast {
namespace {

constexpr uint64_t kPoolBytes = 1536 * kMiB;

class DefaultPool : public FullPoolTest, public ::testing::WithParamInterface<FullCase> {
 protected:
  DefaultPool() : FullPoolTest(GetParam().pool, kPoolBytes) {}
  static uint64_t VolumeBytes() {
    return GetParam().content == Content::kXfs || GetParam().content == Content::kBtrfs
               ? 320 * kMiB
               : 160 * kMiB;
  }
  // Leaves room for the volume's own filesystem.
  static uint64_t WriteBytesOfVolume() {
    return GetParam().content == Content::kBlock   ? VolumeBytes()
           : GetParam().content == Content::kBtrfs ? VolumeBytes() * 2 / 5
                                                   : VolumeBytes() * 3 / 5;
  }

  // Whatever can still be created is.
  void FillWithOtherVolumes() {
    for (int i = 0; i < 100; ++i) {
      csi::v1::GetCapacityRequest request;
      const auto answer = csi().Call(request);
      ASSERT_OK(answer);
      const auto bytes = static_cast<uint64_t>(answer->available_capacity());
      if (bytes < 16 * kMiB) return;
      ASSERT_OK(Create(
          {.name = "filler-" + std::to_string(i), .content = Content::kBlock, .bytes = bytes}));
    }
    FAIL() << "there is always room for one more";
  }
};

INSTANTIATE_TEST_SUITE_P(, DefaultPool,
                         ::testing::ValuesIn(ChooseCases(
                             {Content::kExt4, Content::kXfs, Content::kBtrfs, Content::kBlock}, 8)),
                         FullCaseName);

TEST_P(DefaultPool, FilledToItsLimit_UnderWritersOfFourTimesTheFreeSpace_LosesNothing) {
  const bool thick = GetParam().thick;
  std::vector<Workload> workloads;
  const int volumes = GetParam().pool == PoolKind::kBtrfs && VolumeBytes() > 200 * kMiB ? 1 : 2;
  for (int i = 0; i < volumes; ++i) {
    workloads.push_back(MakeWorkload({.name = "volume-" + std::to_string(i),
                                      .content = GetParam().content,
                                      .bytes = VolumeBytes(),
                                      .parameters = {{"provisioning", thick ? "thick" : "thin"}}},
                                     thick, WriteBytesOfVolume()));
    ASSERT_FALSE(HasFailure());
  }
  FillWithOtherVolumes();
  ASSERT_FALSE(HasFailure());
  ASSERT_TRUE(KeepsItsPromises(pool()));
  const uint64_t free_before = FreeNow();
  for (Workload& workload : workloads) {
    StartWriters(workload, WriteBytesOfVolume(), 4 * free_before / workloads.size());
  }
  uint64_t written = 0, fsyncs = 0;
  for (Workload& workload : workloads) {
    for (const auto& writer : workload.writers) {
      ASSERT_TRUE(writer->EndsWithin(std::chrono::seconds(120))) << "a writer hangs";
      EXPECT_EQ(writer->header().state, Ledger::State::kFinished)
          << "errno " << writer->header().first_errno;
      EXPECT_EQ(writer->header().first_errno, 0u);
      written += writer->header().bytes_written;
      fsyncs += writer->header().fsyncs;
    }
  }
  EXPECT_GE(written, 4 * free_before / kMiB * kMiB - volumes * 2 * kMiB);
  const uint64_t free_after = FreeNow();
  for (const Workload& workload : workloads) Count(workload);
  for (Workload& workload : workloads) {
    BringBack(workload);
    ExpectNothingLost(workload, WriteBytesOfVolume() / 2);
  }
  std::cout << FormatBytes(written) << " written, " << fsyncs << " fsyncs, free "
            << FormatBytes(free_before) << " before and " << FormatBytes(free_after) << " after\n";
  ++TheTotals().cases;
}

}  // namespace
}  // namespace holdfast
