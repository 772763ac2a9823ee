#include "engine/image/upkeep/pool_view.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "base/uuid.h"

namespace holdfast {
namespace {

constexpr std::string_view kSuffix = ".img";
constexpr std::string_view kDeleted = " (deleted)";

FileClaim FileClaimOf(const Volume& volume, bool trashed) {
  return {.kind = ObjectKind::kVolume,
          .id = volume.id,
          .name = volume.name,
          .incarnation = volume.incarnation,
          .state = volume.state,
          .trashed = trashed,
          .copying = volume.state == ObjectState::kCreating && !volume.copy_of.empty(),
          .inode = volume.image_inode,
          .generation = volume.image_generation,
          .filesystem_uuid = volume.filesystem_uuid};
}

FileClaim FileClaimOf(const TrashEntry& entry) {
  return {.kind = entry.kind,
          .id = entry.id,
          .name = entry.name,
          .incarnation = entry.incarnation,
          .trashed = true};
}

template <typename Condition>
const FileClaim* FirstOf(const std::vector<FileClaim>& claims, const Condition& condition) {
  const auto found = std::find_if(claims.begin(), claims.end(), condition);
  return found == claims.end() ? nullptr : &*found;
}

// The device number of the pool's filesystem, as its files have it. nullopt: it holds no file.
absl::StatusOr<std::optional<uint64_t>> DeviceOf(const Pool& pool,
                                                 const std::vector<PoolFile>& files) {
  for (const PoolFile& file : files) {
    if (file.facts) return std::optional<uint64_t>(file.facts->device);
  }
  ASSIGN_OR_RETURN(const auto lock, pool.host.OpenFile(pool.root, "lock", Access::kReadOnly));
  if (!lock) return std::optional<uint64_t>();
  ASSIGN_OR_RETURN(const FileFacts facts, pool.host.Describe(*lock));
  return std::optional<uint64_t>(facts.device);
}

// "/srv/pool/work/a.img (deleted)" in the pool /srv/pool: ("work", "a.img").
std::optional<std::pair<std::string, std::string>> DeletedFrom(std::string_view pool_path,
                                                               std::string_view backing_path) {
  if (!backing_path.ends_with(kDeleted) || !backing_path.starts_with(pool_path)) {
    return std::nullopt;
  }
  backing_path.remove_suffix(kDeleted.size());
  backing_path.remove_prefix(pool_path.size());
  for (const std::string_view folder : kPoolFolders) {
    const std::string prefix = "/" + std::string(folder) + "/";
    if (!backing_path.starts_with(prefix)) continue;
    const std::string_view name = backing_path.substr(prefix.size());
    if (name.find('/') != std::string_view::npos) return std::nullopt;
    return std::pair(std::string(folder), std::string(name));
  }
  return std::nullopt;
}

}  // namespace

const char* FileClaim::Folder() const {
  if (trashed) return "trash";
  return kind == ObjectKind::kVolume ? "volumes" : "snapshots";
}

absl::StatusOr<FileClaims> FileClaims::Read(Catalog& catalog) {
  FileClaims claims;
  ASSIGN_OR_RETURN(const auto volumes, catalog.AllVolumes());
  for (const Volume& volume : volumes) claims.all_.push_back(FileClaimOf(volume, false));
  ASSIGN_OR_RETURN(const auto snapshots, catalog.AllSnapshots());
  for (const Snapshot& snapshot : snapshots) {
    claims.all_.push_back({.kind = ObjectKind::kSnapshot,
                           .id = snapshot.id,
                           .name = snapshot.name,
                           .incarnation = snapshot.incarnation,
                           .state = snapshot.state});
  }
  ASSIGN_OR_RETURN(const auto trash, catalog.ListTrash());
  for (const TrashEntry& entry : trash) {
    ASSIGN_OR_RETURN(const auto volume, catalog.FindTrashedVolume(entry.incarnation));
    claims.all_.push_back(volume ? FileClaimOf(*volume, true) : FileClaimOf(entry));
  }
  return claims;
}

const FileClaim* FileClaims::OfIncarnation(std::string_view incarnation) const {
  return FirstOf(all_, [&](const FileClaim& claim) { return claim.incarnation == incarnation; });
}

const FileClaim* FileClaims::OfInode(uint64_t inode) const {
  return FirstOf(all_, [&](const FileClaim& claim) { return inode != 0 && claim.inode == inode; });
}

const FileClaim* FileClaims::OfImage(const FileFacts& facts) const {
  return FirstOf(all_, [&](const FileClaim& claim) {
    return claim.inode != 0 && claim.inode == facts.inode && claim.generation == facts.generation;
  });
}

const FileClaim* FileClaims::OfFilesystem(std::string_view uuid) const {
  if (uuid.empty()) return nullptr;
  return FirstOf(all_, [&](const FileClaim& claim) { return claim.filesystem_uuid == uuid; });
}

std::optional<std::string> IncarnationOf(std::string_view file) {
  if (!file.ends_with(kSuffix)) return std::nullopt;
  file.remove_suffix(kSuffix.size());
  if (!IsUuid(file)) return std::nullopt;
  return std::string(file);
}

const UniqueFd& FolderOf(const Pool& pool, std::string_view folder) {
  if (folder == "volumes") return pool.volumes;
  if (folder == "snapshots") return pool.snapshots;
  return folder == "trash" ? pool.trash : pool.work;
}

absl::StatusOr<std::vector<PoolFile>> ListPoolFiles(const Pool& pool) {
  std::vector<PoolFile> files;
  for (const char* folder : kPoolFolders) {
    const UniqueFd& opened = FolderOf(pool, folder);
    ASSIGN_OR_RETURN(auto names, pool.host.ListFolder(opened));
    std::sort(names.begin(), names.end());
    for (std::string& name : names) {
      PoolFile file{.folder = folder, .name = std::move(name), .facts = std::nullopt};
      const auto image = pool.host.OpenFile(opened, file.name, Access::kReadOnly);
      if (absl::IsFailedPrecondition(image.status())) {  // a folder, a link, a device
        files.push_back(std::move(file));
        continue;
      }
      RETURN_IF_ERROR(image.status());
      if (!*image) continue;  // gone since it was listed
      ASSIGN_OR_RETURN(file.facts, pool.host.Describe(**image));
      files.push_back(std::move(file));
    }
  }
  return files;
}

absl::StatusOr<std::vector<PoolLoop>> ListPoolLoops(const Pool& pool,
                                                    const std::vector<PoolFile>& files) {
  ASSIGN_OR_RETURN(const auto device, DeviceOf(pool, files));
  ASSIGN_OR_RETURN(const FolderPlace place, pool.host.PlaceOf(pool.root));
  ASSIGN_OR_RETURN(const auto loops, pool.host.AllLoops());
  std::vector<PoolLoop> ours;
  for (const Loop& loop : loops) {
    if (!device || loop.backing_device != *device) continue;
    const auto file = std::find_if(files.begin(), files.end(), [&](const PoolFile& candidate) {
      return candidate.facts && candidate.facts->inode == loop.backing_inode;
    });
    if (file != files.end()) {
      ours.push_back({.loop = loop, .folder = file->folder, .name = file->name});
    } else if (const auto deleted = DeletedFrom(place.path, loop.backing_path)) {
      ours.push_back(
          {.loop = loop, .folder = deleted->first, .name = deleted->second, .deleted = true});
    }
  }
  return ours;
}

}  // namespace holdfast
