// Sixteen clients, two hundred volumes, every call, and an answer that is known for each.
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <set>
#include <thread>

#include "base/sizes.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/integration/capability.h"
#include "tests/integration/driver_process.h"
#include "tests/integration/integration_test.h"
#include "tests/integration/pool_space.h"
#include "tests/integration/scratch_disk.h"
#include "tests/load/clients.h"
#include "tests/load/leftovers.h"
#include "tests/load/lists.h"
#include "tests/load/traces.h"

namespace holdfast::load {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Sparse: what is promised must fit, not what is written.
constexpr std::array<uint64_t, kPools> kPoolBytes = {192 * kGiB, 96 * kGiB};
constexpr uint64_t kTooLargeBytes = 512 * kGiB;
// Of what each client should reach on a slow machine that does other things too.
constexpr uint64_t kLeastCallsPerSecond = 8;
constexpr std::chrono::seconds kLongestRound{60};

uint64_t Number(const char* variable, uint64_t otherwise) {
  const char* given = std::getenv(variable);
  return given != nullptr && *given != '\0' ? std::strtoull(given, nullptr, 10) : otherwise;
}

uint64_t Seed() {
  static const uint64_t seed = Number("HOLDFAST_TEST_SEED", std::random_device()());
  return seed;
}

std::chrono::seconds Budget() {
  const bool full = Number("HOLDFAST_TEST_FULL", 0) != 0;
  return std::chrono::seconds(Number("HOLDFAST_TEST_BUDGET", full ? 600 : 60));
}

class LoadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    const char* temporary = std::getenv("TMPDIR");
    std::string path = fmt::format("{}/load-XXXXXX", temporary != nullptr ? temporary : "/tmp");
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    folder_ = path;
    std::array<PoolSite, kPools> pools;
    for (size_t i = 0; i < kPools; ++i)
      pools[i] = MakePool(i == 0 ? PoolKind::kXfs : PoolKind::kBtrfs, kPoolBytes[i]);
    ASSERT_FALSE(HasFailure());
    driver_ = std::make_unique<DriverProcess>(
        folder_, std::vector<std::string>{pools[0].path, pools[1].path});
    driver_->flags() = {"--log-level", "warn"};
    ASSERT_TRUE(driver_->Start()) << driver_->Log();
    site_ = std::make_unique<Site>(pools, driver_->kubelet(), "node-1");
    site_->MakeFolders();
  }

  PoolSite MakePool(PoolKind kind, uint64_t bytes) {
    const std::string name = PoolKindName(kind);
    disks_.push_back(std::make_unique<ScratchDisk>(folder_, name, bytes, MkfsOf(kind)));
    const std::string path = disks_.back()->path();
    const std::string text =
        MustRun({ProgramPath("holdfastctl"), "--json", "pool", "init", path, "--name", name});
    const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    EXPECT_TRUE(json.contains("uuid")) << text;
    return {.name = name, .uuid = json.value("uuid", ""), .path = path, .size_bytes = bytes};
  }

  void TearDown() override {
    if (folder_.empty()) return;
    if (HasFailure() && driver_ != nullptr) {
      const std::string log = driver_->Log();
      std::cerr << log.substr(log.size() - std::min<size_t>(log.size(), 6000));
    }
    if (driver_ != nullptr) {
      EXPECT_EQ(driver_->Stop(), 0);
    }
    CleanAfterFailure();
    disks_.clear();
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  void CleanAfterFailure() {
    const std::set<std::string> ours = OwnMountsAndLoops();
    std::vector<std::string> mounts = MountsBelow(folder_);
    std::reverse(mounts.begin(), mounts.end());
    for (const std::string& mount : mounts) {
      if (!ours.contains(mount)) umount2(mount.c_str(), MNT_DETACH);
    }
    for (const std::string& loop : LoopsBelow(folder_)) {
      const std::string device = loop.substr(0, loop.find(' '));
      if (!ours.contains(device)) Execute({"losetup", "--detach", device});
    }
  }

  std::set<std::string> OwnMountsAndLoops() const {
    std::set<std::string> ours;
    for (const auto& disk : disks_) ours.insert({disk->path(), disk->loop()});
    return ours;
  }

  // Nobody calls: every list is exact and whole, capacity is what the pools' numbers leave.
  void CheckQuiet(const Ledger& ledger) {
    CsiClient client(driver_->socket());
    EXPECT_THAT(ledger.Doubtful(), IsEmpty());
    const World known = ledger.Known();
    const ListAnswer volumes = CheckVolumes(client, *site_, ledger, 0);
    EXPECT_EQ(volumes.wrong, "");
    EXPECT_GE(volumes.compared, known.volumes.size());
    const ListAnswer snapshots = CheckSnapshots(client, *site_, ledger, 7, kNone);
    EXPECT_EQ(snapshots.wrong, "");
    EXPECT_GE(snapshots.compared, known.snapshots.size());
    for (int pool = 0; pool < kPools; ++pool) {
      EXPECT_EQ(CheckCapacity(client, *site_, pool, Content::kExt4, /*quiet=*/true).wrong, "");
      EXPECT_TRUE(KeepsItsPromises(site_->pool(pool).path)) << site_->pool(pool).name;
    }
    std::cout << fmt::format("quiet: {} volumes and {} snapshots listed as they are\n",
                             known.volumes.size(), known.snapshots.size());
    most_volumes_ = std::max(most_volumes_, known.volumes.size());
  }

  // After the first round all threads and pools of memory are there: then it may grow no more
  // than a little, however many calls follow.
  void ExpectMemoryBounded(uint64_t after_first, uint64_t at_end) {
    constexpr uint64_t kAllowance = 48 * kMiB;
    std::cout << fmt::format("memory {} after the first round, {} at the end\n",
                             FormatBytes(after_first), FormatBytes(at_end));
    EXPECT_LE(at_end, after_first + kAllowance);
  }

  std::string folder_;
  std::vector<std::unique_ptr<ScratchDisk>> disks_;
  std::unique_ptr<DriverProcess> driver_;
  std::unique_ptr<Site> site_;
  size_t most_volumes_ = 0;
};

void ExpectEnough(const Tally& tally, uint64_t seconds) {
  EXPECT_GE(tally.calls(), kLeastCallsPerSecond * seconds) << "too few calls to mean anything";
  for (int method = 0; method < kMethods; ++method) {
    EXPECT_GT(tally.CallsOf(static_cast<Method>(method)), 0u)
        << MethodName(static_cast<Method>(method)) << " never ran";
  }
  EXPECT_GT(tally.tags_seen, 0u);
  EXPECT_GT(tally.inherited_tags_seen, 0u) << "no clone or restore was ever looked into";
  EXPECT_GT(tally.listed, 0u);
  EXPECT_GT(tally.WithCode(absl::StatusCode::kAborted), 0u) << "no two calls ever met";
  EXPECT_GT(tally.WithCode(absl::StatusCode::kAlreadyExists), 0u);
}

TEST_F(LoadTest, SixteenClientsOnTwoHundredVolumes_EveryAnswerIsLawful_AndNothingIsLeft) {
  const uint64_t seed = Seed();
  const std::chrono::seconds budget = Budget();
  std::cout << fmt::format(
      "load: seed {} (HOLDFAST_TEST_SEED repeats it), {} clients, {} slots, {} s\n", seed,
      Clients::kCount, kVolumeSlots, budget.count());
  Ledger ledger({.too_large_bytes = kTooLargeBytes, .ext4_grows_mounted = HasResourceCapability()});
  Clients clients(*site_, ledger, driver_->socket(), seed, kTooLargeBytes);
  ASSERT_TRUE(CsiClient(driver_->socket()).Call(csi::v1::ListVolumesRequest()).ok());
  const Leftovers leftovers(folder_, *driver_, *site_);

  const auto rounds = std::max<long>(3, (budget + kLongestRound / 2) / kLongestRound);
  const auto begin = std::chrono::steady_clock::now();
  std::chrono::duration<double> busy{0};
  uint64_t memory_after_first = 0;
  for (long round = 0; round < rounds; ++round) {
    const auto started = std::chrono::steady_clock::now();
    clients.Run(std::chrono::milliseconds(budget) / rounds);
    busy += std::chrono::steady_clock::now() - started;
    if (clients.wrong().empty()) clients.Settle();
    for (const std::string& wrong : clients.wrong()) ADD_FAILURE() << wrong;
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
    CheckQuiet(ledger);
    if (round == 0) memory_after_first = TracesOf(driver_->pid()).memory_bytes;
  }
  const uint64_t calls = clients.tally().calls();
  const uint64_t memory_at_end = TracesOf(driver_->pid()).memory_bytes;
  clients.TakeDown();
  for (const std::string& wrong : clients.wrong()) ADD_FAILURE() << wrong;
  std::cout << clients.tally().Table();
  std::cout << fmt::format(
      "load: {} calls in {:.1f} s of load ({:.1f} a second), {} in all with the taking down; {} "
      "answers "
      "judged, {} of them together with others; {} tags seen, {} in copies; {} listed entries "
      "compared; at most {} volumes at once\n",
      calls, busy.count(), static_cast<double>(calls) / busy.count(), clients.tally().calls(),
      ledger.judged(), ledger.judged_together(), clients.tally().tags_seen,
      clients.tally().inherited_tags_seen, clients.tally().listed, most_volumes_);
  ASSERT_FALSE(HasFailure()) << "seed " << seed;
  ExpectEnough(clients.tally(), static_cast<uint64_t>(budget.count()));
  EXPECT_THAT(leftovers.Found(), IsEmpty());
  std::cout << leftovers.Summary();
  ExpectMemoryBounded(memory_after_first, memory_at_end);
  std::cout << fmt::format(
      "{:.1f} s in all\n",
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
}

// --- Controls: what must be found is found ----------------------------------------------------

TEST_F(LoadTest, WhatIsLeftBehind_IsFound_AndNothingElse) {
  constexpr uint64_t kLeakedBytes = 128 * kMiB;  // more than a pool's metadata may take
  { ASSERT_TRUE(CsiClient(driver_->socket()).Call(csi::v1::ListVolumesRequest()).ok()); }
  const Leftovers leftovers(folder_, *driver_, *site_);
  EXPECT_THAT(leftovers.Found(), IsEmpty());

  CsiClient client(driver_->socket());
  csi::v1::CreateVolumeRequest create;
  create.set_name("left");
  create.mutable_capacity_range()->set_required_bytes(kLeakedBytes);
  create.add_volume_capabilities()->mutable_block();
  create.mutable_volume_capabilities(0)->mutable_access_mode()->set_mode(kReadWriteOnce);
  const auto created = client.Call(create);
  ASSERT_TRUE(created.ok()) << created.status();
  const std::string file = folder_ + "/left.img", mount_point = driver_->kubelet() + "/left";
  const std::string record = driver_->run_folder() + "/left";
  MustRun({"truncate", "--size", "1M", file});
  const std::string loop = MustRun({"losetup", "--find", "--show", file});
  fs::create_directory(mount_point);
  ASSERT_EQ(mount("left", mount_point.c_str(), "tmpfs", 0, nullptr), 0);
  std::ofstream(record).close();
  CsiClient other(driver_->socket());
  ASSERT_TRUE(other.Call(csi::v1::ListVolumesRequest()).ok());
  const std::vector<std::string> found = leftovers.Found();
  for (const char* kind : {"mounted: ", "attached: ", "in the run folder: ", "descriptors, ",
                           "volumes: 1", "/volumes: ", "less free than before"}) {
    EXPECT_THAT(found, Contains(HasSubstr(kind)));
  }
  std::cout << fmt::format("load: control: {} of the planted leaks found\n", found.size());

  csi::v1::DeleteVolumeRequest remove;
  remove.set_volume_id(created->volume().volume_id());
  EXPECT_TRUE(client.Call(remove).ok());
  MustRun({"losetup", "--detach", loop.substr(0, loop.find('\n'))});
  EXPECT_EQ(umount2(mount_point.c_str(), 0), 0);
  fs::remove(mount_point);
  fs::remove(record);
}

// A driver that forgets volumes would be one that somebody else deletes from.
TEST_F(LoadTest, VolumesThatVanishBehindTheModel_AreFound) {
  Ledger ledger({.too_large_bytes = kTooLargeBytes, .ext4_grows_mounted = HasResourceCapability()});
  Clients clients(*site_, ledger, driver_->socket(), Seed(), kTooLargeBytes);
  std::atomic<bool> over = false;
  std::atomic<int> deletes = 0;
  std::jthread other([&] {
    CsiClient client(driver_->socket());
    for (int slot = 0; !over; slot = (slot + 1) % kVolumeSlots) {
      csi::v1::DeleteVolumeRequest remove;
      remove.set_volume_id(site_->VolumeId(slot));
      deletes += client.Call(remove).ok() ? 1 : 0;
    }
  });
  clients.Run(std::chrono::seconds(30));
  over = true;
  EXPECT_FALSE(clients.wrong().empty()) << deletes << " deletes behind the model were not noticed";
  std::cout << fmt::format("load: control: noticed after {} calls, {} foreign deletes\n",
                           clients.tally().calls(), deletes.load());
}

}  // namespace
}  // namespace holdfast::load
