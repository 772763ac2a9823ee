// A volume is made of an orphan.
#include <utility>

#include <fmt/format.h>

#include "base/build_info.h"
#include "base/refusal.h"
#include "base/sizes.h"
#include "base/status_macros.h"
#include "base/uuid.h"
#include "engine/image/image_engine.h"
#include "engine/image/image_files.h"
#include "engine/image/private_mount.h"
#include "engine/image/space_meter.h"
#include "engine/image/upkeep/orphans.h"
#include "volume/capacity.h"

namespace holdfast {
namespace {

// What the private clone's log replay may write, at most.
constexpr uint64_t kReplayBytes = 128 * kMiB;
// Its file in work/.
constexpr char kScratch[] = "adoption";

absl::Status Refuse(const AdoptRequest& request, std::string expected, std::string found,
                    std::string remedy) {
  return absl::FailedPreconditionError(Refusal{"adoption of " + request.folder + "/" + request.file,
                                               std::move(expected), std::move(found),
                                               std::move(remedy)}
                                           .Sentence());
}

absl::Status RefuseClaimed(const AdoptRequest& request, const FileClaim& claim) {
  const std::string place = std::string(claim.Folder()) + "/" + ImageName(claim.incarnation);
  return Refuse(request, "a file that nobody claims",
                fmt::format("the image of {}{}", claim.id, claim.trashed ? " in the trash" : ""),
                claim.trashed ? "'holdfastctl trash restore' brings it back"
                              : "'holdfastctl doctor' puts it back as " + place);
}

// No row's image under whatever name: by its name, by its recorded inode, or as a second name.
absl::Status CheckUnclaimed(const Pool& pool, const AdoptRequest& request, const FileFacts& facts,
                            const FileClaims& claims) {
  if (const auto incarnation = IncarnationOf(request.file)) {
    if (const FileClaim* claim = claims.OfIncarnation(*incarnation)) {
      return RefuseClaimed(request, *claim);
    }
  }
  if (const FileClaim* claim = claims.OfImage(facts)) return RefuseClaimed(request, *claim);
  ASSIGN_OR_RETURN(const auto files, ListPoolFiles(pool));
  for (const PoolFile& file : files) {
    const bool itself = file.folder == request.folder && file.name == request.file;
    if (itself || !file.facts || file.facts->inode != facts.inode) continue;
    return Refuse(request, "a file with one name", "the same file at " + file.Path(),
                  "remove the name that is not wanted");
  }
  return absl::OkStatus();
}

absl::Status CheckUsable(Host& host, const AdoptRequest& request, const UniqueFd& image,
                         const FileFacts& facts) {
  if (facts.size_bytes == 0 || facts.size_bytes % kBlockBytes != 0 ||
      facts.size_bytes > kMaximumCapacityBytes) {
    return Refuse(request,
                  fmt::format("a size of {} to {} bytes in blocks of {}", kBlockBytes,
                              kMaximumCapacityBytes, kBlockBytes),
                  fmt::format("{} bytes", facts.size_bytes),
                  fmt::format("enlarge it with 'truncate --size=%{}'", kBlockBytes));
  }
  ASSIGN_OR_RETURN(const auto loops, host.Attachments(facts));
  if (!loops.empty()) {
    return Refuse(request, "a file that is not in use", "it attached as " + loops.front().path,
                  "unmount and detach it there first");
  }
  ASSIGN_OR_RETURN(const auto writer, host.OtherWriter(image));
  if (!writer) return absl::OkStatus();
  return Refuse(request, "a file that is not in use", "it open in " + *writer,
                "end that program first");
}

// The content that the superblock tells; kBlock only where it was asked for.
absl::StatusOr<std::optional<Superblock>> IdentifyContent(Host& host, const AdoptRequest& request,
                                                          const UniqueFd& image,
                                                          const FileFacts& facts,
                                                          const FileClaims& claims) {
  if (request.raw_block) return std::optional<Superblock>();
  ASSIGN_OR_RETURN(auto found, host.Identify(image));
  if (!found) {
    return Refuse(request, "ext4, xfs or btrfs in it", "no superblock",
                  "adopt it with --block if it is a raw block device's content");
  }
  if (found->size_bytes > facts.size_bytes) {
    return Refuse(request, fmt::format("all {} bytes of its filesystem", found->size_bytes),
                  fmt::format("{} bytes", facts.size_bytes),
                  "it was cut short: find the whole file");
  }
  const FileClaim* twin = claims.OfFilesystem(found->uuid);
  if (twin == nullptr) return found;
  return Refuse(request, "a filesystem with a UUID of its own",
                fmt::format("that of {}{}", twin->id, twin->trashed ? " in the trash" : ""),
                "two of one UUID are never mounted at once: give the copy another with 'tune2fs -U "
                "random', 'xfs_admin -U generate' or 'btrfstune -u'");
}

absl::StatusOr<RootAttributes> ReadOnClone(Host& host, const UniqueFd& clone, Content content) {
  ASSIGN_OR_RETURN(PrivateMount mount,
                   PrivateMount::Open(host, clone, {.content = content, .own_uuid = false}));
  ASSIGN_OR_RETURN(RootAttributes root, host.ReadRoot(mount.root()));
  RETURN_IF_ERROR(mount.Release());
  RETURN_IF_ERROR(host.CheckFilesystem(clone, content));
  return root;
}

// The original is not written: log replay, mount and check happen on a clone that nobody sees. It
// also proves that the file can be cloned at all, which snapshots need.
absl::StatusOr<std::optional<RootAttributes>> ProveOnClone(
    Pool& pool, const AdoptRequest& request, const UniqueFd& image,
    const std::optional<Superblock>& superblock) {
  // What an earlier attempt could not remove; there is one adoption at a time.
  RETURN_IF_ERROR(pool.host.Remove(pool.work, ImageName(kScratch)).status());
  const auto prove = [&]() -> absl::StatusOr<std::optional<RootAttributes>> {
    const auto clone = CutImage(pool, kScratch, image);
    if (absl::IsInternal(clone.status()) && pool.filesystem == PoolFilesystem::kBtrfs) {
      return Refuse(request, "a file without copy-on-write, as images on btrfs are",
                    std::string(clone.status().message()),
                    "copy its bytes into an empty file that got 'chattr +C' first, adopt that");
    }
    RETURN_IF_ERROR(clone.status());
    if (!superblock) return std::optional<RootAttributes>();
    ASSIGN_OR_RETURN(RootAttributes root, ReadOnClone(pool.host, *clone, superblock->content));
    return std::optional<RootAttributes>(std::move(root));
  };
  auto proven = prove();
  const auto removed = pool.host.Remove(pool.work, ImageName(kScratch));
  RETURN_IF_ERROR(proven.status());
  RETURN_IF_ERROR(removed.status());
  return proven;
}

Volume NewRow(const Pool& pool, const AdoptRequest& request, const FileFacts& facts,
              const std::optional<Superblock>& superblock, int64_t now_unix_nanos) {
  Volume volume;
  volume.id = MakeId(ObjectKind::kVolume, pool.uuid(), request.name);
  volume.name = request.name;
  // Already named as an image is: it need not move.
  const auto incarnation = IncarnationOf(request.file);
  volume.incarnation = request.folder == "volumes" && incarnation ? *incarnation : NewUuid();
  volume.state = ObjectState::kReady;
  volume.content = superblock ? superblock->content : Content::kBlock;
  volume.capacity_bytes = facts.size_bytes;
  volume.filesystem_bytes = superblock ? superblock->size_bytes : 0;
  volume.filesystem_uuid = superblock ? superblock->uuid : "";
  volume.formatted = superblock.has_value();
  volume.shares_blocks = true;  // with whom, nobody knows
  volume.parameters.provisioning = request.thick ? Provisioning::kThick : Provisioning::kThin;
  volume.labels[kAdoptedLabel] = request.folder + "/" + request.file;
  volume.created_unix_nanos = now_unix_nanos;
  volume.image_inode = facts.inode;
  volume.image_generation = facts.generation;
  volume.stage.driver_version = kDriverVersion;
  return volume;
}

absl::Status TakeIn(Pool& pool, const AdoptRequest& request, const UniqueFd& image,
                    const Volume& volume) {
  Host& host = pool.host;
  const UniqueFd& folder = FolderOf(pool, request.folder);
  const std::string name = ImageName(volume.incarnation);
  const bool moves = request.folder != "volumes" || request.file != name;
  if (request.thick) RETURN_IF_ERROR(host.Preallocate(image, 0, volume.capacity_bytes));
  RETURN_IF_ERROR(host.Sync(image));
  if (moves) RETURN_IF_ERROR(host.Rename(folder, request.file, pool.volumes, name));
  const auto finish = [&]() -> absl::Status {
    RETURN_IF_ERROR(host.SyncFolder(pool.volumes));
    if (moves) RETURN_IF_ERROR(host.SyncFolder(folder));
    return pool.catalog->InsertVolume(volume);
  };
  const absl::Status finished = finish();
  if (finished.ok() || !moves) return finished;
  const absl::Status undone = host.Rename(pool.volumes, name, folder, request.file);
  if (undone.ok()) return finished;
  return absl::Status(
      finished.code(),
      fmt::format("{}; and it could not be renamed back from volumes/{}: {}",
                  std::string(finished.message()), name, std::string(undone.message())));
}

}  // namespace

absl::Status MarkSharers(Pool& pool, VolumeLocks& locks, const AdoptRequest& request) {
  const auto shares = [&](const UniqueFd& folder, const std::string& name) -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(const auto file, pool.host.OpenFile(folder, name, Access::kReadOnly));
    if (!file) return false;
    ASSIGN_OR_RETURN(const ImageUsage usage, MeasureImage(pool.host, *file));
    return usage.shared_bytes > 0;
  };
  ASSIGN_OR_RETURN(const bool copied, shares(FolderOf(pool, request.folder), request.file));
  if (!copied) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto volumes, pool.catalog->AllVolumes());
  for (const Volume& volume : volumes) {
    if (OwedUpperBound(volume) > 0) continue;
    ASSIGN_OR_RETURN(const auto guard, locks.TryLock(VolumeKey(NameHash(volume.name))));
    ASSIGN_OR_RETURN(auto now, pool.catalog->FindVolume(volume.id));
    if (!now || OwedUpperBound(*now) > 0) continue;
    ASSIGN_OR_RETURN(const bool sharer, shares(pool.volumes, ImageName(now->incarnation)));
    if (!sharer) continue;
    now->shares_blocks = true;
    RETURN_IF_ERROR(pool.catalog->UpdateVolume(*now));
  }
  return absl::OkStatus();
}

absl::StatusOr<Volume> AdoptOrphan(Pool& pool, const AdoptRequest& request,
                                   int64_t now_unix_nanos) {
  Host& host = pool.host;
  // Ask what is already so.
  const std::string id = MakeId(ObjectKind::kVolume, pool.uuid(), request.name);
  ASSIGN_OR_RETURN(const auto existing, pool.catalog->FindVolume(id));
  const std::string origin = request.folder + "/" + request.file;
  if (existing) {
    const auto label = existing->labels.find(kAdoptedLabel);
    if (label != existing->labels.end() && label->second == origin) return *existing;
    return absl::AlreadyExistsError(Refusal{"adoption of " + origin, "a name that no volume has",
                                            "that of " + existing->id, "choose another --name"}
                                        .Sentence());
  }
  ASSIGN_OR_RETURN(const auto image,
                   host.OpenFile(FolderOf(pool, request.folder), request.file, Access::kReadOnly));
  if (!image) {
    return absl::NotFoundError(Refusal{"adoption of " + origin, "a file in pool " + pool.name(),
                                       "nothing", "see 'holdfastctl orphan list'"}
                                   .Sentence());
  }
  ASSIGN_OR_RETURN(const FileFacts facts, host.Describe(*image));
  ASSIGN_OR_RETURN(const FileClaims claims, FileClaims::Read(*pool.catalog));
  RETURN_IF_ERROR(CheckUnclaimed(pool, request, facts, claims));
  RETURN_IF_ERROR(CheckUsable(host, request, *image, facts));
  ASSIGN_OR_RETURN(const auto superblock, IdentifyContent(host, request, *image, facts, claims));
  Volume volume = NewRow(pool, request, facts, superblock, now_unix_nanos);
  ASSIGN_OR_RETURN(const ImageUsage usage, MeasureImage(host, *image));
  const uint64_t owed = OwedBytes(usage, volume.parameters.reserve_percent);
  const uint64_t for_clone = CloneMetadataBytes(pool.filesystem, usage.extents) + kReplayBytes;
  RETURN_IF_ERROR(
      Admit(pool, {.bound_bytes = owed + for_clone, .provisioned_bytes = volume.capacity_bytes},
            [] { return absl::OkStatus(); }));
  ASSIGN_OR_RETURN(volume.stage.root, ProveOnClone(pool, request, *image, superblock));
  ASSIGN_OR_RETURN(const auto writable,
                   host.OpenFile(FolderOf(pool, request.folder), request.file, Access::kReadWrite));
  if (!writable) return absl::AbortedError(origin + " went away while it was looked at; try again");
  // Under the lock of admission: there is no row yet that counts what it owes.
  RETURN_IF_ERROR(Admit(pool, {.bound_bytes = owed, .provisioned_bytes = volume.capacity_bytes},
                        [&] { return TakeIn(pool, request, *writable, volume); }));
  return volume;
}

}  // namespace holdfast
