#include "tests/contract/host_contract.h"

#include <map>

#include <fmt/format.h>

namespace holdfast {
namespace {

std::map<std::string, std::unique_ptr<Machine>>& Machines() {
  static std::map<std::string, std::unique_ptr<Machine>> machines;
  return machines;
}

// The real pools are unmounted while the test program still can report it.
class EndMachines : public ::testing::Environment {
 public:
  void TearDown() override { Machines().clear(); }
};
[[maybe_unused]] ::testing::Environment* const kEndMachines =
    ::testing::AddGlobalTestEnvironment(new EndMachines);

int g_case_number = 0;

}  // namespace

Machine& SharedMachine(const MachineKind& kind) {
  std::unique_ptr<Machine>& machine = Machines()[kind.name];
  if (!machine) machine = kind.Make(4 * kGiB);
  return *machine;
}

void HostContractBase::Start(const MachineKind& kind) {
  machine_ = &SharedMachine(kind);
  const std::string name = fmt::format("case{}", ++g_case_number);
  folder_path_ = machine_->pool() + "/" + name;
  targets_ = machine_->targets() + "/" + name;
  machine_->MakeFolder(targets_);
  descriptors_ = OpenDescriptors();
  ASSERT_OK_AND_ASSIGN(const UniqueFd pool, host().OpenFolder(machine_->pool()));
  ASSERT_OK_AND_ASSIGN(folder_, host().EnsureFolder(pool, name));
}

void HostContractBase::TearDown() {
  if (!folder_.valid()) return;
  EXPECT_EQ(machine_->Leftovers(), std::vector<std::string>());
  ASSERT_OK_AND_ASSIGN(const auto names, host().ListFolder(folder_));
  for (const std::string& name : names) machine_->RemovePath(folder_path_ + "/" + name);
  folder_.Close();
  EXPECT_EQ(OpenDescriptors(), descriptors_) << "a descriptor was leaked";
}

uint64_t HostContractBase::ImageBytes(Content content) {
  return content == Content::kExt4 ? 32 * kMiB : MinimumCapacityBytes(content);
}

absl::StatusOr<UniqueFd> HostContractBase::NewFile(const std::string& name, uint64_t size_bytes) {
  ASSIGN_OR_RETURN(UniqueFd file, host().CreateFile(folder_, name));
  RETURN_IF_ERROR(host().TuneImage(file));
  if (size_bytes > 0) RETURN_IF_ERROR(host().Resize(file, size_bytes));
  return file;
}

absl::StatusOr<UniqueFd> HostContractBase::NewImage(const std::string& name, Content content,
                                                    const std::string& uuid) {
  ASSIGN_OR_RETURN(UniqueFd image, NewFile(name, ImageBytes(content)));
  RETURN_IF_ERROR(host().Format(image, {.content = content, .uuid = uuid}));
  return image;
}

absl::StatusOr<UniqueFd> HostContractBase::NewClone(const UniqueFd& image,
                                                    const std::string& name) {
  ASSIGN_OR_RETURN(UniqueFd clone, NewFile(name));
  RETURN_IF_ERROR(host().Clone(image, clone));
  return clone;
}

absl::StatusOr<DetachedMount> HostContractBase::Mount(const UniqueFd& image, Content content,
                                                      bool private_clone) {
  DetachedMount mounted;
  ASSIGN_OR_RETURN(mounted.loop, host().Attach(image, {}));
  ASSIGN_OR_RETURN(mounted.root,
                   host().MountDetached(mounted.loop.loop,
                                        {.content = content, .private_clone = private_clone}));
  return mounted;
}

absl::Status HostContractBase::Show(const UniqueFd& image, Content content,
                                    const std::string& name) {
  ASSIGN_OR_RETURN(const DetachedMount mounted, Mount(image, content));
  RETURN_IF_ERROR(host().EnsureTarget(target(name), TargetKind::kFolder));
  return host().MoveMount(mounted.root, target(name));
}

absl::StatusOr<size_t> HostContractBase::CountAttachments(const UniqueFd& image) {
  ASSIGN_OR_RETURN(const FileFacts facts, host().Describe(image));
  ASSIGN_OR_RETURN(const auto loops, host().Attachments(facts));
  return loops.size();
}

bool HostContractBase::IsDetachedSoon(const UniqueFd& image) {
  return Eventually([&] { return CountAttachments(image).value_or(99) == 0; });
}

void Ext4GrowthContract::SetUp() {
  HostContract::SetUp();
  if (!IsSkipped()) had_capability_ = host().CanGrowMounted(Content::kExt4);
}

void Ext4GrowthContract::TearDown() {
  if (!IsSkipped()) {
    EXPECT_TRUE(machine().SetResourceCapability(had_capability_));
  }
  HostContract::TearDown();
}

absl::StatusOr<DetachedMount> Ext4GrowthContract::MountInALargerImage(const UniqueFd& image) {
  RETURN_IF_ERROR(host().Resize(image, 64 * kMiB));
  return Mount(image, Content::kExt4);
}

void Ext4GrowthContract::ExpectFilesystemBytes(const UniqueFd& image, uint64_t bytes) {
  ASSERT_TRUE(IsDetachedSoon(image));
  ASSERT_OK_AND_ASSIGN(const auto superblock, host().Identify(image));
  ASSERT_TRUE(superblock.has_value());
  EXPECT_EQ(superblock->size_bytes, bytes);
  EXPECT_OK(host().CheckFilesystem(image, Content::kExt4));
}

INSTANTIATE_TEST_SUITE_P(, HostContract, ::testing::ValuesIn(MachineKinds()),
                         [](const auto& tested) { return tested.param.name; });

INSTANTIATE_TEST_SUITE_P(, Ext4GrowthContract, ::testing::ValuesIn(MachineKinds()),
                         [](const auto& tested) { return tested.param.name; });

INSTANTIATE_TEST_SUITE_P(, KernelContract, ::testing::ValuesIn(RealMachineKinds()),
                         [](const auto& tested) { return tested.param.name; });

INSTANTIATE_TEST_SUITE_P(, FilesystemContract,
                         ::testing::Combine(::testing::ValuesIn(MachineKinds()),
                                            ::testing::Values(Content::kExt4, Content::kXfs,
                                                              Content::kBtrfs)),
                         [](const auto& tested) {
                           return std::get<0>(tested.param).name + "_with_" +
                                  ContentName(std::get<1>(tested.param));
                         });

}  // namespace holdfast
