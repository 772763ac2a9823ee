#include "tests/crash/crash_world.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <filesystem>
#include <future>
#include <thread>

#include "catalog/catalog.h"
#include "nlohmann/json.hpp"
#include "os/unique_fd.h"
#include "tests/integration/pool_space.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
constexpr std::chrono::seconds kPurgeDeadline{10};

bool IsIn(const std::vector<std::string>& list, const std::string& wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

}  // namespace

void PrintTo(const CrashCase& crash, std::ostream* out) { *out << crash.kind.name; }

std::string CrashCaseName(const ::testing::TestParamInfo<CrashCase>& info) {
  const CrashCase& crash = info.param;
  return std::string(crash.victim == Victim::kRecovery ? "RecoveryFrom" : "") + crash.kind.name +
         "_" + ContentName(crash.ground.content) + "_on_" + PoolKindName(crash.ground.pool);
}

std::unique_ptr<DriverProcess> CrashWorld::MakeDriver(const std::string& folder,
                                                      const std::vector<std::string>& pools) {
  auto made = std::make_unique<TracedDriver>(folder, pools);
  made->set_trash_grace(GetParam().kind.make()->trash_grace());
  return made;
}

void CrashWorld::MakeSource(bool shown) {
  ASSERT_OK_AND_ASSIGN(source, Create({.name = "source", .content = content()}));
  ASSERT_OK_AND_ASSIGN(target, Show(source));
  ASSERT_EQ(WriteBytes(DataPath(source, target), 0, kKnownBytes, kSeedOfSource), 0);
  if (shown) return;
  ASSERT_OK(PutAway(source));
  target.clear();
}

void CrashWorld::Dirty(const std::string& shown) {
  const std::string path = block() ? shown : shown + "/dirty";
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  ASSERT_TRUE(file.valid()) << path;
  const std::string bytes(64 * kKiB, 'd');
  ASSERT_EQ(pwrite(file.get(), bytes.data(), bytes.size(), 2 * kKnownBytes),
            static_cast<ssize_t>(bytes.size()));
}

void CrashWorld::ExpectKnown(const Claim& claim) {
  ASSERT_OK_AND_ASSIGN(const std::string shown, Show(claim));
  ExpectKnownAt(claim, shown);
  ASSERT_OK(PutAway(claim));
}

void CrashWorld::ExpectKnownAt(const Claim& claim, const std::string& shown) {
  EXPECT_TRUE(HasBytes(DataPath(claim, shown), 0, kKnownBytes, kSeedOfSource));
}

void CrashWorld::ExpectWritable(const Claim& claim, const std::string& shown,
                                std::chrono::seconds deadline) {
  const std::string path = IsBlock(claim) ? shown : shown + "/probe";
  auto written = std::async(std::launch::async,
                            [&path] { return WriteBytes(path, 4 * kKnownBytes, kBlockBytes, 1); });
  if (written.wait_for(deadline) == std::future_status::ready) {
    EXPECT_EQ(written.get(), 0) << path << ": cannot be written";
    return;
  }
  ADD_FAILURE() << path << ": a write did not end within " << deadline.count()
                << " s; is its filesystem frozen?";
  const UniqueFd root(open(shown.c_str(), O_RDONLY | O_CLOEXEC));
  ioctl(root.get(), FITHAW, 0);  // else the writer never ends, and neither do we
}

size_t CrashWorld::TrashEntries() const {
  const auto catalog = OpenCatalog(pool() + "/catalog.db", Catalog::Access::kReadOnly);
  EXPECT_TRUE(catalog.ok()) << catalog.status();
  if (!catalog.ok()) return 0;
  const auto entries = (*catalog)->ListTrash();
  EXPECT_TRUE(entries.ok()) << entries.status();
  return entries.ok() ? entries->size() : 0;
}

bool CrashWorld::WaitForEmptyTrash() {
  const auto deadline = std::chrono::steady_clock::now() + kPurgeDeadline;
  while (TrashEntries() > 0) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

bool CrashWorld::PurgedOrKilled() {
  const auto deadline = std::chrono::steady_clock::now() + kPurgeDeadline;
  while (TrashEntries() > 0 && !traced().KilledAndGone()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

uint32_t CrashWorld::CountCalls(Operation& operation) {
  operation.Prepare(*this);
  if (HasFailure()) return 0;
  uint32_t count = 0;
  if (GetParam().victim == Victim::kCall) {
    traced().Arm({});
    EXPECT_OK(operation.Call(*this));
    traced().Disarm();
    count = traced().Count();
  } else {
    EXPECT_TRUE(Interrupt(operation, InterruptionOf(operation))) << "no kill before the recovery";
    EXPECT_TRUE(StartArmed({})) << driver().Log();
    count = traced().Count();
    if (!HasFailure()) Connect();
  }
  FinishAndCheck(operation);
  return count;
}

KillPoint CrashWorld::InterruptionOf(const Operation& operation) {
  return {.when = operation.interrupted(), .name = operation.interruption(content())};
}

bool CrashWorld::Interrupt(Operation& operation, const KillPoint& point) {
  traced().Arm(point);
  const absl::Status answer = operation.Call(*this);
  traced().Disarm();
  if (traced().KilledAndGone()) return true;
  EXPECT_OK(answer);
  return false;
}

bool CrashWorld::StartArmed(const KillPoint& point) {
  bool serves = traced().Start(point);
  // The socket is there before the start has done its last.
  if (serves) serves = CsiClient(driver().socket()).Call(csi::v1::ProbeRequest()).ok();
  traced().Disarm();
  return serves;
}

bool CrashWorld::InterruptRecovery(Operation& operation, const KillPoint& point) {
  if (!Interrupt(operation, InterruptionOf(operation))) {
    ADD_FAILURE() << "no kill before the recovery";
    return false;
  }
  const bool serves = StartArmed(point);
  if (traced().KilledAndGone()) return true;
  EXPECT_TRUE(serves) << "the driver did not start: " << driver().Log();
  if (serves) Connect();
  return false;
}

bool CrashWorld::KillOnce(Operation& operation, const KillPoint& point) {
  operation.Prepare(*this);
  if (HasFailure()) return false;
  const bool killed = GetParam().victim == Victim::kCall ? Interrupt(operation, point)
                                                         : InterruptRecovery(operation, point);
  calls_made_ = traced().Count();
  SCOPED_TRACE("killed " + std::string(point.when == KillWhen::kBefore ? "before" : "after") +
               " call " + std::to_string(point.call) + ", " + traced().CallName(point.call));
  if (HasFailure()) return killed;
  if (killed) {
    // At once: what the killed one had started may still run.
    EXPECT_TRUE(traced().Start()) << driver().Log();
    if (HasFailure()) return killed;
    Connect();
    EXPECT_TRUE(traced().WaitForOrphans()) << "a program that the killed driver started hangs";
    Audit();
    if (HasFailure()) return killed;
  }
  FinishAndCheck(operation);
  return killed;
}

void CrashWorld::FinishAndCheck(Operation& operation) {
  if (HasFailure()) return;
  ASSERT_OK(operation.Again(*this));
  if (operation.trash_grace().count() == 0) {
    ASSERT_TRUE(WaitForEmptyTrash()) << "the trash is not purged";
  }
  traced().Arm({});
  ASSERT_OK(operation.Again(*this));
  traced().Disarm();
  EXPECT_LE(traced().Count(), operation.calls_of_repeat())
      << "the repeated call was no no-op: " << traced().CallName(1);
  Audit();
  if (HasFailure()) return;
  operation.Verify(*this);
  if (!HasFailure()) operation.Clean(*this);
}

void CrashWorld::Audit() {
  ExpectNothingHalfDone();
  AuditByAdminProgram();
  AuditLoopsAndMounts();
  EXPECT_TRUE(KeepsItsPromises(pool()));
  for (const std::string& left : {driver().run_folder() + "/freezes", driver().temporary()}) {
    EXPECT_TRUE(!fs::exists(left) || fs::is_empty(left)) << left << " holds something";
  }
  if (!target.empty() && Mounted(target)) ExpectWritable(source, target);
}

// What an administrator is told, beside the running server.
void CrashWorld::AuditByAdminProgram() {
  const auto ask = [&](const std::vector<std::string>& what) {
    std::vector<std::string> arguments = {"--json"};
    arguments.insert(arguments.end(), what.begin(), what.end());
    const Ended ended = Ctl(arguments);
    EXPECT_EQ(ended.exit_code, 0) << ended.output;
    return nlohmann::json::parse(ended.output, nullptr, /*allow_exceptions=*/false);
  };
  const auto status = ask({"pool", "status"});
  const auto volumes = ask({"volume", "list"}), snapshots = ask({"snapshot", "list"});
  ASSERT_TRUE(status.is_object() && volumes.is_object() && snapshots.is_object());
  EXPECT_EQ(status["pools"][0]["refusal"], "");
  for (const auto& volume : volumes["volumes"]) EXPECT_EQ(volume["state"], "ready") << volume;
  for (const auto& snapshot : snapshots["snapshots"]) {
    EXPECT_EQ(snapshot["state"], "ready") << snapshot;
  }
  EXPECT_EQ(status["pools"][0]["volumes"], volumes["volumes"].size());
  EXPECT_EQ(status["pools"][0]["snapshots"], snapshots["snapshots"].size());
}

// A loop device is that of a volume whose record says that it is staged, once for each, and
// what is mounted is mounted where this test asked for it.
void CrashWorld::AuditLoopsAndMounts() {
  const auto catalog = OpenCatalog(pool() + "/catalog.db", Catalog::Access::kReadOnly);
  ASSERT_TRUE(catalog.ok()) << catalog.status();
  const auto volumes = (*catalog)->AllVolumes();
  ASSERT_TRUE(volumes.ok()) << volumes.status();
  std::vector<std::string> lawful = {pool() + ".disk"}, places = {pool()};
  for (const Volume& volume : *volumes) {
    places.push_back(StagingPath(Claim{.id = volume.id}));
    places.push_back(TargetPath(Claim{.id = volume.id}));
    if (volume.stage.last_end != LastEnd::kStaged) continue;
    lawful.push_back(pool() + "/volumes/" + volume.incarnation + ".img");
  }
  std::vector<std::string> unlawful;
  for (int tries = 0; tries < 300; ++tries) {  // a dead process' mounts go in the background
    unlawful.clear();
    std::vector<std::string> seen;
    for (const std::string& loop : LoopsBelow(folder())) {
      const std::string backing = loop.substr(loop.find(' ') + 1);
      if (!IsIn(lawful, backing) || IsIn(seen, backing)) unlawful.push_back(loop);
      seen.push_back(backing);
    }
    if (unlawful.empty()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(unlawful.empty()) << "attached without a right: " << unlawful.front();
  for (const std::string& mount : MountsBelow(folder())) {
    EXPECT_TRUE(IsIn(places, mount)) << mount << ": mounted without a right";
  }
}

}  // namespace holdfast
