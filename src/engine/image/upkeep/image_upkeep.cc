#include "engine/image/upkeep/image_upkeep.h"

#include <fmt/format.h>

#include "base/refusal.h"
#include "base/status_macros.h"
#include "engine/image/ballast.h"
#include "engine/image/discard.h"
#include "engine/image/trash.h"
#include "engine/image/upkeep/restore.h"

namespace holdfast {
namespace {

// Adoption makes files in work/ that no row claims; the doctor would take them for leftovers.
constexpr char kOrphansKey[] = "orphans";

template <typename Object>
TrashEntry EntryOf(const Object& object, ObjectKind kind, uint64_t size_bytes) {
  return {.incarnation = object.incarnation,
          .kind = kind,
          .id = object.id,
          .name = object.name,
          .size_bytes = size_bytes};
}

absl::Status FinishDeletion(Pool& pool, const TrashEntry& entry, TrashPolicy policy) {
  policy.grace = std::max<std::chrono::seconds>(policy.grace, std::chrono::seconds(1));
  if (entry.kind == ObjectKind::kVolume) {
    ASSIGN_OR_RETURN(const auto volume, pool.catalog->FindVolume(entry.id));
    return volume ? Discard(pool, *volume, policy) : absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const auto snapshot, pool.catalog->FindSnapshot(entry.id));
  return snapshot ? Discard(pool, *snapshot, policy) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<ImageUpkeep::Whereabouts> ImageUpkeep::Locate(std::string_view incarnation) {
  for (const auto& pool : engine_.pools()) {
    ASSIGN_OR_RETURN(const auto entry, pool->catalog->FindTrash(incarnation));
    if (entry) return Whereabouts{pool.get(), *entry, true, ObjectState::kDeleting};
    ASSIGN_OR_RETURN(const auto volumes, pool->catalog->AllVolumes());
    for (const Volume& volume : volumes) {
      if (volume.incarnation != incarnation) continue;
      return Whereabouts{pool.get(), EntryOf(volume, ObjectKind::kVolume, volume.capacity_bytes),
                         false, volume.state};
    }
    ASSIGN_OR_RETURN(const auto snapshots, pool->catalog->AllSnapshots());
    for (const Snapshot& snapshot : snapshots) {
      if (snapshot.incarnation != incarnation) continue;
      return Whereabouts{pool.get(), EntryOf(snapshot, ObjectKind::kSnapshot, snapshot.size_bytes),
                         false, snapshot.state};
    }
  }
  return Whereabouts{};
}

absl::StatusOr<VolumeLocks::Guard> ImageUpkeep::Lock(const Whereabouts& found) {
  const auto parsed = ParseId(found.entry.id);
  if (!parsed) {
    return absl::DataLossError(
        fmt::format("trash {}: expected the id of a volume or snapshot, "
                    "found '{}'; restore catalog.db",
                    found.entry.incarnation, found.entry.id));
  }
  return engine_.locks().TryLock(parsed->kind == ObjectKind::kVolume
                                     ? VolumeKey(parsed->name_hash)
                                     : SnapshotKey(parsed->name_hash));
}

absl::StatusOr<TrashEntry> ImageUpkeep::RestoreTrash(std::string_view incarnation) {
  const auto none = [&] {
    return absl::NotFoundError(Refusal{"restore", "the incarnation of what lies in the trash",
                                       fmt::format("'{}'", incarnation.substr(0, 64)),
                                       "see 'holdfastctl trash list'"}
                                   .Sentence());
  };
  ASSIGN_OR_RETURN(Whereabouts found, Locate(incarnation));
  if (found.pool == nullptr) return none();
  ASSIGN_OR_RETURN(const auto guard, Lock(found));
  ASSIGN_OR_RETURN(found, Locate(incarnation));  // as it is under the lock
  if (found.pool == nullptr || (!found.trashed && found.state == ObjectState::kCreating)) {
    return none();
  }
  if (!found.trashed && found.state == ObjectState::kReady) return found.entry;
  RETURN_IF_ERROR(CheckNameIsFree(found.entry.kind, found.entry.name, *found.pool,
                                  "delete that one first, then restore this one"));
  if (!found.trashed) {
    // An earlier attempt, or a deletion, was interrupted: it is finished, then undone.
    RETURN_IF_ERROR(FinishDeletion(*found.pool, found.entry, engine_.trash_policy()));
  }
  RETURN_IF_ERROR(RestoreEntry(*found.pool, found.entry, engine_.trash_policy()));
  return found.entry;
}

absl::StatusOr<bool> ImageUpkeep::PurgeTrash(std::string_view incarnation) {
  ASSIGN_OR_RETURN(Whereabouts found, Locate(incarnation));
  if (!found.trashed) return false;
  ASSIGN_OR_RETURN(const auto guard, Lock(found));
  const std::lock_guard admission(found.pool->admission);
  ASSIGN_OR_RETURN(const auto entry, found.pool->catalog->FindTrash(incarnation));
  if (!entry) return false;
  RETURN_IF_ERROR(WithCatalogRoom(*found.pool, [&] { return PurgeEntry(*found.pool, *entry); }));
  return true;
}

absl::StatusOr<Pool*> ImageUpkeep::FindPool(std::string_view name) {
  std::string known;
  for (const auto& pool : engine_.pools()) {
    if (pool->uuid() == name || pool->name() == name) return pool.get();
    known += (known.empty() ? "" : ", ") + pool->name();
  }
  for (const auto& refused : engine_.refused_pools()) {
    if (refused.path == name) return absl::UnavailableError(refused.sentence);
  }
  return absl::NotFoundError(Refusal{"pool", known.empty() ? "none: no pool is served" : known,
                                     fmt::format("'{}'", name.substr(0, 64)),
                                     "see 'holdfastctl pool status'"}
                                 .Sentence());
}

// A name is one object, whatever pool it is in.
absl::Status ImageUpkeep::CheckNameIsFree(ObjectKind kind, const std::string& name,
                                          const Pool& pool, const std::string& remedy) {
  for (const auto& other : engine_.pools()) {
    if (other.get() == &pool) continue;
    const std::string id = MakeId(kind, other->uuid(), name);
    ASSIGN_OR_RETURN(const auto volume, other->catalog->FindVolume(id));
    ASSIGN_OR_RETURN(const auto snapshot, other->catalog->FindSnapshot(id));
    if (!volume && !snapshot) continue;
    return absl::AlreadyExistsError(Refusal{"name '" + name + "'", "one that nothing else has",
                                            id + " in pool " + other->name(), remedy}
                                        .Sentence());
  }
  return absl::OkStatus();
}

absl::StatusOr<Volume> ImageUpkeep::Adopt(std::string_view pool_name, const AdoptRequest& request) {
  ASSIGN_OR_RETURN(const auto guard, engine_.locks().TryLock(VolumeKey(NameHash(request.name))));
  ASSIGN_OR_RETURN(const auto orphans, engine_.locks().TryLock(kOrphansKey));
  ASSIGN_OR_RETURN(Pool* const pool, FindPool(pool_name));
  RETURN_IF_ERROR(
      CheckNameIsFree(ObjectKind::kVolume, request.name, *pool, "choose another --name"));
  RETURN_IF_ERROR(MarkSharers(*pool, engine_.locks(), request));
  return AdoptOrphan(*pool, request, clock_.UnixNanos());
}

absl::StatusOr<ImageUpkeep::Growth> ImageUpkeep::GrowPool(std::string_view name) {
  ASSIGN_OR_RETURN(Pool* const pool, FindPool(name));
  Growth growth;
  ASSIGN_OR_RETURN(growth.before, DescribePool(*pool));
  {
    const std::lock_guard admission(pool->admission);
    RETURN_IF_ERROR(host_.GrowFilesystemOf(pool->root));
  }
  ASSIGN_OR_RETURN(growth.after, DescribePool(*pool));
  return growth;
}

absl::StatusOr<Examination> ImageUpkeep::Examine(bool fix) {
  ASSIGN_OR_RETURN(const auto orphans, engine_.locks().TryLock(kOrphansKey));
  Doctor doctor(host_, engine_.locks(), engine_.trash_policy(), fix);
  std::vector<Pool*> pools;
  for (const auto& refused : engine_.refused_pools()) {
    doctor.AddRefused(refused.path, refused.sentence);
  }
  for (const auto& pool : engine_.pools()) {
    doctor.ExaminePool(*pool);
    pools.push_back(pool.get());
  }
  doctor.ExamineFreezes(pools);
  return doctor.Take();
}

}  // namespace holdfast
