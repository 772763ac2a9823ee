#include "volume/ids.h"

#include <gtest/gtest.h>

#include <random>

namespace holdfast {
namespace {

constexpr char kPool[] = "01234567-89ab-4def-8123-456789abcdef";
constexpr char kPoolDigits[] = "0123456789ab4def8123456789abcdef";
// sha256sum of "pvc-1", its first 32 digits.
constexpr char kHashOfPvc1[] = "f2868e1aa7cab669517cd9f5ab1b7957";

TEST(Ids, MakeId_FollowsTheGrammar) {
  EXPECT_EQ(NameHash("pvc-1"), kHashOfPvc1);
  EXPECT_EQ(MakeId(ObjectKind::kVolume, kPool, "pvc-1"),
            std::string("vol-") + kPoolDigits + "-" + kHashOfPvc1);
  EXPECT_EQ(MakeId(ObjectKind::kSnapshot, kPool, "pvc-1"),
            std::string("snap-") + kPoolDigits + "-" + kHashOfPvc1);
}

TEST(Ids, MakeId_AnyNameGivesAShortPathSafeId) {
  const std::string names[] = {"",
                               "../../etc/passwd",
                               std::string("a\0b", 3),
                               "名前 'x' \"",
                               std::string(10 << 20, 'n'),
                               std::string(128, '/')};
  for (const std::string& name : names) {
    const std::string id = MakeId(ObjectKind::kSnapshot, kPool, name);
    EXPECT_EQ(id.size(), 70u);
    EXPECT_EQ(id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-"), std::string::npos);
  }
  EXPECT_NE(NameHash(std::string("a\0b", 3)), NameHash("a"));
}

TEST(Ids, ParseId_ReversesMakeId) {
  for (const ObjectKind kind : {ObjectKind::kVolume, ObjectKind::kSnapshot}) {
    const auto parsed = ParseId(MakeId(kind, kPool, "pvc-1"));
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->kind, kind);
    EXPECT_EQ(parsed->pool_uuid, kPool);
    EXPECT_EQ(parsed->name_hash, kHashOfPvc1);
  }
}

TEST(Ids, ParseId_RefusesWhatTheGrammarDoesNotMake) {
  const std::string good = MakeId(ObjectKind::kVolume, kPool, "pvc-1");
  ASSERT_TRUE(ParseId(good).has_value());
  std::string upper = good;
  upper[10] = 'A';
  std::string nul = good;
  nul[40] = '\0';
  std::string dots = good;
  dots.replace(10, 3, "/..");
  std::string joined = good;
  joined[36] = '0';  // the dash between pool and hash
  for (const std::string& bad :
       {std::string(), std::string("vol-"), std::string("snap-"), std::string("fake-vol-id-1"),
        std::string("../../etc/passwd"), good.substr(0, good.size() - 1), good + "0",
        good + std::string(1, '\0'), " " + good, "x" + good.substr(1), "snap" + good, upper, nul,
        dots, joined, std::string(129, 'v'), "vol-" + std::string(65, '-')}) {
    EXPECT_FALSE(ParseId(bad).has_value()) << bad;
  }
}

TEST(Ids, ParseId_AcceptsARandomlyChangedIdOnlyIfMakeIdCouldMakeIt) {
  std::mt19937 random(1);
  const std::string good = MakeId(ObjectKind::kVolume, kPool, "pvc-1");
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string id = good;
    id[random() % id.size()] = static_cast<char>(random());
    const auto parsed = ParseId(id);
    if (!parsed.has_value()) {
      ++refused;
      continue;
    }
    std::string again = "vol-" + parsed->pool_uuid + "-" + parsed->name_hash;
    for (const size_t dash : {27, 22, 17, 12}) again.erase(dash, 1);
    EXPECT_EQ(again, id);
  }
  EXPECT_GT(refused, 10000);
}

}  // namespace
}  // namespace holdfast
