#include "engine/image/space_meter.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/status_macros.h"
#include "engine/image/ballast.h"
#include "engine/image/trash.h"

namespace holdfast {
namespace {

// The image of a row: in volumes/ when it is ready, still in work/ while it is made.
absl::StatusOr<std::optional<UniqueFd>> OpenForMeasuring(const Pool& pool,
                                                         const std::string& incarnation) {
  const std::string name = ImageName(incarnation);
  ASSIGN_OR_RETURN(auto file, pool.host.OpenFile(pool.volumes, name, Access::kReadOnly));
  if (file) return file;
  return pool.host.OpenFile(pool.work, name, Access::kReadOnly);
}

// What a reflink copy of that volume, intended but perhaps not yet cut, will add to what is owed.
absl::StatusOr<uint64_t> PendingCutBytes(const Pool& pool, const std::string& volume_id) {
  ASSIGN_OR_RETURN(const auto volume, pool.catalog->FindVolume(volume_id));
  if (!volume) return 0;
  ASSIGN_OR_RETURN(const auto file, OpenForMeasuring(pool, volume->incarnation));
  if (!file) return 0;
  ASSIGN_OR_RETURN(const auto extents, pool.host.Extents(*file));
  return OwedBytes({.shared_bytes = UnsharedBytes(pool.filesystem, extents)},
                   volume->parameters.reserve_percent);
}

absl::StatusOr<uint64_t> PendingSnapshotBytes(const Pool& pool, bool full_reserve_only) {
  uint64_t bytes = 0;
  ASSIGN_OR_RETURN(const auto snapshots, pool.catalog->AllSnapshots());
  for (const Snapshot& snapshot : snapshots) {
    if (snapshot.state != ObjectState::kCreating) continue;
    if (full_reserve_only) {
      ASSIGN_OR_RETURN(const auto source, pool.catalog->FindVolume(snapshot.volume_id));
      if (!source || IsOvercommitted(*source)) continue;
    }
    ASSIGN_OR_RETURN(const uint64_t pending, PendingCutBytes(pool, snapshot.volume_id));
    bytes += pending;
  }
  return bytes;
}

absl::StatusOr<uint64_t> OwedExactly(const Pool& pool, const Volume& volume) {
  const uint64_t bound = OwedUpperBound(volume);
  if (bound == 0) return 0;
  ASSIGN_OR_RETURN(const auto file, OpenForMeasuring(pool, volume.incarnation));
  if (!file) return bound;
  ASSIGN_OR_RETURN(const ImageUsage usage, MeasureImage(pool.host, *file));
  uint64_t owed = OwedBytes(usage, volume.parameters.reserve_percent);
  if (volume.state == ObjectState::kCreating) {
    // Its image may not have its full size yet.
    ASSIGN_OR_RETURN(const FileFacts facts, pool.host.Describe(*file));
    if (facts.size_bytes < volume.capacity_bytes) owed += volume.capacity_bytes - facts.size_bytes;
    if (volume.source.kind == Source::Kind::kVolume) {
      ASSIGN_OR_RETURN(const uint64_t pending, PendingCutBytes(pool, volume.source.id));
      owed += pending;
    }
  }
  return owed;
}

// What purging the trash gives back: for sure, and at most (blocks that other files share too).
struct TrashBytes {
  uint64_t unshared = 0, allocated = 0;
};

absl::StatusOr<TrashBytes> MeasureTrash(const Pool& pool) {
  ASSIGN_OR_RETURN(const auto entries, pool.catalog->ListTrash());
  TrashBytes bytes;
  for (const TrashEntry& entry : entries) {
    ASSIGN_OR_RETURN(const auto file, pool.host.OpenFile(pool.trash, ImageName(entry.incarnation),
                                                         Access::kReadOnly));
    if (!file) continue;
    ASSIGN_OR_RETURN(const auto extents, pool.host.Extents(*file));
    for (const Extent& extent : extents) {
      bytes.allocated += extent.length;
      bytes.unshared += extent.shared ? 0 : extent.length;
    }
  }
  return bytes;
}

absl::Status CheckRequest(const Pool& pool, Precision precision, const SpaceRequest& request) {
  ASSIGN_OR_RETURN(const PoolSpace space, MeasureSpace(pool, precision, request.provisioned_bytes));
  uint64_t more = request.bound_bytes;
  if (precision == Precision::kExact && request.exact_bytes) {
    ASSIGN_OR_RETURN(more, request.exact_bytes());
  }
  return CheckFits(space, more, pool.name());
}

// Whether it would fit if purging gave back all that the trash holds. What never fits must not cost
// anybody his trash.
absl::StatusOr<bool> PurgingMayHelp(const Pool& pool, const SpaceRequest& request) {
  ASSIGN_OR_RETURN(PoolSpace space,
                   MeasureSpace(pool, Precision::kExact, request.provisioned_bytes));
  ASSIGN_OR_RETURN(const TrashBytes trash, MeasureTrash(pool));
  space.free_bytes += GainOfPurge(trash.allocated);
  uint64_t more = request.bound_bytes;
  if (request.exact_bytes) {
    ASSIGN_OR_RETURN(more, request.exact_bytes());
  }
  return CheckFits(space, more, pool.name()).ok();
}

// Space of removed files comes back late: on XFS from a background worker, on btrfs at its next
// commit. Nothing is refused before both had their time, `longest` at the last look.
constexpr std::chrono::milliseconds kBriefly{10}, kLong{160};
absl::Status CheckWhenFreed(const Pool& pool, const SpaceRequest& request,
                            std::chrono::milliseconds longest) {
  absl::Status fits;
  for (std::chrono::milliseconds wait{10}; wait <= longest; wait *= 2) {
    RETURN_IF_ERROR(pool.host.SyncFilesystem(pool.root));
    fits = CheckRequest(pool, Precision::kExact, request);
    if (!absl::IsResourceExhausted(fits)) return fits;
    std::this_thread::sleep_for(wait);
  }
  return fits;
}

}  // namespace

uint64_t NewVolumeBytes(const ClassParameters& parameters, uint64_t capacity_bytes) {
  if (parameters.provisioning == Provisioning::kThick) return capacity_bytes;
  return OwedBytes({.hole_bytes = capacity_bytes}, parameters.reserve_percent);
}

absl::StatusOr<ImageUsage> MeasureImage(Host& host, const UniqueFd& image) {
  ASSIGN_OR_RETURN(const FileFacts facts, host.Describe(image));
  ASSIGN_OR_RETURN(const auto extents, host.Extents(image));
  ImageUsage usage{.extents = extents.size()};
  uint64_t allocated = 0;
  for (const Extent& extent : extents) {
    if (extent.logical >= facts.size_bytes) continue;  // preallocated past the end
    const uint64_t length = std::min(extent.length, facts.size_bytes - extent.logical);
    allocated += length;
    if (extent.shared) usage.shared_bytes += length;
  }
  usage.hole_bytes = facts.size_bytes - std::min(allocated, facts.size_bytes);
  return usage;
}

uint64_t UnsharedBytes(PoolFilesystem filesystem, const std::vector<Extent>& extents) {
  uint64_t bytes = 0;
  for (const Extent& extent : extents) {
    const bool copied = !extent.unwritten || filesystem == PoolFilesystem::kBtrfs;
    if (copied && !extent.shared) bytes += extent.length;
  }
  return bytes;
}

absl::StatusOr<PoolSpace> MeasureSpace(const Pool& pool, Precision precision,
                                       uint64_t more_provisioned_bytes) {
  PoolSpace space;
  ASSIGN_OR_RETURN(const VolumeTotals totals, pool.catalog->Totals());
  space.owed_bytes = totals.owed_bytes;
  if (precision == Precision::kExact) {
    space.owed_bytes = 0;
    ASSIGN_OR_RETURN(const auto volumes, pool.catalog->AllVolumes());
    for (const Volume& volume : volumes) {
      ASSIGN_OR_RETURN(const uint64_t owed, OwedExactly(pool, volume));
      space.owed_bytes += owed;
    }
    ASSIGN_OR_RETURN(const uint64_t pending, PendingSnapshotBytes(pool, false));
    space.owed_bytes += pending;
    ASSIGN_OR_RETURN(const TrashBytes trash, MeasureTrash(pool));
    space.trash_bytes = trash.unshared;
  }
  ASSIGN_OR_RETURN(const FolderFilesystem filesystem, pool.host.DescribeFilesystem(pool.root));
  RETURN_IF_ERROR(CheckNoQuotas(pool.path, filesystem));
  space.size_bytes = filesystem.size_bytes;
  space.free_bytes = filesystem.free_bytes;
  space.metadata_free_bytes = filesystem.metadata_free_bytes;
  uint64_t provisioned = totals.capacity_bytes + more_provisioned_bytes;
  if (pool.catalog->identity().overcommit) {
    // More than its size never lies in it, whatever is promised.
    provisioned = std::min(provisioned, filesystem.size_bytes);
    ASSIGN_OR_RETURN(const auto volumes, pool.catalog->AllVolumes());
    // Twice: admitting something must not bring the volumes that run to their line.
    space.stop_reserve_bytes = 2 * StopReserveBytes(filesystem.size_bytes, volumes);
  }
  space.floor_bytes = FloorBytes(pool.filesystem, filesystem.size_bytes, provisioned);
  return space;
}

absl::StatusOr<StopLine> MeasureStopLine(const Pool& pool, Precision precision) {
  StopLine line;
  uint64_t provisioned = 0;
  ASSIGN_OR_RETURN(const auto volumes, pool.catalog->AllVolumes());
  for (const Volume& volume : volumes) {
    provisioned += volume.capacity_bytes;
    // What is still being made has no workload that could lose anything.
    if (volume.state != ObjectState::kReady || IsOvercommitted(volume)) continue;
    if (precision == Precision::kBound) {
      line.protected_bytes += OwedUpperBound(volume);
    } else {
      ASSIGN_OR_RETURN(const uint64_t owed, OwedExactly(pool, volume));
      line.protected_bytes += owed;
    }
  }
  if (precision == Precision::kExact) {
    ASSIGN_OR_RETURN(const uint64_t pending, PendingSnapshotBytes(pool, true));
    line.protected_bytes += pending;
  }
  ASSIGN_OR_RETURN(const FolderFilesystem filesystem, pool.host.DescribeFilesystem(pool.root));
  line.floor_bytes = FloorBytes(pool.filesystem, filesystem.size_bytes,
                                std::min(provisioned, filesystem.size_bytes));
  line.reserve_bytes = StopReserveBytes(filesystem.size_bytes, volumes);
  return line;
}

std::unique_lock<std::mutex> LockAdmission(Pool& pool) {
  std::unique_lock admission(pool.admission);
  ++pool.waiting_for_rows;
  pool.rows_arrived.wait(admission, [&] { return pool.reserved.count == 0; });
  --pool.waiting_for_rows;
  return admission;
}

absl::Status Admit(Pool& pool, const SpaceRequest& request,
                   const std::function<absl::Status()>& intend) {
  const auto admission = LockAdmission(pool);
  absl::Status fits = CheckRequest(pool, Precision::kBound, request);
  if (absl::IsResourceExhausted(fits)) fits = CheckRequest(pool, Precision::kExact, request);
  // What was removed a moment ago may still be on its way back.
  if (absl::IsResourceExhausted(fits)) fits = CheckWhenFreed(pool, request, kBriefly);
  if (absl::IsResourceExhausted(fits)) {
    ASSIGN_OR_RETURN(const bool may_help, PurgingMayHelp(pool, request));
    while (may_help && absl::IsResourceExhausted(fits)) {
      ASSIGN_OR_RETURN(const bool purged, PurgeOldest(pool));
      if (!purged) break;
      fits = CheckWhenFreed(pool, request, kBriefly);
    }
  }
  if (absl::IsResourceExhausted(fits)) fits = CheckWhenFreed(pool, request, kLong);
  RETURN_IF_ERROR(fits);
  RETURN_IF_ERROR(intend());
  ++pool.admissions;
  return absl::OkStatus();
}

absl::Status AdmitRow(Pool& pool, const SpaceRequest& request,
                      const std::function<absl::Status()>& insert) {
  {
    std::unique_lock admission(pool.admission);
    SpaceRequest all = request;
    all.bound_bytes += pool.reserved.owed_bytes;
    all.provisioned_bytes += pool.reserved.provisioned_bytes;
    // A row that has arrived while it is still reserved counts twice: whether it really does not
    // fit is for Admit to say.
    if (pool.waiting_for_rows > 0 || !CheckRequest(pool, Precision::kBound, all).ok()) {
      admission.unlock();
      return Admit(pool, request, insert);
    }
    ++pool.reserved.count;
    pool.reserved.owed_bytes += request.bound_bytes;
    pool.reserved.provisioned_bytes += request.provisioned_bytes;
  }
  absl::Status inserted = insert();
  {
    const std::lock_guard admission(pool.admission);
    --pool.reserved.count;
    pool.reserved.owed_bytes -= request.bound_bytes;
    pool.reserved.provisioned_bytes -= request.provisioned_bytes;
  }
  pool.rows_arrived.notify_all();
  if (inserted.ok()) ++pool.admissions;
  return inserted;
}

absl::Status CheckStillFits(Pool& pool) {
  const auto admission = LockAdmission(pool);
  ASSIGN_OR_RETURN(const PoolSpace bound, MeasureSpace(pool, Precision::kBound));
  if (CheckFits(bound, 0, pool.name()).ok()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const PoolSpace exact, MeasureSpace(pool, Precision::kExact));
  return CheckFits(exact, 0, pool.name());
}

namespace {

absl::Status DescribeOvercommit(const Pool& pool, PoolStatus& status) {
  status.overcommit = true;
  ASSIGN_OR_RETURN(const StopLine line, MeasureStopLine(pool, Precision::kExact));
  status.stop_line_bytes = line.stop();
  status.watermark = JudgeFree(status.space.free_bytes, 0, line);
  ASSIGN_OR_RETURN(const auto stops, pool.catalog->ListStops());
  status.stopped_volumes = stops.size();
  for (const Ballast ballast : {Ballast::kVolumes, Ballast::kCatalog}) {
    ASSIGN_OR_RETURN(const uint64_t held, BallastHeld(pool, ballast));
    status.ballast_bytes += held;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PoolStatus> DescribeInBrief(const Pool& pool) {
  PoolStatus status{.name = pool.name(), .uuid = pool.uuid(), .path = pool.path};
  ASSIGN_OR_RETURN(const FolderFilesystem filesystem, pool.host.DescribeFilesystem(pool.root));
  status.filesystem = filesystem.type;
  status.space.size_bytes = filesystem.size_bytes;
  status.space.free_bytes = filesystem.free_bytes;
  ASSIGN_OR_RETURN(const RowCounts rows, pool.catalog->Count());
  status.volumes = rows.volumes;
  status.snapshots = rows.snapshots;
  status.trash_entries = rows.trash;
  return status;
}

absl::StatusOr<PoolStatus> DescribePool(const Pool& pool) {
  ASSIGN_OR_RETURN(PoolStatus status, DescribeInBrief(pool));
  ASSIGN_OR_RETURN(status.space, MeasureSpace(pool, Precision::kExact));
  if (pool.catalog->identity().overcommit) RETURN_IF_ERROR(DescribeOvercommit(pool, status));
  return status;
}

PoolStatus MeasurePoolReadOnly(Host& host, const std::string& path) {
  const auto measure = [&]() -> absl::StatusOr<PoolStatus> {
    ASSIGN_OR_RETURN(const auto pool, OpenPoolReadOnly(host, path));
    return DescribePool(*pool);
  };
  auto status = measure();
  if (status.ok()) return *std::move(status);
  return {.path = path, .refusal = std::string(status.status().message())};
}

}  // namespace holdfast
