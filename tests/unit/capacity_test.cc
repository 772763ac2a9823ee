#include "volume/capacity.h"

#include <gtest/gtest.h>

#include "base/sizes.h"

namespace holdfast {
namespace {

constexpr Content kAll[] = {Content::kBlock, Content::kExt4, Content::kXfs, Content::kBtrfs};

TEST(Capacity, Choose_NothingSaid_IsTheDefault) {
  for (const Content content : kAll) {
    EXPECT_EQ(ChooseCapacity({}, content).value(), kDefaultCapacityBytes);
  }
}

TEST(Capacity, Choose_RequiredSize_IsRoundedUpToBlocks) {
  EXPECT_EQ(ChooseCapacity({.required_bytes = kGiB}, Content::kExt4).value(), kGiB);
  EXPECT_EQ(ChooseCapacity({.required_bytes = kGiB + 1}, Content::kExt4).value(), kGiB + 4096);
}

TEST(Capacity, Choose_LessThanTheMinimum_IsTheMinimum) {
  for (const Content content : kAll) {
    EXPECT_EQ(ChooseCapacity({.required_bytes = 1}, content).value(),
              MinimumCapacityBytes(content));
  }
}

TEST(Capacity, Choose_OnlyALimitBelowTheDefault_IsTheLimitInWholeBlocks) {
  EXPECT_EQ(ChooseCapacity({.limit_bytes = 500 * kMiB + 5}, Content::kXfs).value(), 500 * kMiB);
}

TEST(Capacity, Choose_ALimitBelowTheMinimum_IsOutOfRangeWithTheNumbers) {
  const auto chosen = ChooseCapacity({.required_bytes = 1, .limit_bytes = kMiB}, Content::kXfs);
  EXPECT_EQ(chosen.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_NE(chosen.status().message().find("300 MiB"), absl::string_view::npos);
  EXPECT_NE(chosen.status().message().find("1048576"), absl::string_view::npos);
}

TEST(Capacity, Choose_NoBlockBetweenRequiredAndLimit_IsOutOfRange) {
  const CapacityRange range{.required_bytes = kGiB + 1, .limit_bytes = kGiB + 4095};
  EXPECT_EQ(ChooseCapacity(range, Content::kExt4).status().code(), absl::StatusCode::kOutOfRange);
}

TEST(Capacity, Choose_RequiredAboveLimit_IsOutOfRange) {
  const CapacityRange range{.required_bytes = 2 * kGiB, .limit_bytes = kGiB};
  EXPECT_EQ(ChooseCapacity(range, Content::kBlock).status().code(), absl::StatusCode::kOutOfRange);
}

TEST(Capacity, Choose_MoreThanTheMaximum_IsOutOfRangeAndNeverOverflows) {
  EXPECT_EQ(ChooseCapacity({.required_bytes = kMaximumCapacityBytes}, Content::kExt4).value(),
            kMaximumCapacityBytes);
  for (const uint64_t size : {kMaximumCapacityBytes + 1, uint64_t{INT64_MAX}, UINT64_MAX}) {
    EXPECT_EQ(ChooseCapacity({.required_bytes = size}, Content::kExt4).status().code(),
              absl::StatusCode::kOutOfRange);
  }
}

TEST(Capacity, Choose_WhatItChooses_Satisfies) {
  for (const Content content : kAll) {
    for (const uint64_t required : {uint64_t{0}, uint64_t{1}, 400 * kMiB + 3, 7 * kGiB}) {
      for (const uint64_t limit : {uint64_t{0}, 401 * kMiB, 8 * kGiB}) {
        const CapacityRange range{.required_bytes = required, .limit_bytes = limit};
        const auto chosen = ChooseCapacity(range, content);
        if (limit != 0 && required > limit) {
          EXPECT_FALSE(chosen.ok());
          continue;
        }
        ASSERT_TRUE(chosen.ok()) << chosen.status();
        EXPECT_TRUE(Satisfies(*chosen, range));
        EXPECT_EQ(*chosen % kBlockBytes, 0u);
        EXPECT_GE(*chosen, MinimumCapacityBytes(content));
      }
    }
  }
}

TEST(Capacity, Satisfies_HoldsBothEnds) {
  EXPECT_TRUE(Satisfies(10, {}));
  EXPECT_TRUE(Satisfies(10, {.required_bytes = 10, .limit_bytes = 10}));
  EXPECT_FALSE(Satisfies(9, {.required_bytes = 10}));
  EXPECT_FALSE(Satisfies(11, {.required_bytes = 1, .limit_bytes = 10}));
}

TEST(Content, EachName_IsParsedBack) {
  for (const Content content : kAll) EXPECT_EQ(ParseContent(ContentName(content)), content);
  for (const char* name : {"", "ext3", "EXT4", "ext4 "}) {
    EXPECT_EQ(ParseContent(name), std::nullopt);
  }
}

}  // namespace
}  // namespace holdfast
