#include "engine/image/image_files.h"

#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/refusal.h"
#include "base/status_macros.h"
#include "engine/image/private_mount.h"

namespace holdfast {
namespace {

bool IsThick(const Volume& volume) {
  return volume.parameters.provisioning == Provisioning::kThick;
}

bool Discards(const Pool& pool, const Volume& volume) {
  return GivesBack(volume.parameters.provisioning, pool.filesystem);
}

PrivateMountOptions MountOptionsOf(const Pool& pool, const Volume& volume) {
  return {.content = volume.content, .discard = Discards(pool, volume)};
}

absl::StatusOr<MadeImage> DescribeImage(Host& host, const Volume& volume, const UniqueFd& image) {
  ASSIGN_OR_RETURN(const FileFacts facts, host.Describe(image));
  return MadeImage{
      .filesystem_bytes = volume.content == Content::kBlock ? 0 : volume.capacity_bytes,
      .root = std::nullopt,
      .inode = facts.inode,
      .generation = facts.generation};
}

// The clone's log is replayed on it alone, while it still has its source's UUID.
absl::Status ReplayLog(Pool& pool, const UniqueFd& image, const Volume& volume) {
  PrivateMountOptions options = MountOptionsOf(pool, volume);
  options.own_uuid = false;
  ASSIGN_OR_RETURN(PrivateMount mount, PrivateMount::Open(pool.host, image, options));
  return mount.Release();
}

// As a stage would judge its source: what that refuses is not to be had through a clone.
absl::Status CheckCloneRoot(const Volume& volume, const CloneSource& source,
                            const RootAttributes& found) {
  if (!source.root) return absl::OkStatus();
  const RootDifference difference = DescribeDifference(*source.root, found);
  if (difference.expected.empty()) return absl::OkStatus();
  if (source.root_may_differ && MayBeLawful(*source.root, found)) {
    spdlog::warn(
        "root directory of the clone {}: was {}, is {}; changed since its source {} was "
        "staged, and nobody saw how that ended; recorded anew",
        volume.id, difference.expected, difference.found, volume.source.id);
    return absl::OkStatus();
  }
  const bool of_snapshot = volume.source.kind == Source::Kind::kSnapshot;
  return absl::DataLossError(
      Refusal{fmt::format("root directory of the clone {} of {}", volume.id, volume.source.id),
              difference.expected + " as recorded", difference.found,
              of_snapshot ? "do not use this snapshot; restore another one"
                          : "find out who changed the source; its next stage is refused too, until "
                            "it is acknowledged"}
          .Sentence());
}

// A filesystem that is its own: what the source was is read, not believed.
absl::StatusOr<RootAttributes> GiveOwnFilesystem(Pool& pool, const Volume& volume,
                                                 const UniqueFd& image, const CloneSource& source) {
  Host& host = pool.host;
  ASSIGN_OR_RETURN(const auto found, host.Identify(image));
  if (!found || found->content != volume.content || found->uuid != source.filesystem_uuid) {
    return absl::DataLossError(
        Refusal{"source of " + volume.id,
                fmt::format("{} {}", ContentName(volume.content), source.filesystem_uuid),
                found ? fmt::format("{} {}", ContentName(found->content), found->uuid)
                      : std::string("no filesystem"),
                "do not use this source; restore another snapshot"}
            .Sentence());
  }
  if (found->needs_recovery) RETURN_IF_ERROR(ReplayLog(pool, image, volume));
  RETURN_IF_ERROR(host.SetFilesystemUuid(image, volume.content, volume.filesystem_uuid));
  const bool grows = found->size_bytes < volume.capacity_bytes;
  if (grows && volume.content == Content::kExt4) {
    RETURN_IF_ERROR(host.GrowUnmounted(image, volume.content));
  }
  ASSIGN_OR_RETURN(PrivateMount mount,
                   PrivateMount::Open(host, image, MountOptionsOf(pool, volume)));
  if (grows && volume.content != Content::kExt4) {
    RETURN_IF_ERROR(host.GrowMounted(mount.root(), volume.content));
  }
  ASSIGN_OR_RETURN(RootAttributes root, host.ReadRoot(mount.root()));
  RETURN_IF_ERROR(mount.Release());
  RETURN_IF_ERROR(CheckCloneRoot(volume, source, root));
  return root;
}

}  // namespace

const char* RemedyFor(const Volume& volume, const FileFacts& found) {
  if (!IsImageOf(volume, found)) {
    return "somebody replaced the file: put the original back, or restore a snapshot";
  }
  if (found.size_bytes < volume.capacity_bytes) return "it was cut short: restore a snapshot";
  if (volume.growing_to_bytes != 0) {
    return "an expansion was interrupted: repeat it, or start the server again, which undoes it";
  }
  return "somebody grew it, or catalog.db is an older one: expand the volume to at least the "
         "image's size, and it is used as it is";
}

absl::StatusOr<MadeImage> MakeEmptyImage(Pool& pool, const Volume& volume) {
  Host& host = pool.host;
  ASSIGN_OR_RETURN(const UniqueFd image, host.CreateFile(pool.work, ImageName(volume.incarnation)));
  RETURN_IF_ERROR(host.TuneImage(image));
  RETURN_IF_ERROR(host.Resize(image, volume.capacity_bytes));
  if (IsThick(volume)) RETURN_IF_ERROR(host.Preallocate(image, 0, volume.capacity_bytes));
  ASSIGN_OR_RETURN(MadeImage made, DescribeImage(host, volume, image));
  if (volume.content != Content::kBlock) {
    RETURN_IF_ERROR(
        host.Format(image, {.content = volume.content, .uuid = volume.filesystem_uuid}));
    const ClassParameters& parameters = volume.parameters;
    const bool changes_root = parameters.root_mode || parameters.root_owner;
    PrivateMountOptions options = MountOptionsOf(pool, volume);
    options.access = changes_root ? Access::kReadWrite : Access::kReadOnly;
    ASSIGN_OR_RETURN(PrivateMount mount, PrivateMount::Open(host, image, options));
    if (changes_root) {
      RETURN_IF_ERROR(host.SetRoot(mount.root(), parameters.root_mode, parameters.root_owner));
    }
    ASSIGN_OR_RETURN(made.root, host.ReadRoot(mount.root()));
    RETURN_IF_ERROR(mount.Release());
  }
  RETURN_IF_ERROR(host.Sync(image));
  return made;
}

absl::StatusOr<UniqueFd> CutImage(Pool& pool, const std::string& incarnation,
                                  const UniqueFd& source) {
  ASSIGN_OR_RETURN(UniqueFd image, pool.host.CreateFile(pool.work, ImageName(incarnation)));
  RETURN_IF_ERROR(pool.host.TuneImage(image));
  RETURN_IF_ERROR(pool.host.Clone(source, image));
  return image;
}

absl::StatusOr<MadeImage> FinishClone(Pool& pool, const Volume& volume, const UniqueFd& image,
                                      const CloneSource& source) {
  Host& host = pool.host;
  RETURN_IF_ERROR(host.Resize(image, volume.capacity_bytes));
  if (IsThick(volume)) RETURN_IF_ERROR(host.Preallocate(image, 0, volume.capacity_bytes));
  ASSIGN_OR_RETURN(MadeImage made, DescribeImage(host, volume, image));
  if (volume.content != Content::kBlock) {
    ASSIGN_OR_RETURN(made.root, GiveOwnFilesystem(pool, volume, image, source));
  }
  RETURN_IF_ERROR(host.Sync(image));
  return made;
}

absl::Status GrowImageFilesystem(Host& host, const UniqueFd& image, Content content, bool discard) {
  if (content == Content::kBlock) return absl::OkStatus();
  if (content == Content::kExt4) {
    ASSIGN_OR_RETURN(const auto found, host.Identify(image));
    if (found && found->needs_recovery) {
      ASSIGN_OR_RETURN(PrivateMount replay,
                       PrivateMount::Open(host, image, {.content = content, .discard = discard}));
      RETURN_IF_ERROR(replay.Release());
    }
    return host.GrowUnmounted(image, content);
  }
  ASSIGN_OR_RETURN(PrivateMount mount,
                   PrivateMount::Open(host, image, {.content = content, .discard = discard}));
  RETURN_IF_ERROR(host.GrowMounted(mount.root(), content));
  return mount.Release();
}

absl::Status ShowImage(Pool& pool, const std::string& incarnation, const UniqueFd& folder) {
  const std::string name = ImageName(incarnation);
  return pool.host.Rename(pool.work, name, folder, name);
}

absl::Status ShowIfHidden(Pool& pool, const std::string& incarnation, const UniqueFd& folder) {
  ASSIGN_OR_RETURN(const auto hidden, pool.host.FileSize(pool.work, ImageName(incarnation)));
  if (!hidden) return absl::OkStatus();
  const absl::Status shown = ShowImage(pool, incarnation, folder);
  // It has its place, and in work/ is a copy that somebody put there.
  return absl::IsAlreadyExists(shown) ? absl::OkStatus() : shown;
}

absl::Status MoveImage(Pool& pool, const std::string& name, const UniqueFd& from,
                       const UniqueFd& to) {
  Host& host = pool.host;
  const absl::Status moved = host.Rename(from, name, to, name);
  if (!absl::IsAlreadyExists(moved)) return moved;
  ASSIGN_OR_RETURN(const auto here, host.OpenFile(from, name, Access::kReadOnly));
  ASSIGN_OR_RETURN(const auto there, host.OpenFile(to, name, Access::kReadOnly));
  if (!here || !there) return moved;
  ASSIGN_OR_RETURN(const FileFacts old_facts, host.Describe(*here));
  ASSIGN_OR_RETURN(const FileFacts new_facts, host.Describe(*there));
  if (old_facts.inode != new_facts.inode) return moved;
  return host.Remove(from, name).status();
}

}  // namespace holdfast
