#include "base/sizes.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Sizes, RoundUp_GivesTheNextMultiple) {
  EXPECT_EQ(RoundUp(0, kBlockBytes), 0u);
  EXPECT_EQ(RoundUp(1, kBlockBytes), 4096u);
  EXPECT_EQ(RoundUp(4096, kBlockBytes), 4096u);
  EXPECT_EQ(RoundUp(4097, kBlockBytes), 8192u);
  EXPECT_EQ(RoundUp((uint64_t{1} << 63) - 1, kBlockBytes), uint64_t{1} << 63);
}

TEST(Sizes, SaturatingSubtract_StopsAtZero) {
  EXPECT_EQ(SaturatingSubtract(5, 3), 2u);
  EXPECT_EQ(SaturatingSubtract(3, 5), 0u);
  EXPECT_EQ(SaturatingSubtract(0, UINT64_MAX), 0u);
}

TEST(Sizes, FormatBytes_IsExactForWholeNumbersElseOneDecimal) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(512), "512 B");
  EXPECT_EQ(FormatBytes(4 * kKiB), "4 KiB");
  EXPECT_EQ(FormatBytes(3 * kMiB / 2), "1.5 MiB");
  EXPECT_EQ(FormatBytes(10 * kGiB), "10 GiB");
  EXPECT_EQ(FormatBytes(16 * kTiB), "16 TiB");
  EXPECT_EQ(FormatBytes(kGiB + 1), "1.0 GiB");
}

}  // namespace
}  // namespace holdfast
