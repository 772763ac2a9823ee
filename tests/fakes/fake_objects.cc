#include "tests/fakes/fake_objects.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include "base/sizes.h"

namespace holdfast {

FakeInode::FakeInode(Kind kind_in, FakePool* pool_in)
    : kind(kind_in),
      pool(pool_in),
      number(pool_in->next_inode++),
      generation(static_cast<uint32_t>(number * 2654435761u)) {
  if (kind == Kind::kFile) file = pool->disk.Create();
}

FakeInode::~FakeInode() {
  if (kind == Kind::kFile) pool->disk.Delete(file);
}

FakeSuper::~FakeSuper() {
  if (read_only || shut_down || crashed || loop->IsCutOff()) return;
  auto superblock = ReadSuperblock(*loop->image, content);
  if (!superblock) return;  // overwritten under the mount
  superblock->dirty = false;
  // A destructor cannot say that the pool was full; the filesystem then stays dirty, as for real.
  WriteSuperblock(*loop->image, *superblock).IgnoreError();
}

absl::Status KernelError(const char* call, const std::string& object, int error) {
  const std::string message = fmt::format("{} {}: {}", call, object, std::strerror(error));
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(message);
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return absl::UnavailableError(message);
    case EUCLEAN:
    case EBADMSG:
      return absl::DataLossError(message);
    default:
      return absl::InternalError(message);
  }
}

std::optional<FakeSuperblock> ReadSuperblock(const FakeInode& image, Content content) {
  return FakeSuperblock::Decode(
      image.pool->disk.Read(image.file, FakeSuperblock::Offset(content), kBlockBytes));
}

absl::Status WriteSuperblock(const FakeInode& image, const FakeSuperblock& superblock) {
  return image.pool->disk.Write(image.file, FakeSuperblock::Offset(superblock.content),
                                superblock.Encode());
}

absl::StatusOr<std::optional<FakeSuperblock>> ProbeSuperblock(const FakeInode& image) {
  std::optional<FakeSuperblock> found;
  for (const Content place : {Content::kExt4, Content::kBtrfs}) {
    const std::string block =
        image.pool->disk.Read(image.file, FakeSuperblock::Offset(place), kBlockBytes);
    if (block.find_first_not_of('\0') == std::string::npos) continue;
    auto superblock = FakeSuperblock::Decode(block);
    if (!superblock) {
      return absl::DataLossError(fmt::format("superblock of inode {}: bad checksum", image.number));
    }
    if (found) {
      return absl::DataLossError(fmt::format("inode {} holds two filesystems", image.number));
    }
    found = std::move(superblock);
  }
  return found;
}

}  // namespace holdfast
