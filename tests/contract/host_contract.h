// What every Host must do, whatever is behind it. The cases are written against os/*.h alone and
// run on FakeHost and, as root, on LinuxHost with a real XFS and a real btrfs pool.
#pragma once

#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include <gtest/gtest.h>

#include "base/sizes.h"
#include "base/uuid.h"
#include "tests/contract/machine.h"
#include "tests/fakes/status_asserts.h"
#include "volume/capacity.h"

namespace holdfast {

// Shared by all cases of one kind: mkfs and mount of a pool take a second.
Machine& SharedMachine(const MachineKind& kind);

// An image with a filesystem, attached, and mounted where nobody sees it.
struct DetachedMount {
  AttachedLoop loop;
  UniqueFd root;
};

class HostContractBase : public ::testing::Test {
 protected:
  void Start(const MachineKind& kind);
  void TearDown() override;

  Host& host() { return machine_->host(); }
  Machine& machine() { return *machine_; }
  // Of this case alone: a folder in the pool, and one beneath a target root.
  const UniqueFd& folder() const { return folder_; }
  const std::string& folder_path() const { return folder_path_; }
  std::string target(const std::string& name) const { return targets_ + "/" + name; }

  absl::StatusOr<UniqueFd> NewFile(const std::string& name, uint64_t size_bytes = 0);
  absl::StatusOr<UniqueFd> NewImage(const std::string& name, Content content,
                                    const std::string& uuid);
  // A clone of `image` under `name`.
  absl::StatusOr<UniqueFd> NewClone(const UniqueFd& image, const std::string& name);
  absl::StatusOr<DetachedMount> Mount(const UniqueFd& image, Content content,
                                      bool private_clone = false);
  // Mounts it at target(name); nothing but the mount holds it then.
  absl::Status Show(const UniqueFd& image, Content content, const std::string& name);
  absl::StatusOr<size_t> CountAttachments(const UniqueFd& image);
  bool IsDetachedSoon(const UniqueFd& image);

  static uint64_t ImageBytes(Content content);

 private:
  Machine* machine_ = nullptr;
  UniqueFd folder_;
  std::string folder_path_, targets_;
  size_t descriptors_ = 0;
};

class HostContract : public HostContractBase, public ::testing::WithParamInterface<MachineKind> {
 protected:
  void SetUp() override {
    if (const std::string why = GetParam().WhyNot(); !why.empty()) GTEST_SKIP() << why;
    Start(GetParam());
  }
};

// What only a kernel can be asked.
class KernelContract : public HostContract {};

// The growth of a mounted ext4, which the kernel allows with CAP_SYS_RESOURCE only.
class Ext4GrowthContract : public HostContract {
 protected:
  void SetUp() override;
  void TearDown() override;
  // `image` made 64 MiB large, and what is in it mounted.
  absl::StatusOr<DetachedMount> MountInALargerImage(const UniqueFd& image);
  // Once it is unmounted: so large is what is in it, and in order.
  void ExpectFilesystemBytes(const UniqueFd& image, uint64_t bytes);

 private:
  bool had_capability_ = false;
};

// The same for each filesystem inside an image.
class FilesystemContract : public HostContractBase,
                           public ::testing::WithParamInterface<std::tuple<MachineKind, Content>> {
 protected:
  void SetUp() override {
    if (const std::string why = kind().WhyNot(); !why.empty()) GTEST_SKIP() << why;
    Start(kind());
  }
  const MachineKind& kind() const { return std::get<0>(GetParam()); }
  Content content() const { return std::get<1>(GetParam()); }
};

inline const std::string kUuid = NewUuid();
inline const std::string kOtherUuid = NewUuid();

}  // namespace holdfast
