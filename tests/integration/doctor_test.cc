// Leaks planted by hand on a real machine: each is found, told, mended where it is offered, and
// nothing else changes.
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/uuid.h"
#include "catalog/catalog.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "tests/integration/integration_test.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// Every test stands beside a volume that is in use and one that is put away, which must not change.
class DoctorTest : public PoolTest {
 protected:
  DoctorTest() : PoolTest(3 * kGiB) {}

  void SetUp() override {
    PoolTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ASSERT_OK_AND_ASSIGN(used_, Create({.name = "used", .content = Content::kExt4}));
    ASSERT_OK_AND_ASSIGN(idle_, Create({.name = "idle", .content = Content::kExt4}));
    ASSERT_OK_AND_ASSIGN(target_, Show(used_));
    ASSERT_EQ(WriteBytes(target_ + "/data", 0, kMiB, 1), 0);
    ASSERT_OK(Snapshot(used_, "kept"));
    healthy_ = MachineState();
  }
  void TearDown() override {
    if (!IsSkipped() && !HasFatalFailure()) {
      EXPECT_EQ(MachineState(), healthy_) << "the doctor changed what it should not";
      EXPECT_TRUE(HasBytes(target_ + "/data", 0, kMiB, 1));
      const Ended ended = Ctl({"doctor"});
      EXPECT_EQ(ended.exit_code, 0) << ended.output;
      EXPECT_THAT(ended.output, HasSubstr("healthy: 1 pools, 2 volumes, 1 snapshots"));
    }
    PoolTest::TearDown();
  }

  // Files of the pool by inode, loops, mounts, and what the catalog says.
  std::string MachineState() {
    std::string state = MustRun({"find", pool(), "-path", pool() + "/catalog.db*", "-prune", "-o",
                                 "-type", "f", "-printf", "%P %i %s\n"});
    state = Sorted(state);
    for (const std::string& loop : LoopsBelow(folder())) state += "\n" + loop;
    for (const std::string& mount : MountsBelow(folder())) state += "\n" + mount;
    return state + "\n" + Rows();
  }
  std::string Rows() {
    const auto catalog = OpenCatalog(pool() + "/catalog.db", Catalog::Access::kReadOnly);
    if (!catalog.ok()) return std::string(catalog.status().message());
    std::string rows;
    const auto volumes = (*catalog)->AllVolumes();
    for (const Volume& row : *volumes) {
      rows += fmt::format("{} {} {} {} {}\n", row.id, row.incarnation, row.image_inode,
                          static_cast<int>(row.state), static_cast<int>(row.stage.last_end));
    }
    const auto snapshots = (*catalog)->AllSnapshots();
    for (const auto& row : *snapshots) rows += row.id + " " + row.incarnation + "\n";
    const auto trash = (*catalog)->ListTrash();
    for (const TrashEntry& row : *trash) rows += row.incarnation + "\n";
    return rows;
  }
  // An entry whose file is nowhere.
  void PlantTrashEntry() {
    const auto catalog = OpenCatalog(pool() + "/catalog.db", Catalog::Access::kReadWrite);
    ASSERT_TRUE(catalog.ok()) << catalog.status();
    ASSERT_OK((*catalog)->MoveToTrash({.incarnation = NewUuid(),
                                       .id = idle_.id,
                                       .name = "idle",
                                       .size_bytes = kBlockBytes,
                                       .deleted_unix_nanos = INT64_MAX}));
  }
  static std::string Sorted(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    std::sort(lines.begin(), lines.end());
    std::string sorted;
    for (const std::string& line : lines) sorted += line + "\n";
    return sorted;
  }

  struct Answer {
    int exit_code = -1;
    json findings;
    std::vector<std::string> kinds;
  };
  Answer Doctor(bool fix = false) {
    std::vector<std::string> arguments = {"doctor", "--json"};
    if (fix) arguments.push_back("--fix");
    const Ended ended = Ctl(arguments);
    // The refusal of standard error stands behind the JSON.
    const size_t end = ended.output.rfind("\n}\n");
    const json answer = json::parse(ended.output.substr(0, end + 3), nullptr, false);
    EXPECT_TRUE(answer.is_object()) << ended.output;
    Answer result{.exit_code = ended.exit_code, .findings = answer["findings"], .kinds = {}};
    for (const json& finding : result.findings) result.kinds.push_back(finding["kind"]);
    EXPECT_EQ(answer["healthy"].get<bool>(), result.kinds.empty());
    EXPECT_TRUE(answer["by_server"].get<bool>());
    return result;
  }
  // Told without a change, mended when asked to, gone afterwards.
  void ExpectMended(const std::string& kind, const std::string& object_part) {
    const std::string before = MachineState();
    const Answer told = Doctor();
    EXPECT_EQ(told.exit_code, 1);
    ASSERT_THAT(told.kinds, ElementsAre(kind));
    EXPECT_THAT(told.findings[0]["object"].get<std::string>(), HasSubstr(object_part));
    EXPECT_TRUE(told.findings[0]["offered"].get<bool>());
    EXPECT_EQ(MachineState(), before) << "looking changed something";
    const Answer mended = Doctor(true);
    EXPECT_EQ(mended.exit_code, 0);
    ASSERT_THAT(mended.kinds, ElementsAre(kind));
    EXPECT_TRUE(mended.findings[0]["done"].get<bool>()) << mended.findings.dump();
  }
  // Told, and left alone even with --fix.
  json ExpectOnlyTold(const std::string& kind) {
    const std::string before = MachineState();
    const Answer told = Doctor(true);
    EXPECT_EQ(told.exit_code, 1);
    EXPECT_THAT(told.kinds, ElementsAre(kind));
    EXPECT_EQ(MachineState(), before) << "it was touched";
    return told.findings.empty() ? json() : told.findings[0];
  }
  std::string AttachByHand(const std::string& file) {
    return MustRun({"losetup", "--find", "--show", file});
  }

  Claim used_, idle_;
  std::string target_, healthy_;
};

INSTANTIATE_TEST_SUITE_P(Pools, DoctorTest, ::testing::Values(PoolKind::kXfs, PoolKind::kBtrfs),
                         PoolTestName);

TEST_P(DoctorTest, AHealthyPool_SaysSoAndExitsWith0) {
  const Answer answer = Doctor(true);
  EXPECT_EQ(answer.exit_code, 0);
  EXPECT_THAT(answer.kinds, IsEmpty());
}

TEST_P(DoctorTest, LoopOnAFileOfWork_IsDetachedThenTheFileIsRemoved) {
  const std::string file = pool() + "/work/" + NewUuid() + ".img";
  MustRun({"truncate", "--size", "64M", file});
  const std::string loop = AttachByHand(file);
  EXPECT_THAT(Doctor().kinds, ElementsAre("leaked-loop"));  // the file is in use by the loop
  const Answer mended = Doctor(true);
  EXPECT_EQ(mended.exit_code, 0) << mended.findings.dump();
  ASSERT_THAT(mended.kinds, ElementsAre("leaked-loop", "work-leftover"));
  EXPECT_EQ(mended.findings[0]["object"], loop);
}

TEST_P(DoctorTest, LoopOnADeletedFileOfWork_IsDetached) {
  const std::string file = pool() + "/work/" + NewUuid() + ".img";
  MustRun({"truncate", "--size", "64M", file});
  const std::string loop = AttachByHand(file);
  MustRun({"rm", file});
  ExpectMended("leaked-loop", loop);
}

TEST_P(DoctorTest, LoopOnAnImageThatIsPutAway_IsDetached) {
  ExpectMended("leaked-loop", AttachByHand(ImagePath(idle_)));
}

TEST_P(DoctorTest, SecondLoopOnAnImageInUse_IsDetachedAndTheStageStays) {
  ExpectMended("leaked-loop", AttachByHand(ImagePath(used_)));
}

TEST_P(DoctorTest, LoopOnAFileElsewhereInThePoolsFilesystem_IsNobodysBusiness) {
  const std::string file = pool() + "/other.img";
  MustRun({"truncate", "--size", "64M", file});
  const std::string loop = AttachByHand(file);
  EXPECT_THAT(Doctor(true).kinds, IsEmpty());
  MustRun({"losetup", "--detach", loop});
  MustRun({"rm", file});
}

TEST_P(DoctorTest, LoopThatSomebodyHasOpen_IsToldWithWhoAndLeft) {
  const std::string loop = AttachByHand(ImagePath(idle_));
  const auto reader = Child::Start({"sh", "-c", "exec 3<" + loop + "; exec sleep 60"}, {});
  usleep(200'000);
  const json finding = ExpectOnlyTold("held-loop");
  EXPECT_THAT(finding["found"].get<std::string>(), HasSubstr("sleep (pid "));
  reader->Kill();
  ExpectMended("leaked-loop", loop);
}

TEST_P(DoctorTest, DeletedImageThatALoopStillHas_IsTheLastOfItsBytesAndNeverDetached) {
  const std::string file = pool() + "/volumes/" + NewUuid() + ".img";
  MustRun({"cp", ImagePath(idle_), file});
  const std::string loop = AttachByHand(file);
  MustRun({"rm", file});
  const json finding = ExpectOnlyTold("deleted-image");
  EXPECT_THAT(finding["fix"].get<std::string>(), HasSubstr("dd if=" + loop));
  MustRun({"losetup", "--detach", loop});
}

TEST_P(DoctorTest, FrozenVolumeOnRecord_IsThawed) {
  // As a server that died in a cut leaves it; a start would thaw it, this one has started already.
  const std::string staging = StagingPath(used_), freezes = driver().run_folder() + "/freezes";
  struct stat facts;
  ASSERT_EQ(stat(staging.c_str(), &facts), 0);
  fs::create_directories(freezes);
  std::ofstream(fmt::format("{}/{}:{}", freezes, major(facts.st_dev), minor(facts.st_dev)));
  MustRun({"fsfreeze", "--freeze", staging});
  const Answer told = Doctor();
  EXPECT_THAT(told.kinds, ElementsAre("leaked-freeze"));
  // Still frozen: told only.
  const auto writer = Child::Start({"touch", target_ + "/new"}, {});
  EXPECT_FALSE(writer->Wait(std::chrono::milliseconds(300)).has_value()) << "it was not frozen";
  const Answer mended = Doctor(true);
  EXPECT_EQ(mended.exit_code, 0) << mended.findings.dump();
  EXPECT_EQ(writer->Wait(std::chrono::seconds(10)), 0);
}

TEST_P(DoctorTest, StrayFile_IsToldAndMovedOnlyByItsOwner) {
  const std::string file = pool() + "/volumes/stray.img";
  std::ofstream(file) << "somebody's";
  const json finding = ExpectOnlyTold("orphan");
  EXPECT_EQ(finding["object"], "volumes/stray.img");
  MustRun({"rm", file});
}

TEST_P(DoctorTest, SecondNameOfAnImage_IsToldAsAnOrphanThatCannotBeAdopted) {
  MustRun({"ln", ImagePath(idle_), pool() + "/snapshots/second.img"});
  const json finding = ExpectOnlyTold("orphan");
  EXPECT_THAT(finding["fix"].get<std::string>(), HasSubstr(idle_.id));
  EXPECT_EQ(Ctl({"orphan", "adopt", "snapshots/second.img", "--name", "thief"}).exit_code, 1);
  MustRun({"rm", pool() + "/snapshots/second.img"});
}

TEST_P(DoctorTest, CopyOfAnImageInWork_IsToldAndLeft) {
  const std::string image = ImagePath(idle_);
  const std::string copy = pool() + "/work/" + fs::path(image).filename().string();
  MustRun({"cp", "--reflink=never", image, copy});
  EXPECT_THAT(ExpectOnlyTold("work-leftover")["found"].get<std::string>(), HasSubstr("second"));
  MustRun({"rm", copy});
}

TEST_P(DoctorTest, ImageRenamedByHand_IsRenamedBack) {
  MustRun({"mv", ImagePath(idle_), pool() + "/trash/mine"});
  ExpectMended("misplaced-file", idle_.id);
}

TEST_P(DoctorTest, ImageOfARowThatWasRemoved_IsTold) {
  const std::string image = ImagePath(idle_);
  MustRun({"ln", image, pool() + "/kept"});
  MustRun({"rm", image});
  const json finding = ExpectOnlyTold("missing-file");
  EXPECT_EQ(finding["object"], idle_.id);
  MustRun({"mv", pool() + "/kept", image});
}

TEST_P(DoctorTest, ImageReplacedByACopy_IsTold) {
  const std::string image = ImagePath(idle_), kept = pool() + "/kept";
  MustRun({"mv", image, kept});
  MustRun({"cp", "--reflink=never", kept, image});
  ExpectOnlyTold("replaced-image");
  MustRun({"mv", kept, image});
}

TEST_P(DoctorTest, VolumeMountedByHand_IsToldAndLeft) {
  const std::string loop = AttachByHand(ImagePath(idle_));
  const std::string by_hand = folder() + "/by-hand";
  fs::create_directory(by_hand);
  MustRun({"mount", "-o", "ro", loop, by_hand});
  const json finding = ExpectOnlyTold("unrecorded-mount");
  EXPECT_THAT(finding["fix"].get<std::string>(), HasSubstr("umount " + by_hand));
  MustRun({"umount", by_hand});
  MustRun({"losetup", "--detach", loop});
}

TEST_P(DoctorTest, TrashEntryWithoutItsFile_IsDropped) {
  PlantTrashEntry();
  ExpectMended("trash-without-file", "-");
}

TEST_P(DoctorTest, SeveralAtOnce_AreAllMended) {
  const std::string file = pool() + "/work/leftover.img";
  MustRun({"truncate", "--size", "1M", file});
  AttachByHand(ImagePath(idle_));
  PlantTrashEntry();
  EXPECT_THAT(Doctor().kinds,
              UnorderedElementsAre("leaked-loop", "work-leftover", "trash-without-file"));
  const Ended ended = Ctl({"doctor", "--fix"});
  EXPECT_EQ(ended.exit_code, 0) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("mended: 1 pools"));
}

}  // namespace
}  // namespace holdfast
