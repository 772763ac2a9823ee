// The doctor: catalog against pool against kernel.
//
// Each object is looked at under its own lock, and what is offered is done under the same lock, so
// that no call is taken for a leak: an object that a call has is left out. Nothing is ever touched
// but what lies in a pool's folders and loop devices whose image does, and nothing that holds
// somebody's data is ever removed: orphans, images of rows and their mounts are told only.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/image/discard.h"
#include "engine/image/pool.h"
#include "engine/image/upkeep/finding.h"
#include "engine/image/upkeep/pool_view.h"
#include "volume/volume_locks.h"

namespace holdfast {

// How much was looked at, so that "healthy" says of what.
struct Examined {
  uint64_t volumes = 0, snapshots = 0, trash_entries = 0, files = 0, loops = 0;
};

struct Examination {
  std::vector<Finding> findings;
  Examined examined;
};

// One examination of some pools. Thread-compatible.
class Doctor {
 public:
  // `host` and `locks` must outlive it. `policy`: of deletions that are finished. `fix`: do what is
  // offered; false: nothing is changed anywhere.
  Doctor(Host& host, VolumeLocks& locks, TrashPolicy policy, bool fix)
      : host_(host), locks_(locks), policy_(policy), fix_(fix) {}

  // That a pool could not be looked at to its end is a finding too.
  void ExaminePool(Pool& pool);
  // Freezes on record; after all pools, whose mounts they may be of.
  void ExamineFreezes(const std::vector<Pool*>& pools);
  // A pool that is not open here.
  void AddRefused(const std::string& path, const std::string& sentence);

  Examination Take() { return std::move(result_); }

 private:
  using Treatment = std::function<absl::Status()>;
  // Without a treatment it is told only.
  void Report(Finding finding, const Treatment& treatment = nullptr);
  Finding Of(const Pool& pool, std::string kind, std::string object) const;

  absl::Status Examine(Pool& pool);

  // examine_rows.cc: the catalog against the folders
  absl::Status ExamineSpace(Pool& pool);
  absl::Status ExamineStops(Pool& pool);
  absl::Status ExamineVolume(Pool& pool, const std::string& id, const std::vector<PoolFile>& files);
  absl::Status ExamineSnapshot(Pool& pool, const std::string& id,
                               const std::vector<PoolFile>& files);
  template <typename Object>
  void ReportHalfDone(Pool& pool, const Object& object);
  // The file of a row is not where it belongs: lost, or under another name.
  void ReportMissing(Pool& pool, const FileClaim& claim, const std::vector<PoolFile>& files);
  absl::Status ExamineImage(Pool& pool, const Volume& volume, const FileFacts& facts);
  absl::Status ExamineTrash(Pool& pool, const std::vector<PoolFile>& files);

  // examine_files.cc: the folders against the catalog
  absl::Status ExamineOrphans(Pool& pool);
  absl::StatusOr<bool> IsStrayCopy(Pool& pool, const FileClaim& claim);
  absl::Status ExamineWork(Pool& pool);

  // examine_loops.cc: the kernel against both
  absl::Status ExamineVolumeLoops(Pool& pool, const Volume& volume, const FileFacts& facts);
  absl::Status ExamineStrayLoop(Pool& pool, const PoolLoop& loop, const FileClaims& claims);
  // Mounted nowhere here: detached when nobody holds it.
  absl::Status ReportUnmounted(Pool& pool, const Loop& loop, const std::string& image);
  absl::Status ExamineFreeze(const std::vector<Pool*>& pools, uint64_t device);

  Host& host_;
  VolumeLocks& locks_;
  const TrashPolicy policy_;
  const bool fix_;
  Examination result_;
};

}  // namespace holdfast
