// The model itself: that it takes what is lawful, and finds every kind of answer that is not.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/load/ledger.h"

namespace holdfast::load {
namespace {

using Code = absl::StatusCode;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kMiB = 1 << 20;
constexpr Rules kRules{.too_large_bytes = uint64_t{1} << 39, .ext4_grows_mounted = false};

VolumeState Ext4() { return {.content = Content::kExt4, .capacity_bytes = 16 * kMiB}; }

VolumeState Published(uint64_t tag) {
  VolumeState volume = Ext4();
  volume.staged = Terms();
  volume.device_bytes = volume.capacity_bytes;
  volume.targets[0] = {};
  volume.tag = tag;
  return volume;
}

World With(const VolumeState& volume) { return {.volumes = {{1, volume}}, .snapshots = {}}; }

Call On(Method method) {
  return {.method = method,
          .volume = 1,
          .required_bytes = 16 * kMiB,
          .content = Content::kExt4,
          .pod = 0};
}

Call Snapshot(int slot) {
  Call call{.method = Method::kCreateSnapshot, .volume = 1, .snapshot = slot};
  return call;
}

Call Restore(int slot, int snapshot) {
  return {.method = Method::kCreateVolume,
          .volume = slot,
          .source_snapshot = snapshot,
          .content = Content::kExt4};
}

Answer Ok() { return {.capacity_bytes = 16 * kMiB}; }
Answer Refused(Code code) { return {.code = code, .message = "for a reason"}; }
Answer Tag(uint64_t tag) { return {.tag = tag}; }
Answer OfVolume1(uint64_t bytes) {
  return {.capacity_bytes = bytes, .source_volume = 1, .created_nanos = 5};
}

// One call alone.
bool Lawful(const World& world, const Call& call, const Answer& answer) {
  return !Explain(kRules, {world}, {{call, answer, 1, 2}}).empty();
}

TEST(ModelTest, RightAnswers_AreLawful) {
  EXPECT_TRUE(Lawful({}, On(Method::kCreateVolume), Ok()));
  EXPECT_TRUE(Lawful(With(Ext4()), On(Method::kCreateVolume), Ok()));
  EXPECT_TRUE(Lawful({}, On(Method::kDeleteVolume), Ok()));
  EXPECT_TRUE(Lawful({}, On(Method::kStage), Refused(Code::kNotFound)));
  EXPECT_TRUE(Lawful(With(Ext4()), On(Method::kPublish), Refused(Code::kFailedPrecondition)));
  EXPECT_TRUE(Lawful(With(Published(7)), On(Method::kReadTag), Tag(7)));
  EXPECT_TRUE(Lawful(With(Published(7)), On(Method::kUnstage), Refused(Code::kFailedPrecondition)));
}

TEST(ModelTest, PlantedWrongCodes_AreFound) {
  const World none, put_away = With(Ext4()), published = With(Published(7));
  const std::tuple<const World*, Method, Code> planted[] = {
      {&none, Method::kDeleteVolume, Code::kNotFound},
      {&none, Method::kGetVolume, Code::kInvalidArgument},
      {&none, Method::kStage, Code::kInternal},
      {&none, Method::kUnstage, Code::kNotFound},
      {&none, Method::kCreateVolume, Code::kResourceExhausted},
      {&none, Method::kCreateVolume, Code::kAlreadyExists},
      {&put_away, Method::kGetVolume, Code::kNotFound},
      {&put_away, Method::kDeleteVolume, Code::kFailedPrecondition},
      {&put_away, Method::kPublish, Code::kOk},
      {&put_away, Method::kExpandVolume, Code::kResourceExhausted},
      {&put_away, Method::kStats, Code::kOk},
      {&put_away, Method::kValidate, Code::kOk},  // and not confirmed
      {&published, Method::kUnstage, Code::kOk},
      {&published, Method::kDeleteVolume, Code::kOk},
      {&published, Method::kUnpublish, Code::kFailedPrecondition},
      {&published, Method::kNodeExpand, Code::kNotFound},
      {&published, Method::kPublish, Code::kAborted},  // and nobody else calls
      {&published, Method::kGetVolume, Code::kUnavailable},
  };
  for (const auto& [world, method, code] : planted) {
    EXPECT_FALSE(Lawful(*world, On(method), code == Code::kOk ? Ok() : Refused(code)))
        << MethodName(method) << " " << absl::StatusCodeToString(code);
  }
}

TEST(ModelTest, PublishForSeveralPods_OfWhatWasStagedForOne_IsRefused_AndNotTaken) {
  VolumeState staged = Published(7);
  staged.targets.clear();
  Call call = On(Method::kPublish);
  call.terms.mode = csi::v1::VolumeCapability::AccessMode::SINGLE_NODE_MULTI_WRITER;
  EXPECT_TRUE(Lawful(With(staged), call, Refused(Code::kFailedPrecondition)));
  EXPECT_FALSE(Lawful(With(staged), call, Ok()));
  staged.staged->mode = call.terms.mode;
  EXPECT_TRUE(Lawful(With(staged), call, Ok()));
  EXPECT_FALSE(Lawful(With(staged), call, Refused(Code::kFailedPrecondition)));
}

TEST(ModelTest, RepeatedPublish_WithAnotherFlag_IsAConflict_AndNothingElse) {
  Call call = On(Method::kPublish);
  EXPECT_TRUE(Lawful(With(Published(7)), call, Ok()));
  call.terms.flag = "noatime";
  EXPECT_TRUE(Lawful(With(Published(7)), call, Refused(Code::kAlreadyExists)));
  EXPECT_FALSE(Lawful(With(Published(7)), call, Ok()));
}

TEST(ModelTest, PlantedWrongFacts_AreFound) {
  Answer answer = Ok();
  answer.capacity_bytes += 4096;
  EXPECT_FALSE(Lawful({}, On(Method::kCreateVolume), answer)) << "a size";
  answer = Ok();
  answer.source_volume = 3;
  EXPECT_FALSE(Lawful(With(Ext4()), On(Method::kGetVolume), answer)) << "a source";
  answer = Ok();
  answer.wrong = "another id";
  EXPECT_FALSE(Lawful({}, On(Method::kCreateVolume), answer)) << "an id";
  EXPECT_FALSE(Lawful(With(Published(7)), On(Method::kReadTag), Tag(6))) << "old data";
  EXPECT_FALSE(Lawful(With(Published(7)), On(Method::kReadTag), Tag(0))) << "lost data";
  answer = Ok();
  answer.node_expansion = true;
  EXPECT_FALSE(Lawful(With(Ext4()), On(Method::kExpandVolume), answer)) << "no need of the node";
  answer = {.total_bytes = 17 * kMiB};
  EXPECT_FALSE(Lawful(With(Published(7)), On(Method::kStats), answer)) << "the host's filesystem";
}

TEST(ModelTest, RepeatWithOtherProperties_IsAConflict_AndNothingElse) {
  Call call = On(Method::kCreateVolume);
  call.thick = false;
  EXPECT_TRUE(Lawful(With(Ext4()), call, Refused(Code::kAlreadyExists)));
  EXPECT_FALSE(Lawful(With(Ext4()), call, Ok()));
}

TEST(ModelTest, Restore_HasTheTagOfTheCut_NotWhatCameAfter) {
  const std::vector<TimedCall> calls = {{Snapshot(2), OfVolume1(16 * kMiB), 1, 2}};
  const auto worlds = Explain(kRules, {With(Published(7))}, calls);
  ASSERT_THAT(worlds, SizeIs(1));
  EXPECT_EQ(worlds[0].snapshots.at(2).tag, 7u);
  Call write = On(Method::kWriteTag);
  write.tag = 8;
  Answer restored = Ok();
  restored.source_snapshot = 2;
  const auto later =
      Explain(kRules, worlds, {{write, Tag(8), 3, 4}, {Restore(4, 2), restored, 5, 6}});
  ASSERT_THAT(later, SizeIs(1));
  EXPECT_EQ(later[0].volumes.at(4).tag, 7u);
  EXPECT_TRUE(later[0].volumes.at(4).inherited_tag);
}

TEST(ModelTest, Aborted_NeedsACallThatReallyOverlapped) {
  const TimedCall aborted{On(Method::kStage), Refused(Code::kAborted), 3, 6};
  const auto beside = [&](Method method, uint64_t begin, uint64_t end) {
    const TimedCall other{On(method), Ok(), begin, end};
    return !Explain(kRules, {With(Ext4())}, {aborted, other}).empty();
  };
  EXPECT_TRUE(beside(Method::kUnstage, 1, 4));
  EXPECT_FALSE(beside(Method::kUnstage, 1, 2)) << "it had ended";
  EXPECT_FALSE(beside(Method::kUnstage, 7, 8)) << "it had not begun";
  EXPECT_FALSE(beside(Method::kGetVolume, 1, 8)) << "a question holds nothing";
}

TEST(ModelTest, TwoRefusedCalls_DoNotExcuseEachOther) {
  const TimedCall first{On(Method::kStage), Refused(Code::kAborted), 1, 4};
  const TimedCall second{On(Method::kUnstage), Refused(Code::kAborted), 2, 3};
  EXPECT_THAT(Explain(kRules, {With(Ext4())}, {first, second}), IsEmpty());
}

TEST(ModelTest, OverlappingCalls_AreJudgedInEveryOrder_AndOnlyInThose) {
  const TimedCall removed{On(Method::kDeleteVolume), Ok(), 1, 4};
  const TimedCall absent{On(Method::kGetVolume), Refused(Code::kNotFound), 2, 3};
  const TimedCall present{On(Method::kGetVolume), Ok(), 2, 3};
  const TimedCall too_late{On(Method::kGetVolume), Ok(), 5, 6};
  EXPECT_THAT(Explain(kRules, {With(Ext4())}, {removed, absent}), SizeIs(1));
  EXPECT_THAT(Explain(kRules, {With(Ext4())}, {removed, present}), SizeIs(1));
  EXPECT_THAT(Explain(kRules, {With(Ext4())}, {removed, too_late}), IsEmpty());
}

TEST(ModelTest, ADeleteOfWhatIsStaged_MayBeSeenHalfDone) {
  VolumeState staged = Published(0);
  staged.targets.clear();
  Call stats = On(Method::kStats);
  stats.pod = kNone;
  const auto lawful = [&](const Call& meanwhile, const Answer& answer) {
    return !Explain(kRules, {With(staged)},
                    {{On(Method::kDeleteVolume), Ok(), 1, 10},
                     {meanwhile, answer, 2, 3},
                     {On(Method::kGetVolume), Ok(), 5, 6}})
                .empty();
  };
  EXPECT_TRUE(lawful(stats, Refused(Code::kNotFound)));
  EXPECT_FALSE(lawful(stats, Refused(Code::kInternal)));
  EXPECT_THAT(Explain(kRules, {With(staged)},
                      {{On(Method::kDeleteVolume), Refused(Code::kFailedPrecondition), 1, 10},
                       {stats, Refused(Code::kNotFound), 2, 3}}),
              IsEmpty());
}

// The clone is cut, its source goes, and it is shown only then.
TEST(ModelTest, Clone_MayBeShownAfterItsSourceIsGone) {
  Call clone{
      .method = Method::kCreateVolume, .volume = 2, .source_volume = 1, .content = Content::kExt4};
  Answer cloned = Ok();
  cloned.source_volume = 1;
  Call ask{.method = Method::kGetVolume, .volume = 2};
  const std::vector<TimedCall> calls = {{clone, cloned, 1, 8},
                                        {On(Method::kDeleteVolume), Ok(), 2, 3},
                                        {ask, Refused(Code::kNotFound), 4, 5}};
  EXPECT_THAT(Explain(kRules, {With(Ext4())}, calls), SizeIs(1));
  const std::vector<TimedCall> impossible = {{On(Method::kDeleteVolume), Ok(), 1, 2},
                                             {clone, cloned, 3, 4}};
  EXPECT_THAT(Explain(kRules, {With(Ext4())}, impossible), IsEmpty());
}

TEST(LedgerTest, Doubt_IsKept_UntilAnAnswerTells) {
  Ledger ledger(kRules);
  ASSERT_TRUE(ledger.End(ledger.Begin(On(Method::kCreateVolume)), Ok()));
  const uint64_t create = ledger.Begin(On(Method::kCreateVolume));
  const uint64_t remove = ledger.Begin(On(Method::kDeleteVolume));
  EXPECT_TRUE(ledger.End(create, Ok()));
  EXPECT_FALSE(ledger.Look({false, 1}).known);
  EXPECT_TRUE(ledger.End(remove, Ok()));
  EXPECT_THAT(ledger.Doubtful(), SizeIs(1)) << "created again, or deleted last";
  EXPECT_TRUE(ledger.End(ledger.Begin(On(Method::kGetVolume)), Refused(Code::kNotFound)));
  EXPECT_THAT(ledger.Doubtful(), IsEmpty());
  EXPECT_FALSE(ledger.End(ledger.Begin(On(Method::kGetVolume)), Ok())) << "it is gone";
  EXPECT_THAT(ledger.wrong().at(0), HasSubstr("no lawful explanation"));
}

TEST(LedgerTest, PodsAreNotDisturbed_AsKubeletDoesNot) {
  Ledger ledger(kRules);
  for (const Method method : {Method::kCreateVolume, Method::kStage, Method::kPublish}) {
    ASSERT_TRUE(ledger.End(ledger.Begin(On(method)), Ok()));
  }
  const uint64_t write = ledger.Begin(On(Method::kWriteTag));
  EXPECT_NE(write, 0u);
  EXPECT_EQ(ledger.Begin(On(Method::kUnpublish)), 0u);
  EXPECT_TRUE(ledger.End(write, Ok()));
  const uint64_t unpublish = ledger.Begin(On(Method::kUnpublish));
  EXPECT_NE(unpublish, 0u);
  EXPECT_EQ(ledger.Begin(On(Method::kReadTag)), 0u);
  EXPECT_TRUE(ledger.End(unpublish, Ok()));
  EXPECT_EQ(ledger.Begin(On(Method::kReadTag)), 0u) << "it is no longer published";
}

TEST(LedgerTest, List_IsComparedWhereNobodyCouldHaveChangedIt) {
  Ledger ledger(kRules);
  ASSERT_TRUE(ledger.End(ledger.Begin(On(Method::kCreateVolume)), Ok()));
  std::vector<ObjectKey> keys;
  const Ledger::Watch watch = ledger.BeginList();
  EXPECT_THAT(ledger.StableSince(watch, &keys).volumes, SizeIs(1));
  const uint64_t stage = ledger.Begin(On(Method::kStage));
  keys.clear();
  EXPECT_THAT(ledger.StableSince(watch, &keys).volumes, IsEmpty());
  EXPECT_TRUE(ledger.End(stage, Ok()));
  EXPECT_THAT(ledger.StableSince(watch, &keys).volumes, IsEmpty()) << "it changed since";
  EXPECT_THAT(ledger.StableSince(ledger.BeginList(), &keys).volumes, SizeIs(1));
}

}  // namespace
}  // namespace holdfast::load
