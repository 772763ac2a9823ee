// The catalog against the folders.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/sizes.h"
#include "base/status_macros.h"
#include "engine/image/image_engine.h"
#include "engine/image/image_files.h"
#include "engine/image/space_meter.h"
#include "engine/image/trash.h"
#include "engine/image/upkeep/examination.h"

namespace holdfast {
namespace {

// The lock of the object with that id; nullopt: a call has it.
std::optional<VolumeLocks::Guard> LockObject(VolumeLocks& locks, const std::string& id) {
  const auto parsed = ParseId(id);
  if (!parsed) return std::nullopt;
  auto guard = locks.TryLock(parsed->kind == ObjectKind::kVolume ? VolumeKey(parsed->name_hash)
                                                                 : SnapshotKey(parsed->name_hash));
  if (!guard.ok()) return std::nullopt;
  return std::optional<VolumeLocks::Guard>(*std::move(guard));
}

FileClaim FileClaimOf(const Volume& volume) {
  return {.kind = ObjectKind::kVolume,
          .id = volume.id,
          .incarnation = volume.incarnation,
          .inode = volume.image_inode,
          .generation = volume.image_generation};
}

FileClaim FileClaimOf(const Snapshot& snapshot) {
  return {.kind = ObjectKind::kSnapshot, .id = snapshot.id, .incarnation = snapshot.incarnation};
}

// The file that is the claim's but has another place: by inode where it is known, else by name.
const PoolFile* FindMisplaced(const FileClaim& claim, const std::vector<PoolFile>& files) {
  const auto found = std::find_if(files.begin(), files.end(), [&](const PoolFile& file) {
    if (!file.facts) return false;
    if (claim.inode == 0) return file.name == ImageName(claim.incarnation);
    return file.facts->inode == claim.inode && file.facts->generation == claim.generation;
  });
  return found == files.end() ? nullptr : &*found;
}

}  // namespace

absl::Status Doctor::ExamineStops(Pool& pool) {
  ASSIGN_OR_RETURN(const auto stops, pool.catalog->ListStops());
  for (const StopRecord& stop : stops) {
    Finding finding = Of(pool, "stopped-volume", stop.volume_id);
    finding.expected = "no volume that was stopped and not staged since";
    finding.found = fmt::format("one that was stopped when {} were free, below the line of {}",
                                FormatBytes(stop.free_bytes), FormatBytes(stop.stop_bytes));
    finding.fix = "make room, then end its pods: it comes back when it is staged again";
    Report(std::move(finding));
  }
  return absl::OkStatus();
}

absl::Status Doctor::ExamineSpace(Pool& pool) {
  ASSIGN_OR_RETURN(PoolSpace space, MeasureSpace(pool, Precision::kExact));
  // Who runs below the stop reserve is stopped, and told as that.
  space.stop_reserve_bytes = 0;
  // The floor is there to be used by the pool's own metadata; half of it gone is too much.
  space.floor_bytes /= 2;
  const absl::Status fits = CheckFits(space, 0, pool.name());
  if (fits.ok()) return absl::OkStatus();
  Finding finding = Of(pool, "no-space", pool.path);
  finding.expected =
      fmt::format("{} free: {} owed and half of the floor",
                  FormatBytes(space.owed_bytes + space.floor_bytes), FormatBytes(space.owed_bytes));
  finding.found = FormatBytes(space.free_bytes) + " free";
  finding.fix = "see docs/operations.md, \"A full pool\": " + std::string(fits.message());
  Report(std::move(finding));
  return absl::OkStatus();
}

template <typename Object>
void Doctor::ReportHalfDone(Pool& pool, const Object& object) {
  const bool creating = object.state == ObjectState::kCreating;
  Finding finding = Of(pool, "half-done-row", object.id);
  finding.expected = "a row that is ready";
  finding.found = creating ? "one that was being made, and nobody makes it"
                           : "one that was being deleted, and nobody deletes it";
  finding.fix = creating ? "remove the row and what was made, which was never an answer"
                         : "finish the deletion, which was promised: into the trash";
  Report(std::move(finding), [this, &pool, object] { return Discard(pool, object, policy_); });
}

void Doctor::ReportMissing(Pool& pool, const FileClaim& claim, const std::vector<PoolFile>& files) {
  const std::string folder = claim.Folder(), name = ImageName(claim.incarnation);
  const PoolFile* const misplaced = FindMisplaced(claim, files);
  Finding finding = Of(pool, misplaced ? "misplaced-file" : "missing-file", claim.id);
  finding.expected = folder + "/" + name;
  if (misplaced == nullptr) {
    finding.found = "nothing";
    finding.fix = "put the file back there; else restore a snapshot, then delete this one";
    return Report(std::move(finding));
  }
  finding.found = "its file as " + misplaced->Path();
  finding.fix = fmt::format("rename {} to {}/{}", misplaced->Path(), folder, name);
  Report(std::move(finding), [&pool, folder, name, from = *misplaced]() -> absl::Status {
    const UniqueFd& source = FolderOf(pool, from.folder);
    RETURN_IF_ERROR(pool.host.Rename(source, from.name, FolderOf(pool, folder), name));
    RETURN_IF_ERROR(pool.host.SyncFolder(FolderOf(pool, folder)));
    return pool.host.SyncFolder(source);
  });
}

absl::Status Doctor::ExamineVolume(Pool& pool, const std::string& id,
                                   const std::vector<PoolFile>& files) {
  const auto guard = LockObject(locks_, id);
  if (!guard) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto volume, pool.catalog->FindVolume(id));
  if (!volume) return absl::OkStatus();  // deleted meanwhile
  if (volume->state != ObjectState::kReady) {
    // A copy that broke off goes on when it is asked for again.
    if (volume->copy_of.empty()) ReportHalfDone(pool, *volume);
    return absl::OkStatus();
  }
  if (volume->stage.verdict) {
    Finding finding = Of(pool, "refused-volume", id);
    finding.expected = "a volume that can be staged";
    finding.found = volume->stage.verdict->sentence;
    finding.fix =
        "find out who changed it; 'holdfastctl volume acknowledge " + id +
        "' accepts what was found, with --as-recorded what was before, once it is put back";
    Report(std::move(finding));
  }
  ASSIGN_OR_RETURN(const auto image,
                   host_.OpenFile(pool.volumes, ImageName(volume->incarnation), Access::kReadOnly));
  if (!image) {
    ReportMissing(pool, FileClaimOf(*volume), files);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const FileFacts facts, host_.Describe(*image));
  return ExamineImage(pool, *volume, facts);
}

absl::Status Doctor::ExamineImage(Pool& pool, const Volume& volume, const FileFacts& facts) {
  const bool same = IsImageOf(volume, facts) && facts.size_bytes == volume.capacity_bytes;
  if (!same) {
    Finding finding = Of(pool, "replaced-image", volume.id);
    finding.expected = fmt::format("inode {} generation {} of {} bytes", volume.image_inode,
                                   volume.image_generation, volume.capacity_bytes);
    finding.found = fmt::format("inode {} generation {} of {} bytes", facts.inode, facts.generation,
                                facts.size_bytes);
    finding.fix = RemedyFor(volume, facts);
    Report(std::move(finding));
  }
  return ExamineVolumeLoops(pool, volume, facts);
}

absl::Status Doctor::ExamineSnapshot(Pool& pool, const std::string& id,
                                     const std::vector<PoolFile>& files) {
  const auto guard = LockObject(locks_, id);
  if (!guard) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto snapshot, pool.catalog->FindSnapshot(id));
  if (!snapshot) return absl::OkStatus();
  if (snapshot->state != ObjectState::kReady) {
    ReportHalfDone(pool, *snapshot);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const auto file, host_.OpenFile(pool.snapshots, ImageName(snapshot->incarnation),
                                                   Access::kReadOnly));
  if (!file) ReportMissing(pool, FileClaimOf(*snapshot), files);
  return absl::OkStatus();
}

absl::Status Doctor::ExamineTrash(Pool& pool, const std::vector<PoolFile>& files) {
  ASSIGN_OR_RETURN(const auto entries, pool.catalog->ListTrash());
  result_.examined.trash_entries += entries.size();
  for (const TrashEntry& entry : entries) {
    const auto guard = LockObject(locks_, entry.id);
    if (!guard) continue;
    const std::string name = ImageName(entry.incarnation);
    ASSIGN_OR_RETURN(const auto file, host_.OpenFile(pool.trash, name, Access::kReadOnly));
    if (file) continue;
    ASSIGN_OR_RETURN(const auto still, pool.catalog->FindTrash(entry.incarnation));
    if (!still) continue;  // purged or restored meanwhile
    ASSIGN_OR_RETURN(const auto volume, pool.catalog->FindTrashedVolume(entry.incarnation));
    FileClaim claim = volume ? FileClaimOf(*volume) : FileClaim{.kind = entry.kind, .id = entry.id};
    claim.incarnation = entry.incarnation;
    claim.trashed = true;
    if (FindMisplaced(claim, files) != nullptr) {
      ReportMissing(pool, claim, files);
      continue;
    }
    Finding finding = Of(pool, "trash-without-file", entry.incarnation);
    finding.expected = "trash/" + name;
    finding.found = "nothing";
    finding.fix = "remove the entry from the catalog";
    Report(std::move(finding), [&pool, entry] { return PurgeEntry(pool, entry); });
  }
  return absl::OkStatus();
}

}  // namespace holdfast
