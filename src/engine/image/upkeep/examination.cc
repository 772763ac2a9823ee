// How an examination goes, and how it tells.
#include "engine/image/upkeep/examination.h"

#include <utility>

#include "base/status_macros.h"

namespace holdfast {

Finding Doctor::Of(const Pool& pool, std::string kind, std::string object) const {
  Finding finding;
  finding.kind = std::move(kind);
  finding.pool = pool.name();
  finding.object = std::move(object);
  return finding;
}

void Doctor::Report(Finding finding, const Treatment& treatment) {
  finding.offered = treatment != nullptr;
  if (finding.offered && fix_) {
    const absl::Status treated = treatment();
    finding.done = treated.ok();
    finding.failure = std::string(treated.message());
  }
  result_.findings.push_back(std::move(finding));
}

void Doctor::ExaminePool(Pool& pool) {
  const absl::Status examined = Examine(pool);
  if (examined.ok()) return;
  Finding finding = Of(pool, "unexamined", pool.path);
  finding.expected = "a pool that can be looked at to its end";
  finding.found = std::string(examined.message());
  finding.fix = "mend that, then run the doctor again";
  Report(std::move(finding));
}

void Doctor::AddRefused(const std::string& path, const std::string& sentence) {
  Finding finding{.kind = "refused-pool", .pool = path, .object = path};
  finding.expected = "a pool that is served";
  finding.found = sentence;
  finding.fix = "do what it says, then start the server again";
  Report(std::move(finding));
}

absl::Status Doctor::Examine(Pool& pool) {
  RETURN_IF_ERROR(ExamineSpace(pool));
  RETURN_IF_ERROR(ExamineStops(pool));
  ASSIGN_OR_RETURN(const auto files, ListPoolFiles(pool));
  result_.examined.files += files.size();
  ASSIGN_OR_RETURN(const auto volumes, pool.catalog->AllVolumes());
  for (const Volume& volume : volumes) RETURN_IF_ERROR(ExamineVolume(pool, volume.id, files));
  result_.examined.volumes += volumes.size();
  ASSIGN_OR_RETURN(const auto snapshots, pool.catalog->AllSnapshots());
  for (const Snapshot& snapshot : snapshots) {
    RETURN_IF_ERROR(ExamineSnapshot(pool, snapshot.id, files));
  }
  result_.examined.snapshots += snapshots.size();
  RETURN_IF_ERROR(ExamineTrash(pool, files));
  RETURN_IF_ERROR(ExamineOrphans(pool));
  ASSIGN_OR_RETURN(const auto loops, ListPoolLoops(pool, files));
  result_.examined.loops += loops.size();
  ASSIGN_OR_RETURN(const FileClaims claims, FileClaims::Read(*pool.catalog));
  for (const PoolLoop& loop : loops) RETURN_IF_ERROR(ExamineStrayLoop(pool, loop, claims));
  // Last: a file of work/ whose loop device has just gone can go too.
  return ExamineWork(pool);
}

}  // namespace holdfast
