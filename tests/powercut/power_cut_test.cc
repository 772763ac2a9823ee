// Nothing that was acknowledged is lost when the power goes: the suite, and its controls.
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

#include <fmt/format.h>

#include "base/uuid.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/powercut/attached.h"
#include "tests/powercut/cut_check.h"
#include "tests/powercut/cut_names.h"

namespace holdfast::powercut {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using ::testing::IsEmpty;

constexpr size_t kCuts = 40, kCutsOfFull = 1000;
constexpr size_t kCutsOfARecordingOfFull = 50;
constexpr size_t kLooks = 60, kLooksOfFull = 1000;
constexpr char kBootId[] = "/proc/sys/kernel/random/boot_id";

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Before gRPC and FUSE start a thread: mounts of ours are nobody else's.
class Surroundings final : public ::testing::Environment {
 public:
  void SetUp() override {
    setenv("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "20", 1);
    const char* given = std::getenv("HOLDFAST_TEST_SEED");
    seed = given != nullptr && *given != '\0' ? std::strtoull(given, nullptr, 10)
                                              : std::random_device()();
    const char* wanted = std::getenv("HOLDFAST_TEST_FULL");
    full = wanted != nullptr && *wanted != '\0' && *wanted != '0';
    const char* seconds = std::getenv("HOLDFAST_TEST_BUDGET");
    budget_seconds = seconds != nullptr ? std::atof(seconds) : 0;
    std::cout << "powercut: seed " << seed << " (HOLDFAST_TEST_SEED repeats it)\n";
    ASSERT_EQ(geteuid(), 0u) << "needs root";
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const char* temporary = std::getenv("TEST_TMPDIR");
    std::string path = std::string(temporary != nullptr ? temporary : "/var/tmp") + "/cuts-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    folder = path;
  }

  void TearDown() override {
    if (folder.empty()) return;
    std::error_code ignored;
    EXPECT_THAT(MountsBelow(folder), IsEmpty());
    EXPECT_TRUE(SettledLoopsBelow(folder, 0).empty()) << "loop devices were left";
    fs::remove_all(folder, ignored);
    EXPECT_FALSE(fs::exists(folder));
  }

  uint64_t seed = 0;
  bool full = false;
  double budget_seconds = 0;
  std::string folder;
};
Surroundings* const kSurroundings =
    static_cast<Surroundings*>(::testing::AddGlobalTestEnvironment(new Surroundings));

// After a power cut the kernel is another one: what was staged under the old one is not staged.
class AnotherBoot {
 public:
  explicit AnotherBoot(const std::string& folder) : path_(folder + "/boot_id") {
    std::ofstream(path_) << NewUuid() << '\n';
    EXPECT_EQ(mount(path_.c_str(), kBootId, nullptr, MS_BIND, nullptr), 0);
  }
  ~AnotherBoot() {
    EXPECT_EQ(umount2(kBootId, 0), 0);
    unlink(path_.c_str());
  }
  AnotherBoot(const AnotherBoot&) = delete;
  AnotherBoot& operator=(const AnotherBoot&) = delete;

 private:
  const std::string path_;
};

class PowerCutTest : public ::testing::TestWithParam<PoolKind> {
 protected:
  PowerCutTest() : random_(kSurroundings->seed * 41 + static_cast<uint64_t>(GetParam())) {}

  std::unique_ptr<Recording> Record(Load load, const std::string& program = "",
                                    std::chrono::seconds length = std::chrono::seconds(6)) {
    const std::string folder = kSurroundings->folder + "/recording";
    auto made = Recording::Make(folder, {.pool = GetParam(),
                                         .load = load,
                                         .seed = random_(),
                                         .length = length,
                                         .program = program});
    fs::remove_all(folder);
    EXPECT_TRUE(made.ok()) << made.status();
    if (!made.ok()) return nullptr;
    std::cout << "powercut: " << (*made)->Summary() << '\n';
    const size_t least = load == Load::kOneDelete ? 1 : 10;
    EXPECT_GT((*made)->disk().FlushesBefore((*made)->end()), least);
    EXPECT_GE((*made)->CallAcks().size(), least);
    if (load == Load::kWritersAndCalls) {
      EXPECT_GT((*made)->ledger().AckedWrites(), 100u);
    }
    return *std::move(made);
  }

  // At any moment, and as often where a call has just been acknowledged.
  size_t AnyCut(const Recording& recording) {
    const auto acks = recording.CallAcks();
    if (random_() % 2 == 0) return acks[random_() % acks.size()];
    return 1 + random_() % recording.end();
  }

  LoggedDisk::Fate AnyFate() {
    const uint64_t dice = random_() % 100;
    if (dice < 40) return LoggedDisk::Fate::kLost;
    if (dice < 55) return LoggedDisk::Fate::kKept;
    return dice < 75 ? LoggedDisk::Fate::kByWrite : LoggedDisk::Fate::kByPage;
  }

  std::vector<std::string> Check(const Recording& recording, LoggedDisk::Pages pages, size_t cut) {
    const AnotherBoot boot(kSurroundings->folder);
    CutCheck check(recording, kSurroundings->folder + "/cut", std::move(pages), cut, random_());
    auto violations = check.Run();
    objects_ += check.objects();
    cells_ += check.cells();
    return violations;
  }

  std::mt19937_64 random_;
  size_t objects_ = 0, cells_ = 0;
};

std::string PoolName(const ::testing::TestParamInfo<PoolKind>& info) {
  return PoolKindName(info.param);
}
INSTANTIATE_TEST_SUITE_P(Pools, PowerCutTest, ::testing::Values(PoolKind::kXfs, PoolKind::kBtrfs),
                         PoolName);

TEST_P(PowerCutTest, CutAtAnyMoment_KeepsAllThatWasAcknowledged) {
  const auto start = Clock::now();
  const size_t wanted = (kSurroundings->full ? kCutsOfFull : kCuts) / 2;
  const size_t each = kSurroundings->full ? kCutsOfARecordingOfFull : wanted / 2;
  size_t cuts = 0, recordings = 0;
  double checking = 0;
  std::unique_ptr<Recording> recording;
  while (cuts < wanted || SecondsSince(start) < kSurroundings->budget_seconds / 2) {
    if (cuts % each == 0) {
      recording = Record(recordings++ % 2 == 0 ? Load::kWritersAndCalls : Load::kCalls);
    }
    ASSERT_NE(recording, nullptr);
    const size_t cut = AnyCut(*recording);
    const LoggedDisk::Fate fate = AnyFate();
    const auto before = Clock::now();
    const auto violations = Check(*recording, recording->disk().AfterCut(cut, fate, random_), cut);
    checking += SecondsSince(before);
    ++cuts;
    ASSERT_THAT(violations, IsEmpty())
        << fmt::format("cut {} at entry {} of {}, {}, seed {}", cuts, cut, recording->end(),
                       FateName(fate), kSurroundings->seed);
  }
  std::cout << fmt::format(
      "powercut: {} pool: {} cuts of {} recordings, {:.2f} s each; {} objects and {} cells "
      "compared\n",
      PoolKindName(GetParam()), cuts, recordings, checking / static_cast<double>(cuts), objects_,
      cells_);
  EXPECT_GT(objects_, cuts);
  EXPECT_GT(cells_, cuts);
}

// btrfs's log did not keep what an fsync of a folder had promised: a file that had been renamed out
// of it was back in 218 of 1,115 cuts of one recording.
TEST_P(PowerCutTest, CutBehindAnyFlush_LeavesEveryFileWhereItsRowWantsIt) {
  const size_t wanted = kSurroundings->full ? kLooksOfFull : kLooks;
  const auto recording = Record(Load::kWritersAndCalls);
  ASSERT_NE(recording, nullptr);
  size_t planted = 0;
  for (size_t look = 0; look < wanted; ++look) {
    const size_t cut = 1 + random_() % recording->end();
    LoggedDisk disk(recording->disk().AfterCut(cut, LoggedDisk::Fate::kLost, random_));
    PoolDisk pool(disk, kSurroundings->folder + "/look");
    ASSERT_EQ(pool.status(), absl::OkStatus());
    ASSERT_EQ(pool.Mount(GetParam()), absl::OkStatus());
    const auto misplaced = MisplacedFiles(pool.path());
    ASSERT_TRUE(misplaced.ok()) << misplaced.status();
    ASSERT_THAT(*misplaced, IsEmpty()) << "entry " << cut << " of " << recording->end();
    // The control, on the last one: a name that nobody wants is found.
    if (look + 1 == wanted) {
      std::ofstream(pool.path() + "/snapshots/" + NewUuid() + ".img") << "planted";
      planted = MisplacedFiles(pool.path())->size();
    }
    ASSERT_EQ(pool.Unmount(), absl::OkStatus());
  }
  EXPECT_EQ(planted, 1u);
}

// The file of a purged volume was unlinked and its row removed without an fsync between them.
TEST_P(PowerCutTest, CutAfterEachFlushOfADelete_LeavesNoImageWithoutARow) {
  const auto recording = Record(Load::kOneDelete);
  ASSERT_NE(recording, nullptr);
  size_t cuts = 0;
  for (size_t cut = 1; cut <= recording->end(); ++cut) {
    const bool flushed =
        recording->disk().FlushesBefore(cut) > recording->disk().FlushesBefore(cut - 1);
    if (!flushed && cut < recording->end()) continue;
    const auto pages = recording->disk().AfterCut(cut, LoggedDisk::Fate::kLost, random_);
    ASSERT_THAT(Check(*recording, pages, cut), IsEmpty())
        << "entry " << cut << " of " << recording->end();
    ++cuts;
  }
  EXPECT_GT(cuts, 2u);
}

// --- Controls: what must be found is found ----------------------------------------------------

TEST_P(PowerCutTest, DiskOlderThanTheLedger_IsFound) {
  const auto recording = Record(Load::kCalls);
  ASSERT_NE(recording, nullptr);
  const auto old =
      recording->disk().AfterCut(recording->end() / 2, LoggedDisk::Fate::kKept, random_);
  const auto violations = Check(*recording, old, recording->end());
  ASSERT_FALSE(violations.empty());
  std::cout << "powercut: control: " << violations.size()
            << " violations, the first: " << violations.front() << '\n';
}

TEST_P(PowerCutTest, DiskThatIgnoresFlushes_LosesWhatWasAcknowledged) {
  const auto recording = Record(Load::kWritersAndCalls);
  ASSERT_NE(recording, nullptr);
  size_t lost = 0, cuts = 0;
  std::string first;
  for (const size_t entries : {size_t{200}, size_t{2000}, recording->end()}) {
    const size_t cut = recording->end() - random_() % (recording->end() / 4);
    const size_t lie = cut > entries ? cut - entries : 0;
    const auto violations =
        Check(*recording, recording->disk().AfterCutWithoutFlushes(lie, cut, random_), cut);
    ++cuts;
    if (violations.empty()) continue;
    ++lost;
    if (first.empty()) first = violations.front();
  }
  std::cout << fmt::format(
      "powercut: control: flushes ignored: {} of {} cuts lost something, the first: {}\n", lost,
      cuts, first);
  EXPECT_GT(lost, 0u);
}

TEST_P(PowerCutTest, DriverThatDoesNotSyncItsImages_LosesWhatItAcknowledged) {
  constexpr size_t kMostCuts = 30;
  // While the catalog's log still grows, each commit makes its new size durable, and on XFS with it
  // whatever was created before: it must have come round, after a thousand pages.
  const auto recording =
      Record(Load::kCalls, ProgramPath("holdfast_without_image_fsync"), std::chrono::seconds(15));
  ASSERT_NE(recording, nullptr);
  const auto acks = recording->CallAcks();
  for (size_t cuts = 1; cuts <= kMostCuts; ++cuts) {
    const size_t cut = acks[random_() % acks.size()];
    const auto violations =
        Check(*recording, recording->disk().AfterCut(cut, LoggedDisk::Fate::kLost, random_), cut);
    if (violations.empty()) continue;
    std::cout << fmt::format("powercut: control: no fsync of images: cut {} lost something: {}\n",
                             cuts, violations.front());
    return;
  }
  FAIL() << "a driver that does not sync its images lost nothing in " << kMostCuts << " cuts";
}

}  // namespace
}  // namespace holdfast::powercut
