// Many writers at once, and what is kept of all volumes while they write.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "tests/fakes/status_asserts.h"
#include "tests/unit/catalog_rows.h"
#include "volume/space.h"

namespace holdfast {
namespace {

Volume RandomVolume(std::mt19937& random, int number) {
  Volume volume = FullVolume("vol-" + std::to_string(number));
  volume.incarnation = "incarnation-" + std::to_string(random());
  volume.capacity_bytes = (1 + random() % 1000) * 4096;
  volume.state = static_cast<ObjectState>(random() % 3);
  volume.source.id = "vol-" + std::to_string(random() % 100);
  volume.shares_blocks = random() % 2 == 0;
  volume.parameters.provisioning = random() % 2 == 0 ? Provisioning::kThick : Provisioning::kThin;
  return volume;
}

VolumeTotals Counted(Catalog& catalog) {
  VolumeTotals totals;
  const auto volumes = catalog.AllVolumes().value();
  for (const Volume& volume : volumes) {
    totals.capacity_bytes += volume.capacity_bytes;
    totals.owed_bytes += OwedUpperBound(volume);
  }
  return totals;
}

// One write of any kind, which may find nothing to change.
void AnyWrite(Catalog& catalog, std::mt19937& random) {
  const int number = static_cast<int>(random() % 20);
  Volume volume = RandomVolume(random, number);
  const auto there = catalog.FindVolume(volume.id).value();
  if (there) volume.incarnation = there->incarnation;
  absl::Status written;
  switch (random() % 6) {
    case 0:
    case 1:
      written = there ? catalog.UpdateVolume(volume) : catalog.InsertVolume(volume);
      break;
    case 2:
      written = catalog.InsertVolume(volume);  // may be taken
      break;
    case 3:
      written = catalog.RemoveVolume(volume.id);
      break;
    case 4: {
      TrashEntry entry = EntryOf(volume);
      if (random() % 3 == 0) entry.incarnation = "another";
      written = catalog.MoveToTrash(entry);
      break;
    }
    default: {
      const auto trash = catalog.ListTrash().value();
      if (!trash.empty()) written = catalog.TakeFromTrash(trash[random() % trash.size()]);
    }
  }
  written.IgnoreError();
}

std::vector<ListedVolume> ListedOf(Catalog& catalog) {
  std::vector<ListedVolume> listed;
  const auto volumes = catalog.AllVolumes().value();
  for (const Volume& volume : volumes) {
    if (volume.state != ObjectState::kReady) continue;
    listed.push_back({volume.id, volume.capacity_bytes, volume.source});
  }
  return listed;
}

TEST(CatalogWrites, TotalsAndList_AreAlwaysThoseOfTheRows) {
  std::atomic<int> until_failure = 0;
  auto catalog = CreateCatalog(":memory:", TestIdentity(), [&](std::string_view statement) {
                   if (statement.starts_with("SELECT") || --until_failure != 0) {
                     return absl::OkStatus();
                   }
                   return absl::InternalError("injected");
                 }).value();
  std::mt19937 random(20261126);
  uint64_t largest = 0;
  size_t longest = 0;
  for (int write = 0; write < 3000; ++write) {
    if (random() % 4 == 0) until_failure = static_cast<int>(1 + random() % 4);
    AnyWrite(*catalog, random);
    until_failure = 0;
    const auto totals = catalog->Totals();
    ASSERT_OK(totals);
    ASSERT_EQ(*totals, Counted(*catalog)) << "after write " << write;
    largest = std::max(largest, totals->owed_bytes);
    ASSERT_EQ(catalog->ListVolumes("", 0).value(), ListedOf(*catalog)) << "after write " << write;
    longest = std::max(longest, catalog->ListVolumes("", 0)->size());
  }
  EXPECT_GT(largest, 0u);
  EXPECT_GT(longest, 3u);
}

TEST(CatalogWrites, WritersThatMeet_ShareACommit_AndNoneTakesAnotherWithIt) {
  constexpr int kThreads = 16, kEach = 50;
  std::atomic<int> commits = 0;
  const TestFolder folder;
  auto catalog = CreateCatalog(folder.catalog(), TestIdentity(), [&](std::string_view statement) {
                   if (statement == "COMMIT") {
                     ++commits;
                     std::this_thread::sleep_for(std::chrono::milliseconds(1));  // as a disk does
                   }
                   return absl::OkStatus();
                 }).value();
  ASSERT_OK(catalog->InsertVolume(FullVolume("taken")));
  commits = 0;
  std::atomic<int> refused = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < kEach; ++i) {
          // Now and then a writer wants what is there already.
          const bool taken = thread % 8 == 0 && i % 10 == 0;
          Volume volume = FullVolume(taken ? "taken" : fmt::format("vol-{}-{}", thread, i));
          volume.incarnation = fmt::format("{}-{}", thread, i);
          const absl::Status written = catalog->InsertVolume(volume);
          EXPECT_EQ(written.ok(), !taken) << written;
          if (!written.ok()) ++refused;
        }
      });
    }
  }
  constexpr int kTaken = kThreads / 8 * kEach / 10;
  EXPECT_EQ(refused, kTaken);
  EXPECT_EQ(catalog->AllVolumes()->size(), 1u + kThreads * kEach - kTaken);
  EXPECT_EQ(catalog->Totals().value(), Counted(*catalog));
  EXPECT_LT(commits, kThreads * kEach / 2) << "writers shared no commits";
}

TEST(CatalogWrites, AReadWaitsForNoCommit_AndSeesWhatIsCommittedAlone) {
  const TestFolder folder;
  std::atomic<bool> armed = false;
  std::promise<void> committing, read;
  bool read_meanwhile = false;
  auto catalog = CreateCatalog(folder.catalog(), TestIdentity(), [&](std::string_view statement) {
                   if (statement == "COMMIT" && armed.exchange(false)) {
                     committing.set_value();
                     read_meanwhile = read.get_future().wait_for(std::chrono::seconds(10)) ==
                                      std::future_status::ready;
                   }
                   return absl::OkStatus();
                 }).value();
  ASSERT_OK(catalog->InsertVolume(FullVolume("there")));
  armed = true;
  {
    const std::jthread writer([&] { EXPECT_OK(catalog->InsertVolume(FullVolume("coming"))); });
    committing.get_future().wait();
    EXPECT_TRUE(catalog->FindVolume("there")->has_value());
    EXPECT_FALSE(catalog->FindVolume("coming")->has_value());
    read.set_value();
  }
  EXPECT_TRUE(read_meanwhile) << "the reads waited for the commit";
  EXPECT_TRUE(catalog->FindVolume("coming")->has_value());
}

TEST(CatalogWrites, WhenReadingCannotBegin_ItIsTriedAgainAtTheNextRead) {
  const TestFolder folder;
  bool fails = false;
  auto catalog =
      CreateCatalog(folder.catalog(), TestIdentity(), [&](std::string_view statement) {
        return statement == "open" && fails ? absl::UnavailableError("injected") : absl::OkStatus();
      }).value();
  ASSERT_OK(catalog->InsertVolume(FullVolume("there")));
  fails = true;
  EXPECT_CODE(catalog->AllVolumes(), kUnavailable);
  fails = false;
  EXPECT_EQ(catalog->AllVolumes()->size(), 1u);
}

}  // namespace
}  // namespace holdfast
