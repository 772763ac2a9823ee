#include "tests/contract/engine_contract.h"

#include <fmt/format.h>

#include "engine/fake/fake_engine.h"
#include "engine/image/image_engine.h"
#include "tests/contract/agent_link.h"
#include "tests/contract/host_contract.h"
#include "volume/capacity.h"

namespace holdfast {
namespace {

constexpr uint64_t kPoolBytes = 4 * kGiB;
int g_pool_number = 0;

PoolFilesystem Filesystem(const std::string& type) {
  return type == "xfs" ? PoolFilesystem::kXfs : PoolFilesystem::kBtrfs;
}

class FakeUnderTest final : public EngineUnderTest {
 public:
  FakeUnderTest(const Clock& clock, PoolFilesystem filesystem, bool overcommit)
      : engine_(clock, {{"pool", kPoolBytes, filesystem, overcommit}}) {}
  StorageEngine& engine() override { return engine_; }

 private:
  FakeEngine engine_;
};

class ImageUnderTest final : public EngineUnderTest {
 public:
  ImageUnderTest(const Clock& clock, Machine& machine, bool real, bool overcommit)
      : machine_(machine), path_(fmt::format("{}/pool{}", machine.pool(), ++g_pool_number)) {
    machine_.MakeFolder(path_);
    // What earlier cases deleted is free on btrfs only after a commit.
    const auto folder = machine_.host().OpenFolder(path_);
    EXPECT_OK(folder);
    EXPECT_OK(machine_.host().SyncFilesystem(*folder));
    CatalogOpener opener;
    if (real) {
      const auto identity = InitPool(machine_.host(), path_, "pool", overcommit);
      EXPECT_OK(identity);
    } else {
      opener = [overcommit](const std::string&) {
        return CreateCatalog(":memory:",
                             {.uuid = NewUuidForPool(), .name = "pool", .overcommit = overcommit});
      };
    }
    engine_ = ImageEngine::Open(machine_.host(), clock,
                                {.pool_paths = {path_}, .trash_grace = std::chrono::seconds(0)},
                                std::move(opener));
    for (const PoolStatus& pool : engine_->Pools()) EXPECT_EQ(pool.refusal, "");
  }
  ~ImageUnderTest() override {
    EXPECT_OK(engine_->Close());
    engine_.reset();
    machine_.RemovePath(path_);
  }

  StorageEngine& engine() override { return *engine_; }
  Host* host() override { return &machine_.host(); }
  std::string pool_path() override { return path_; }
  std::vector<std::string> Leftovers() override {
    std::vector<std::string> found = machine_.Leftovers();
    const auto work = machine_.host().OpenFolder(path_ + "/work");
    const auto names = work.ok() ? machine_.host().ListFolder(*work) : work.status();
    if (!names.ok()) return {std::string(names.status().message())};
    for (const std::string& name : *names) found.push_back("work/" + name);
    return found;
  }

 private:
  static std::string NewUuidForPool() {
    return fmt::format("00000000-0000-4000-8000-{:012x}", g_pool_number);
  }

  Machine& machine_;
  const std::string path_;
  std::unique_ptr<ImageEngine> engine_;
};

// Another one, as the controller of a cluster has it.
class RemoteUnderTest final : public EngineUnderTest {
 public:
  explicit RemoteUnderTest(std::unique_ptr<EngineUnderTest> local)
      : local_(std::move(local)), link_(local_->engine()) {}
  StorageEngine& engine() override { return link_.engine(); }
  Host* host() override { return local_->host(); }
  std::string pool_path() override { return local_->pool_path(); }
  std::vector<std::string> Leftovers() override { return local_->Leftovers(); }

 private:
  const std::unique_ptr<EngineUnderTest> local_;
  AgentLink link_;
};

std::vector<EngineKind> EngineKinds() {
  std::vector<EngineKind> kinds;
  for (const MachineKind& machine : MachineKinds()) {
    kinds.push_back({"Image_on_" + machine.name, EngineKind::Engine::kImage, machine});
    if (!machine.real) kinds.push_back({machine.name, EngineKind::Engine::kFake, machine});
  }
  const size_t local = kinds.size();
  for (size_t i = 0; i < local; ++i) {
    EngineKind remote = kinds[i];
    remote.name = "Agent_of_" + remote.name;
    remote.remote = true;
    kinds.push_back(remote);
  }
  return kinds;
}

std::vector<EngineKind> ImageEngineKinds() {
  std::vector<EngineKind> kinds = EngineKinds();
  std::erase_if(kinds,
                [](const EngineKind& kind) { return kind.engine == EngineKind::Engine::kFake; });
  return kinds;
}

}  // namespace

std::unique_ptr<EngineUnderTest> EngineKind::Make(const Clock& clock) const {
  if (remote) {
    EngineKind local = *this;
    local.remote = false;
    return std::make_unique<RemoteUnderTest>(local.Make(clock));
  }
  if (engine == Engine::kFake) {
    return std::make_unique<FakeUnderTest>(clock, Filesystem(machine.pool_filesystem), overcommit);
  }
  return std::make_unique<ImageUnderTest>(clock, SharedMachine(machine), machine.real, overcommit);
}

void EngineContractBase::Start(const EngineKind& kind) {
  if (kind.engine == EngineKind::Engine::kImage) SharedMachine(kind.machine);
  if (kind.remote) AgentLink::WarmUp();
  descriptors_ = OpenDescriptors();
  under_test_ = kind.Make(clock_);
}

void EngineContractBase::TearDown() {
  if (!under_test_) return;
  CheckInvariant();
  EXPECT_EQ(under_test_->Leftovers(), std::vector<std::string>());
  under_test_.reset();
  // A connection is closed by a thread of gRPC's.
  EXPECT_TRUE(Eventually([this] { return OpenDescriptors() == descriptors_; }))
      << "a descriptor was leaked: " << descriptors_ << " before, " << OpenDescriptors() << " now";
}

uint64_t EngineContractBase::SettledFreeBytes() {
  uint64_t free_bytes = 0;
  int same = 0;
  Eventually([&] {
    if (Host* const host = under_test_->host()) {
      const auto folder = host->OpenFolder(under_test_->pool_path());
      if (!folder.ok() || !host->SyncFilesystem(*folder).ok()) return false;
    }
    const uint64_t now = pool().space.free_bytes;
    same = now == free_bytes ? same + 1 : 0;
    free_bytes = now;
    return same == 3;
  });
  return free_bytes;
}

void EngineContractBase::CheckInvariant() {
  const PoolSpace space = pool().space;
  // The floor is there to be used: catalog and metadata of a pool filled to its edge grow into it.
  constexpr uint64_t kUsedOfTheFloor = 4 * kMiB;
  EXPECT_GE(space.free_bytes + kUsedOfTheFloor, space.owed_bytes + space.floor_bytes);
}

VolumeRequest EngineContractBase::Request(const std::string& name, Content content,
                                          uint64_t required_bytes) {
  VolumeRequest request;
  request.name = name;
  request.content = content;
  request.capacity.required_bytes = std::max(
      required_bytes, content == Content::kExt4 ? 32 * kMiB : MinimumCapacityBytes(content));
  return request;
}

VolumeRequest EngineContractBase::CloneRequest(const std::string& name, Source::Kind kind,
                                               const std::string& source_id) {
  VolumeRequest request;
  request.name = name;
  request.source = {kind, source_id};
  return request;
}

void EngineContractBase::CheckReady(const Volume& volume) {
  EXPECT_EQ(volume.state, ObjectState::kReady);
  EXPECT_NE(volume.image_inode, 0u);
  EXPECT_EQ(volume.capacity_bytes % kBlockBytes, 0u);
  EXPECT_GT(volume.created_unix_nanos, 0);
  const bool block = volume.content == Content::kBlock;
  EXPECT_EQ(volume.formatted, !block);
  EXPECT_EQ(volume.filesystem_uuid.empty(), block);
  EXPECT_EQ(volume.stage.root.has_value(), !block);
  EXPECT_EQ(volume.stage.last_end, LastEnd::kNeverStaged);
}

INSTANTIATE_TEST_SUITE_P(, EngineContract, ::testing::ValuesIn(EngineKinds()),
                         [](const auto& tested) { return tested.param.name; });

INSTANTIATE_TEST_SUITE_P(, OvercommitContract, ::testing::ValuesIn(EngineKinds()),
                         [](const auto& tested) { return tested.param.name; });

const auto kFilesystemContents = ::testing::Values(Content::kExt4, Content::kXfs, Content::kBtrfs);
const auto kContents =
    ::testing::Values(Content::kExt4, Content::kXfs, Content::kBtrfs, Content::kBlock);

std::string NameWithContent(const ::testing::TestParamInfo<ContentContract::ParamType>& tested) {
  return std::get<0>(tested.param).name + "_with_" + ContentName(std::get<1>(tested.param));
}

INSTANTIATE_TEST_SUITE_P(, ContentContract,
                         ::testing::Combine(::testing::ValuesIn(EngineKinds()), kContents),
                         NameWithContent);

INSTANTIATE_TEST_SUITE_P(, FilesystemContentContract,
                         ::testing::Combine(::testing::ValuesIn(EngineKinds()),
                                            kFilesystemContents),
                         NameWithContent);

INSTANTIATE_TEST_SUITE_P(, ImageContentContract,
                         ::testing::Combine(::testing::ValuesIn(ImageEngineKinds()), kContents),
                         NameWithContent);

}  // namespace holdfast
