#include "base/uuid.h"

#include <gtest/gtest.h>

#include <set>

namespace holdfast {
namespace {

TEST(Uuid, NewUuid_IsVersion4OfVariant1) {
  for (int i = 0; i < 1000; ++i) {
    const std::string uuid = NewUuid();
    ASSERT_TRUE(IsUuid(uuid)) << uuid;
    ASSERT_EQ(uuid[14], '4') << uuid;
    ASSERT_NE(std::string("89ab").find(uuid[19]), std::string::npos) << uuid;
  }
}

TEST(Uuid, NewUuid_NeverRepeats) {
  std::set<std::string> seen;
  for (int i = 0; i < 10000; ++i) seen.insert(NewUuid());
  EXPECT_EQ(seen.size(), 10000u);
}

TEST(Uuid, IsUuid_RefusesEveryOtherForm) {
  const std::string good = "01234567-89ab-4def-8123-456789abcdef";
  EXPECT_TRUE(IsUuid(good));
  EXPECT_FALSE(IsUuid(""));
  EXPECT_FALSE(IsUuid(good.substr(1)));
  EXPECT_FALSE(IsUuid(good + "0"));
  EXPECT_FALSE(IsUuid("01234567-89AB-4def-8123-456789abcdef"));
  EXPECT_FALSE(IsUuid("0123456789ab-4def-8123-456789abcdef--"));
  EXPECT_FALSE(IsUuid("01234567_89ab-4def-8123-456789abcdef"));
  EXPECT_FALSE(IsUuid("0123456g-89ab-4def-8123-456789abcdef"));
  EXPECT_FALSE(IsUuid(std::string("01234567-89ab-4def-8123-456789abcde\0", 36)));
}

}  // namespace
}  // namespace holdfast
