// Volumes that are copied from a snapshot of another node: two engines on one machine, each with
// its pool, and what lies between them in the test's hands.
#include <gmock/gmock.h>

#include <map>

#include <fmt/format.h>

#include "engine/image/image_engine.h"
#include "tests/contract/engine_contract.h"
#include "tests/contract/host_contract.h"
#include "volume/capacity.h"
#include "volume/image_digest.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A clock that the test moves.
class SteppingClock final : public Clock {
 public:
  int64_t UnixNanos() const override { return system_.UnixNanos() + ahead.count(); }
  std::chrono::nanoseconds ahead{0};

 private:
  SystemClock system_;
};

struct Node {
  std::string name, path, uuid;
  std::unique_ptr<ImageEngine> engine;
};

class CopiesContract : public ::testing::TestWithParam<MachineKind> {
 protected:
  void SetUp() override {
    if (const std::string why = GetParam().WhyNot(); !why.empty()) GTEST_SKIP() << why;
    machine_ = &SharedMachine(GetParam());
    descriptors_ = OpenDescriptors();
    for (Node* node : {&from_, &to_}) {
      static int number = 0;
      node->uuid = fmt::format("00000000-0000-4000-9000-{:012x}", ++number);
      node->path = fmt::format("{}/copies{}", machine_->pool(), number);
      machine_->MakeFolder(node->path);
    }
    from_.name = "from";
    to_.name = "to";
    Open(from_);
    Open(to_);
    to_.engine->set_fetch([this](const CopyOrigin& origin, uint64_t from, TakeChunk take) {
      return Fetch(origin, from, take);
    });
  }

  void TearDown() override {
    for (Node* node : {&from_, &to_}) {
      if (node->engine == nullptr) continue;
      EXPECT_OK(node->engine->Close());
      node->engine.reset();
      machine_->RemovePath(node->path);
    }
    if (machine_ == nullptr) return;
    EXPECT_EQ(machine_->Leftovers(), std::vector<std::string>());
    EXPECT_TRUE(Eventually([this] { return OpenDescriptors() == descriptors_; }));
  }

  // The catalog in memory has to live as long as the test, for a node that is opened again.
  void Open(Node& node) {
    CatalogOpener opener;
    if (GetParam().real) {
      const auto made = InitPool(machine_->host(), node.path, node.name);
      EXPECT_OK(made);
    } else {
      opener = [&node](const std::string&) {
        return CreateCatalog(":memory:", {.uuid = node.uuid, .name = node.name});
      };
    }
    node.engine = ImageEngine::Open(
        machine_->host(), clock_,
        {.pool_paths = {node.path}, .trash_grace = std::chrono::seconds(0)}, std::move(opener));
    for (const PoolStatus& pool : node.engine->Pools()) EXPECT_EQ(pool.refusal, "");
  }

  // The network: counts what it was asked for, and spoils what the test says.
  absl::StatusOr<std::string> Fetch(const CopyOrigin& origin, uint64_t from, TakeChunk take) {
    asked_from_.push_back(from);
    uint64_t sent = 0;
    const auto pass = [&](const Chunk& chunk) -> absl::Status {
      if (during_) during_();
      if (break_after_ && sent == *break_after_) return absl::UnavailableError("broke off");
      ++sent;
      if (!damage_) return take(chunk);
      std::string damaged(chunk.data);
      damaged[damaged.size() / 2] ^= 1;
      return take({chunk.index, damaged, chunk.sha256});
    };
    auto digest =
        from_.engine->ReadSnapshot(origin.snapshot.id, origin.snapshot.incarnation, from, pass);
    if (digest.ok() && wrong_digest_) digest->front() ^= 1;
    return digest;
  }

  UniqueFd OpenImage(const Node& node, const std::string& folder, const std::string& incarnation) {
    const auto opened = machine_->host().OpenFolder(node.path + "/" + folder);
    EXPECT_OK(opened);
    auto file = machine_->host().OpenFile(*opened, incarnation + ".img", Access::kReadWrite);
    EXPECT_OK(file);
    EXPECT_TRUE(file->has_value());
    return std::move(**file);
  }
  std::vector<std::string> WorkOf(const Node& node) {
    const auto opened = machine_->host().OpenFolder(node.path + "/work");
    EXPECT_OK(opened);
    return *machine_->host().ListFolder(*opened);
  }

  // A raw block volume with a pattern at some of its chunks, and a snapshot of it.
  Snapshot MakeSource(const std::string& snapshot, const std::vector<uint64_t>& chunks,
                      char pattern = 'a') {
    VolumeRequest request;
    request.name = "source";
    request.content = Content::kBlock;
    request.capacity.required_bytes = 64 * kMiB;
    const auto volume = from_.engine->CreateVolume(request);
    EXPECT_OK(volume);
    {
      const UniqueFd image = OpenImage(from_, "volumes", volume->incarnation);
      for (const uint64_t chunk : chunks) {
        const std::string text(4321, static_cast<char>(pattern + chunk % 7));
        EXPECT_OK(machine_->host().Write(image, chunk * kChunkBytes + 777, text));
      }
      EXPECT_OK(machine_->host().Sync(image));
    }
    const auto cut = from_.engine->CreateSnapshot(snapshot, volume->id);
    EXPECT_OK(cut);
    return *cut;
  }

  static VolumeRequest CopyOf(const Snapshot& snapshot, const std::string& name) {
    VolumeRequest request;
    request.name = name;
    if (snapshot.content == Content::kBlock) request.content = Content::kBlock;
    request.source = {Source::Kind::kSnapshot, snapshot.id};
    request.origin = CopyOrigin{snapshot, "from", "from:9750", "grant"};
    return request;
  }

  // Byte by byte, and nothing beyond the source's end.
  void ExpectSameBytes(const Snapshot& snapshot, const Volume& copy) {
    const UniqueFd source = OpenImage(from_, "snapshots", snapshot.incarnation);
    const UniqueFd image = OpenImage(to_, "volumes", copy.incarnation);
    for (uint64_t at = 0; at < copy.capacity_bytes; at += kChunkBytes) {
      const auto found = machine_->host().Read(image, at, kChunkBytes);
      ASSERT_OK(found);
      if (at >= snapshot.size_bytes) {
        ASSERT_TRUE(IsAllZero(*found)) << at;
        continue;
      }
      const auto expected = machine_->host().Read(source, at, kChunkBytes);
      ASSERT_OK(expected);
      ASSERT_EQ(Sha256(*found), Sha256(*expected)) << at;
    }
  }

  SteppingClock clock_;
  Machine* machine_ = nullptr;
  Node from_, to_;
  size_t descriptors_ = 0;
  std::vector<uint64_t> asked_from_;
  std::optional<uint64_t> break_after_;
  bool damage_ = false, wrong_digest_ = false;
  std::function<void()> during_;
};

TEST_P(CopiesContract, RawBlock_IsTheSameBytes_AndOwesNobodyBlocks) {
  const Snapshot snapshot = MakeSource("s", {0, 1, 5, 40, 63});
  VolumeRequest request = CopyOf(snapshot, "copy");
  request.capacity.required_bytes = 96 * kMiB;
  ASSERT_OK_AND_ASSIGN(const Volume copy, to_.engine->CreateVolume(request));
  EXPECT_EQ(copy.state, ObjectState::kReady);
  EXPECT_EQ(copy.capacity_bytes, 96 * kMiB);
  EXPECT_FALSE(copy.shares_blocks);
  EXPECT_EQ(copy.copy_of, "");
  ExpectSameBytes(snapshot, copy);
  EXPECT_EQ(to_.engine->Pools().at(0).space.owed_bytes, 0u) << "thick, and all of it its own";
  EXPECT_EQ(WorkOf(to_), std::vector<std::string>());
  // Repeated, with another grant or none, it is the same volume and nothing is fetched.
  request.origin.reset();
  ASSERT_OK_AND_ASSIGN(const Volume again, to_.engine->CreateVolume(request));
  EXPECT_EQ(again.incarnation, copy.incarnation);
  EXPECT_THAT(asked_from_, ElementsAre(0));
}

TEST_P(CopiesContract, Filesystems_BecomeTheirOwn_WithTheRootOfTheCut) {
  for (const Content content : {Content::kExt4, Content::kXfs, Content::kBtrfs}) {
    VolumeRequest request;
    request.name = ContentName(content);
    request.content = content;
    request.capacity.required_bytes = MinimumCapacityBytes(content);
    request.parameters.provisioning = Provisioning::kThin;
    request.parameters.root_mode = 0750;
    ASSERT_OK_AND_ASSIGN(const Volume volume, from_.engine->CreateVolume(request));
    ASSERT_OK_AND_ASSIGN(const Snapshot snapshot,
                         from_.engine->CreateSnapshot(request.name + "-cut", volume.id));
    VolumeRequest copy = CopyOf(snapshot, request.name + "-copy");
    copy.parameters.provisioning = Provisioning::kThin;
    copy.capacity.required_bytes = snapshot.size_bytes + 64 * kMiB;
    ASSERT_OK_AND_ASSIGN(const Volume made, to_.engine->CreateVolume(copy));
    EXPECT_EQ(made.content, content);
    EXPECT_NE(made.filesystem_uuid, snapshot.filesystem_uuid);
    EXPECT_EQ(made.filesystem_bytes, made.capacity_bytes);
    ASSERT_TRUE(made.stage.root.has_value());
    EXPECT_EQ(made.stage.root->mode & 07777, 0750u);
    EXPECT_EQ(made.stage.root->birth_time, snapshot.root->birth_time);
  }
}

TEST_P(CopiesContract, BrokenOff_GoesOnWhereItWas) {
  const Snapshot snapshot = MakeSource("s", {2, 3, 10, 11, 30, 50});
  break_after_ = 3;
  const VolumeRequest request = CopyOf(snapshot, "copy");
  EXPECT_CODE(to_.engine->CreateVolume(request), kUnavailable);
  const std::string id = MakeId(ObjectKind::kVolume, to_.engine->Pools().at(0).uuid, "copy");
  ASSERT_OK_AND_ASSIGN(const auto half, to_.engine->FindVolume(id));
  EXPECT_FALSE(half.has_value()) << "not before it is whole";
  EXPECT_EQ(WorkOf(to_).size(), 1u);
  break_after_ = 1;
  EXPECT_CODE(to_.engine->CreateVolume(request), kUnavailable);
  break_after_.reset();
  ASSERT_OK_AND_ASSIGN(const Volume copy, to_.engine->CreateVolume(request));
  EXPECT_THAT(asked_from_, ElementsAre(0, 11, 12)) << "after chunks 2, 3, 10 and then 11";
  ExpectSameBytes(snapshot, copy);
  EXPECT_EQ(WorkOf(to_), std::vector<std::string>());
}

TEST_P(CopiesContract, DamagedOnTheWay_IsNotWritten) {
  const Snapshot snapshot = MakeSource("s", {4, 5});
  damage_ = true;
  const auto damaged = to_.engine->CreateVolume(CopyOf(snapshot, "copy"));
  EXPECT_CODE(damaged, kUnavailable);
  EXPECT_THAT(std::string(damaged.status().message()), HasSubstr("arrived damaged"));
  damage_ = false;
  ASSERT_OK_AND_ASSIGN(const Volume copy, to_.engine->CreateVolume(CopyOf(snapshot, "copy")));
  ExpectSameBytes(snapshot, copy);
}

TEST_P(CopiesContract, AnotherWhole_IsDataLoss_AndNothingIsLeft) {
  const Snapshot snapshot = MakeSource("s", {4, 5});
  wrong_digest_ = true;
  EXPECT_CODE(to_.engine->CreateVolume(CopyOf(snapshot, "copy")), kDataLoss);
  EXPECT_EQ(WorkOf(to_), std::vector<std::string>());
  wrong_digest_ = false;
  ASSERT_OK_AND_ASSIGN(const Volume copy, to_.engine->CreateVolume(CopyOf(snapshot, "copy")));
  ExpectSameBytes(snapshot, copy);
  EXPECT_THAT(asked_from_, ElementsAre(0, 0));
}

// What changed in the half that is on the disk already is found by the digest of the whole.
TEST_P(CopiesContract, ChangedWhileBrokenOff_IsDataLoss) {
  const Snapshot snapshot = MakeSource("s", {2, 3, 10, 11});
  break_after_ = 2;
  EXPECT_CODE(to_.engine->CreateVolume(CopyOf(snapshot, "copy")), kUnavailable);
  const auto work = WorkOf(to_);
  ASSERT_EQ(work.size(), 1u);
  {
    const UniqueFd half = OpenImage(to_, "work", work[0].substr(0, work[0].find('.')));
    ASSERT_OK(machine_->host().Write(half, 2 * kChunkBytes + 800, "x"));
    ASSERT_OK(machine_->host().Sync(half));
  }
  break_after_.reset();
  EXPECT_CODE(to_.engine->CreateVolume(CopyOf(snapshot, "copy")), kDataLoss);
  EXPECT_EQ(WorkOf(to_), std::vector<std::string>());
}

TEST_P(CopiesContract, SnapshotMadeAnewUnderItsName_IsCopiedFromTheStart) {
  const Snapshot first = MakeSource("s", {2, 3, 10});
  break_after_ = 2;
  EXPECT_CODE(to_.engine->CreateVolume(CopyOf(first, "copy")), kUnavailable);
  ASSERT_OK(from_.engine->DeleteSnapshot(first.id));
  const Snapshot second = MakeSource("s", {2, 3, 10}, 'm');
  ASSERT_EQ(second.id, first.id);
  break_after_.reset();
  EXPECT_CODE(to_.engine->CreateVolume(CopyOf(first, "copy")), kNotFound) << "its grant is for it";
  ASSERT_OK_AND_ASSIGN(const Volume copy, to_.engine->CreateVolume(CopyOf(second, "copy")));
  ExpectSameBytes(second, copy);
}

TEST_P(CopiesContract, UnderWay_RepeatedCallIsAborted_AndAnEndOfTheServerBreaksItOff) {
  const Snapshot snapshot = MakeSource("s", {2, 3, 10});
  int times = 0;
  absl::Status repeated, removed;
  during_ = [&] {
    if (++times != 2) return;
    repeated = to_.engine->CreateVolume(CopyOf(snapshot, "copy")).status();
    const auto copies = to_.engine->copies().List();
    ASSERT_EQ(copies.size(), 1u);
    EXPECT_EQ(copies[0].passed_bytes, 3 * kMiB);
    EXPECT_EQ(copies[0].total_bytes, snapshot.size_bytes);
    EXPECT_EQ(copies[0].source_id, snapshot.id);
    EXPECT_EQ(copies[0].from_node, "from");
    removed = to_.engine->DeleteVolume(copies[0].volume_id);
    to_.engine->StopCopies();
  };
  EXPECT_CODE(to_.engine->CreateVolume(CopyOf(snapshot, "copy")), kUnavailable);
  EXPECT_CODE(repeated, kAborted);
  EXPECT_THAT(std::string(repeated.message()), HasSubstr("from node from: 3 MiB of 64 MiB"));
  EXPECT_CODE(removed, kAborted);
  EXPECT_TRUE(to_.engine->copies().List().empty());
}

TEST_P(CopiesContract, DeletedWhileBrokenOff_OrForgotten_LeavesNothing) {
  const Snapshot snapshot = MakeSource("s", {2, 3, 10});
  break_after_ = 1;
  EXPECT_CODE(to_.engine->CreateVolume(CopyOf(snapshot, "copy")), kUnavailable);
  const std::string id = MakeId(ObjectKind::kVolume, to_.engine->Pools().at(0).uuid, "copy");
  ASSERT_OK(to_.engine->DeleteVolume(id));
  EXPECT_EQ(WorkOf(to_), std::vector<std::string>());
  EXPECT_CODE(to_.engine->CreateVolume(CopyOf(snapshot, "forgotten")), kUnavailable);
  ASSERT_OK(to_.engine->PurgeExpiredTrash());
  EXPECT_EQ(WorkOf(to_).size(), 1u) << "it may be asked for again";
  clock_.ahead = std::chrono::hours(25);
  ASSERT_OK(to_.engine->PurgeExpiredTrash());
  EXPECT_EQ(WorkOf(to_), std::vector<std::string>());
  EXPECT_EQ(to_.engine->Pools().at(0).space.owed_bytes, 0u);
}

TEST_P(CopiesContract, Restarted_GoesOnWhereItWasRecorded) {
  if (!GetParam().real) GTEST_SKIP() << "the catalog of a fake machine does not outlive its engine";
  const Snapshot snapshot = MakeSource("s", {2, 3, 10, 11});
  break_after_ = 2;
  EXPECT_CODE(to_.engine->CreateVolume(CopyOf(snapshot, "copy")), kUnavailable);
  to_.engine.reset();  // and nothing is closed
  to_.engine = ImageEngine::Open(
      machine_->host(), clock_, {.pool_paths = {to_.path}, .trash_grace = std::chrono::seconds(0)});
  to_.engine->set_fetch([this](const CopyOrigin& origin, uint64_t from, TakeChunk take) {
    return Fetch(origin, from, take);
  });
  break_after_.reset();
  ASSERT_OK_AND_ASSIGN(const Volume copy, to_.engine->CreateVolume(CopyOf(snapshot, "copy")));
  EXPECT_THAT(asked_from_, ElementsAre(0, 4));
  ExpectSameBytes(snapshot, copy);
}

TEST_P(CopiesContract, WhatCannotBe_IsRefusedBeforeAnythingIsMade) {
  const Snapshot snapshot = MakeSource("s", {2});
  VolumeRequest request = CopyOf(snapshot, "copy");
  request.content = Content::kXfs;
  EXPECT_CODE(to_.engine->CreateVolume(request), kInvalidArgument);
  request = CopyOf(snapshot, "copy");
  request.capacity = {.required_bytes = kMiB, .limit_bytes = 32 * kMiB};
  EXPECT_CODE(to_.engine->CreateVolume(request), kOutOfRange);
  request = CopyOf(snapshot, "copy");
  request.capacity.required_bytes = 8 * kGiB;  // twice the pool
  EXPECT_CODE(to_.engine->CreateVolume(request), kResourceExhausted);
  request = CopyOf(snapshot, "copy");
  request.parameters.pool = "nowhere";
  EXPECT_CODE(to_.engine->CreateVolume(request), kInvalidArgument);
  EXPECT_TRUE(asked_from_.empty());
  EXPECT_EQ(WorkOf(to_), std::vector<std::string>());
}

INSTANTIATE_TEST_SUITE_P(, CopiesContract, ::testing::ValuesIn(MachineKinds()),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace holdfast
