#include "tests/powercut/cut_names.h"

#include <filesystem>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/status_macros.h"
#include "catalog/catalog.h"
#include "engine/image/upkeep/pool_view.h"

namespace holdfast::powercut {
namespace {

namespace fs = std::filesystem;
using Folders = std::set<std::string>;

Folders AllowedFolders(const FileClaim* claim) {
  if (claim == nullptr || claim->state == ObjectState::kCreating) return {"work"};
  const bool deleting = claim->state == ObjectState::kDeleting;
  return deleting ? Folders{"work", claim->Folder(), "trash"} : Folders{"work", claim->Folder()};
}

}  // namespace

absl::StatusOr<std::vector<std::string>> MisplacedFiles(const std::string& pool) {
  ASSIGN_OR_RETURN(const auto catalog,
                   OpenCatalog(pool + "/catalog.db", Catalog::Access::kReadOnly));
  ASSIGN_OR_RETURN(const FileClaims claims, FileClaims::Read(*catalog));
  std::map<std::string, Folders> files;  // by incarnation
  for (const std::string folder : {"volumes", "snapshots", "trash", "work"}) {
    for (const auto& entry : fs::directory_iterator(pool + "/" + folder)) {
      files[entry.path().stem()].insert(folder);
    }
  }
  std::vector<std::string> misplaced;
  for (const auto& [incarnation, folders] : files) {
    const FileClaim* claim = claims.OfIncarnation(incarnation);
    const Folders allowed = AllowedFolders(claim);
    for (const std::string& folder : folders) {
      if (allowed.contains(folder)) continue;
      misplaced.push_back(
          fmt::format("{}/{}: {}", folder, incarnation,
                      claim == nullptr ? "no row" : fmt::format("its row wants {}", allowed)));
    }
  }
  for (const FileClaim& claim : claims.all()) {
    const bool needed = !claim.trashed && claim.state == ObjectState::kReady;
    if (needed && !files.contains(claim.incarnation)) {
      misplaced.push_back(claim.id + ": a ready row, and no file anywhere");
    }
  }
  return misplaced;
}

}  // namespace holdfast::powercut
