#include "integrity/verdict.h"

#include "gtest/gtest.h"

namespace holdfast {
namespace {

using Kind = RootJudgement::Kind;

RootAttributes Root() {
  return {.inode = 128,
          .generation = 7,
          .birth_time = {1000, 5},
          .change_time = {2000, 6},
          .mode = 0700,
          .owner = 26,
          .group = 26};
}

Volume PutAway(LastEnd last_end = LastEnd::kClean) {
  Volume volume;
  volume.id = "vol-x";
  volume.stage.last_end = last_end;
  volume.stage.root = Root();
  return volume;
}

struct Change {
  const char* name;
  void (*apply)(RootAttributes&);
  const char* expected;
  const char* found;
  bool another_directory;
};

const Change kChanges[] = {
    {"inode", [](RootAttributes& r) { r.inode = 129; }, "inode 128", "inode 129", true},
    {"generation", [](RootAttributes& r) { r.generation = 8; }, "generation 7", "generation 8",
     true},
    {"birth_time", [](RootAttributes& r) { r.birth_time.nanoseconds = 6; },
     "birth time 1000.000000005", "birth time 1000.000000006", true},
    {"mode", [](RootAttributes& r) { r.mode = 0755; }, "mode 0700", "mode 0755", false},
    {"owner", [](RootAttributes& r) { r.owner = 0; }, "owner 26:26", "owner 0:26", false},
    {"group", [](RootAttributes& r) { r.group = 0; }, "owner 26:26", "owner 26:0", false},
    {"access_acl", [](RootAttributes& r) { r.access_acl = "user::rwx"; }, "ACL none",
     "ACL user::rwx", false},
    {"default_acl", [](RootAttributes& r) { r.default_acl = "user::r-x"; }, "default ACL none",
     "default ACL user::r-x", false},
};

class EachField : public testing::TestWithParam<Change> {};

TEST_P(EachField, ChangedWhilePutAway_IsRefusedWithExpectedAndFound) {
  for (const LastEnd last_end : {LastEnd::kClean, LastEnd::kNeverStaged}) {
    RootAttributes found = Root();
    GetParam().apply(found);
    found.change_time.seconds += 1;
    const RootJudgement judgement = JudgeRoot(PutAway(last_end), found);
    EXPECT_EQ(judgement.kind, Kind::kRefused);
    EXPECT_NE(judgement.sentence.find(std::string("expected ") + GetParam().expected),
              std::string::npos)
        << judgement.sentence;
    EXPECT_NE(judgement.sentence.find(std::string("found ") + GetParam().found), std::string::npos)
        << judgement.sentence;
    EXPECT_NE(judgement.sentence.find("holdfastctl volume acknowledge vol-x"), std::string::npos);
  }
}

TEST_P(EachField, ChangedBeforeACrash_IsLawfulOnlyInTheSameDirectoryWithAnotherCtime) {
  RootAttributes found = Root();
  GetParam().apply(found);
  EXPECT_EQ(JudgeRoot(PutAway(LastEnd::kStaged), found).kind, Kind::kRefused) << "same ctime";
  found.change_time.seconds -= 5;  // clocks step: only "another" counts
  EXPECT_EQ(JudgeRoot(PutAway(LastEnd::kStaged), found).kind,
            GetParam().another_directory ? Kind::kRefused : Kind::kNewBaseline);
}

TEST_P(EachField, ChangedByAPublish_IsRefused) {
  RootAttributes after = Root();
  GetParam().apply(after);
  EXPECT_FALSE(JudgePublish(PutAway(), Root(), after).ok());
  after.change_time.seconds += 1;
  EXPECT_EQ(JudgePublish(PutAway(), Root(), after).ok(), !GetParam().another_directory);
}

INSTANTIATE_TEST_SUITE_P(Root, EachField, testing::ValuesIn(kChanges),
                         [](const auto& test) { return test.param.name; });

TEST(Verdict, SameAttributesWithAnotherCtime_AreUnchanged) {
  RootAttributes found = Root();
  found.change_time.seconds += 60;
  for (const LastEnd last_end : {LastEnd::kClean, LastEnd::kNeverStaged, LastEnd::kStaged}) {
    EXPECT_EQ(JudgeRoot(PutAway(last_end), found).kind, Kind::kUnchanged);
  }
}

TEST(Verdict, NoRecordedRoot_IsRefusedWhateverTheLastEnd) {
  for (const LastEnd last_end : {LastEnd::kClean, LastEnd::kNeverStaged, LastEnd::kStaged}) {
    Volume volume = PutAway(last_end);
    volume.stage.root.reset();
    EXPECT_EQ(JudgeRoot(volume, Root()).kind, Kind::kRefused);
  }
}

TEST(Verdict, Acknowledge_MakesWhatWasFoundTheRecord) {
  Volume volume = PutAway();
  RootAttributes found = Root();
  found.mode = 0755;
  volume.stage.verdict = Verdict{.sentence = "no", .found = found};
  ASSERT_TRUE(AcknowledgeVerdict(volume.stage, Acknowledged::kAsFound).ok());
  EXPECT_FALSE(volume.stage.verdict);
  EXPECT_EQ(JudgeRoot(volume, found).kind, Kind::kUnchanged);
  EXPECT_EQ(JudgeRoot(volume, Root()).kind, Kind::kRefused);
}

TEST(Verdict, AcknowledgeAsRecorded_KeepsTheRecord_WhateverWasFound) {
  for (const bool readable : {true, false}) {
    Volume volume = PutAway();
    RootAttributes found = Root();
    found.mode = 0755;
    volume.stage.verdict = Verdict{.sentence = "no", .found = std::nullopt};
    if (readable) volume.stage.verdict->found = found;
    ASSERT_TRUE(AcknowledgeVerdict(volume.stage, Acknowledged::kAsRecorded).ok());
    EXPECT_FALSE(volume.stage.verdict);
    EXPECT_EQ(JudgeRoot(volume, Root()).kind, Kind::kUnchanged);
    EXPECT_EQ(JudgeRoot(volume, found).kind, Kind::kRefused) << "it was not put back";
  }
}

TEST(Verdict, AcknowledgeAsRecorded_WithoutARecord_IsFailedPrecondition) {
  Volume volume = PutAway();
  volume.stage.root.reset();
  volume.stage.verdict = Verdict{.sentence = "no", .found = Root()};
  EXPECT_TRUE(
      absl::IsFailedPrecondition(AcknowledgeVerdict(volume.stage, Acknowledged::kAsRecorded)));
  EXPECT_TRUE(volume.stage.verdict);
}

TEST(Verdict, AcknowledgeWithoutARefusalOrAReadableRoot_IsFailedPrecondition) {
  Volume volume = PutAway();
  for (const auto as : {Acknowledged::kAsFound, Acknowledged::kAsRecorded}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(AcknowledgeVerdict(volume.stage, as)));
  }
  volume.stage.verdict = Verdict{.sentence = "no", .found = std::nullopt};
  EXPECT_TRUE(absl::IsFailedPrecondition(AcknowledgeVerdict(volume.stage, Acknowledged::kAsFound)));
  EXPECT_EQ(volume.stage.root, Root());
}

}  // namespace
}  // namespace holdfast
