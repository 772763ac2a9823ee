// Which files are orphans.
#include "engine/image/upkeep/orphans.h"

#include <utility>

#include <fmt/format.h>

#include "base/sizes.h"
#include "base/status_macros.h"

namespace holdfast {
namespace {

void Identify(Host& host, const UniqueFd& image, Orphan& orphan) {
  const auto found = host.Identify(image);
  if (!found.ok()) {
    orphan.content = "unknown";
  } else if (!*found) {
    orphan.content = "none";
  } else {
    orphan.content = ContentName((*found)->content);
    orphan.filesystem_uuid = (*found)->uuid;
  }
}

std::string NameOf(const FileClaim& claim) {
  return claim.trashed ? claim.id + " in the trash" : claim.id;
}

const FileClaim* OfName(const FileClaims& claims, const PoolFile& file) {
  const auto incarnation = IncarnationOf(file.name);
  return incarnation ? claims.OfIncarnation(*incarnation) : nullptr;
}

// Where it belongs, or on its way there: a row that is not ready is in somebody's hands.
bool IsInPlace(const FileClaim* claim, const PoolFile& file) {
  if (claim == nullptr) return false;
  return file.folder == claim->Folder() || (!claim->trashed && claim->state != ObjectState::kReady);
}

absl::StatusOr<std::optional<Orphan>> Look(const Pool& pool, const FileClaims& claims,
                                           const PoolFile& file) {
  Orphan orphan{.folder = file.folder, .name = file.name};
  if (!file.facts) {
    orphan.content = "no regular file";
    orphan.hindrance = "it is no regular file";
    return orphan;
  }
  // Who deletes removes the file before the row: what is still there without a row is an orphan.
  ASSIGN_OR_RETURN(const auto image,
                   pool.host.OpenFile(FolderOf(pool, file.folder), file.name, Access::kReadOnly));
  if (!image) return std::nullopt;
  orphan.size_bytes = file.facts->size_bytes;
  orphan.allocated_bytes = file.facts->allocated_bytes;
  Identify(pool.host, *image, orphan);
  if (const FileClaim* claim = claims.OfImage(*file.facts)) {
    orphan.hindrance = "it is the image of " + NameOf(*claim) + " in another place";
  } else if (const FileClaim* namesake = OfName(claims, file)) {
    orphan.hindrance = "it has the file name of " + NameOf(*namesake);
  } else if (const FileClaim* twin = claims.OfFilesystem(orphan.filesystem_uuid)) {
    orphan.hindrance = "its filesystem has the UUID of " + NameOf(*twin);
  } else if (orphan.size_bytes == 0 || orphan.size_bytes % kBlockBytes != 0) {
    orphan.hindrance = fmt::format("its size is no multiple of {} bytes", kBlockBytes);
  } else {
    ASSIGN_OR_RETURN(const auto loops, pool.host.Attachments(*file.facts));
    if (!loops.empty()) orphan.hindrance = "it is attached as " + loops.front().path;
  }
  return orphan;
}

}  // namespace

absl::StatusOr<std::vector<Orphan>> ListOrphans(const Pool& pool) {
  // Files first: a row is there before its file is, and a file that is made meanwhile is not seen.
  ASSIGN_OR_RETURN(const auto files, ListPoolFiles(pool));
  ASSIGN_OR_RETURN(const FileClaims claims, FileClaims::Read(*pool.catalog));
  std::vector<Orphan> orphans;
  for (const PoolFile& file : files) {
    if (file.folder == "work") continue;
    if (IsInPlace(OfName(claims, file), file)) continue;
    ASSIGN_OR_RETURN(auto orphan, Look(pool, claims, file));
    if (orphan) orphans.push_back(*std::move(orphan));
  }
  return orphans;
}

}  // namespace holdfast
