// The invariant under random creates, snapshots, writes, clones, expansions and deletes.
#include <cstdlib>
#include <iostream>
#include <random>

#include "tests/integration/integration_test.h"
#include "tests/integration/pool_space.h"

namespace holdfast {
namespace {

constexpr int kSteps = 60;

class RandomSpaceTest : public PoolTest {
 protected:
  RandomSpaceTest() : PoolTest(2560 * kMiB) {}

  struct Device {
    Claim claim;
    std::string target;
    // What each part of kPartBytes was last written with; absent: zeroes.
    std::map<uint64_t, uint64_t> seeds;
  };
  static constexpr uint64_t kPartBytes = 8 * kMiB;

  uint64_t Below(uint64_t limit) { return random_() % limit; }

  // Either it works, or the pool has no room and says so.
  bool Admitted(const absl::Status& status) {
    if (status.ok()) return true;
    ++refused_;
    EXPECT_TRUE(absl::IsResourceExhausted(status) || absl::IsOutOfRange(status)) << status;
    return false;
  }

  void Keep(const absl::StatusOr<Claim>& made, const std::map<uint64_t, uint64_t>& seeds) {
    if (!Admitted(made.status())) return;
    ASSERT_OK_AND_ASSIGN(const std::string target, Show(*made));
    devices_.push_back({*made, target, seeds});
  }

  std::string NewName() { return "random-" + std::to_string(++names_); }

  Wanted NewWanted(uint64_t bytes) {
    return {.name = NewName(),
            .content = Content::kBlock,
            .bytes = bytes,
            .parameters = {{"provisioning", Below(2) == 0 ? "thick" : "thin"}}};
  }

  void Write(Device& device) {
    const uint64_t part = Below(device.claim.bytes / kPartBytes);
    const uint64_t seed = random_();
    ASSERT_EQ(WriteBytesDirect(device.target, part * kPartBytes, kPartBytes, seed), 0);
    device.seeds[part] = seed;
  }

  void Step() {
    const uint64_t dice = Below(100);
    if (dice < 20 || devices_.empty()) {
      Keep(Create(NewWanted((2 + Below(64)) * kPartBytes)), {});
      return;
    }
    const size_t index = Below(devices_.size());
    Device& device = devices_[index];
    if (dice < 50) {
      for (int i = 0; i < 4; ++i) Write(device);
    } else if (dice < 65) {
      const auto snapshot = Snapshot(device.claim, NewName());
      if (Admitted(snapshot.status())) snapshots_.push_back({*snapshot, device.seeds});
    } else if (dice < 72) {
      Wanted wanted = NewWanted(0);
      wanted.volume_id = device.claim.id;
      Keep(Create(wanted), std::map(device.seeds));
    } else if (dice < 79 && !snapshots_.empty()) {
      const auto& [id, seeds] = snapshots_[Below(snapshots_.size())];
      Wanted wanted = NewWanted(0);
      wanted.snapshot_id = id;
      Keep(Create(wanted), seeds);
    } else if (dice < 86) {
      if (Admitted(Expand(device.claim, device.claim.bytes + 4 * kPartBytes))) {
        ASSERT_OK(ExpandOnNode(device.claim, device.target));
      }
    } else if (dice < 94) {
      ASSERT_OK(PutAway(device.claim));
      ASSERT_OK(Delete(device.claim));
      devices_.erase(devices_.begin() + static_cast<long>(index));
    } else if (!snapshots_.empty()) {
      ASSERT_OK(DeleteSnapshot(snapshots_.back().first));
      snapshots_.pop_back();
    }
  }

  void ExpectContents(const Device& device) {
    for (uint64_t part = 0; part < device.claim.bytes / kPartBytes; ++part) {
      const auto seed = device.seeds.find(part);
      const uint64_t offset = part * kPartBytes;
      EXPECT_TRUE(seed == device.seeds.end()
                      ? HasZeroes(device.target, offset, kPartBytes)
                      : HasBytes(device.target, offset, kPartBytes, seed->second))
          << device.claim.id;
    }
  }

  std::mt19937_64 random_;
  int names_ = 0, refused_ = 0;
  std::vector<Device> devices_;
  std::vector<std::pair<std::string, std::map<uint64_t, uint64_t>>> snapshots_;
};

INSTANTIATE_TEST_SUITE_P(Pools, RandomSpaceTest,
                         ::testing::Values(PoolKind::kXfs, PoolKind::kBtrfs), PoolTestName);

TEST_P(RandomSpaceTest, Invariant_HoldsAtEachStep_AndEveryVolumeCanBeFilledAtTheEnd) {
  const char* given = std::getenv("HOLDFAST_TEST_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::cout << "seed " << seed << " (HOLDFAST_TEST_SEED repeats it)\n";
  random_.seed(seed);
  for (int step = 0; step < kSteps; ++step) {
    SCOPED_TRACE("step " + std::to_string(step) + " of seed " + std::to_string(seed));
    Step();
    ASSERT_TRUE(KeepsItsPromises(pool()));
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_LE(CountOwed(pool()), SpaceOf(pool()).owed_bytes) << "less is reported than is owed";
  for (const Device& device : devices_) ExpectContents(device);
  // Everybody takes everything, last promised first.
  for (size_t i = devices_.size(); i-- > 0;) {
    Device& device = devices_[i];
    EXPECT_EQ(WriteBytesDirect(device.target, 0, device.claim.bytes, i), 0)
        << "ENOSPC below " << device.claim.id << ", seed " << seed;
  }
  for (size_t i = 0; i < devices_.size(); ++i) {
    EXPECT_TRUE(HasBytes(devices_[i].target, 0, devices_[i].claim.bytes, i));
  }
  std::cout << devices_.size() << " volumes and " << snapshots_.size() << " snapshots at the end, "
            << refused_ << " requests refused for want of room\n";
  EXPECT_GE(names_, kSteps / 5);
}

}  // namespace
}  // namespace holdfast
