// ImageEngine::CreateVolume and its undo, DeleteVolume.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/build_info.h"
#include "base/refusal.h"
#include "base/sizes.h"
#include "base/status_macros.h"
#include "base/uuid.h"
#include "engine/image/attached.h"
#include "engine/image/ballast.h"
#include "engine/image/clone_terms.h"
#include "engine/image/copied_image.h"
#include "engine/image/cut.h"
#include "engine/image/discard.h"
#include "engine/image/image_engine.h"
#include "engine/image/image_files.h"
#include "engine/image/space_meter.h"

namespace holdfast {
namespace {

// Reflinks do not cross filesystems, so a clone lives in its source's pool.
absl::Status CheckSourcePool(const Pool& pool, const VolumeRequest& request) {
  if (request.parameters.pool.empty() || request.parameters.pool == pool.name()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      Refusal{"class parameter pool of a clone", pool.name() + ", where its source is",
              request.parameters.pool, "use a StorageClass with the source's pool, or none"}
          .Sentence());
}

absl::Status Differs(const Volume& volume, const std::string& property, const std::string& has,
                     const std::string& asked) {
  return absl::AlreadyExistsError(Refusal{fmt::format("{} of volume '{}'", property, volume.name),
                                          has + ", as it was created", asked,
                                          "ask for the same, or use another name"}
                                      .Sentence());
}

// A name used again must ask for the same volume.
absl::StatusOr<Volume> SameOrConflict(const Volume& volume, const VolumeRequest& request) {
  if (!Satisfies(volume.capacity_bytes, request.capacity)) {
    return Differs(volume, "size", fmt::format("{} bytes", volume.capacity_bytes),
                   fmt::format("required {}, limit {}", request.capacity.required_bytes,
                               request.capacity.limit_bytes));
  }
  const bool same_kind =
      request.content ? *request.content == volume.content : volume.content != Content::kBlock;
  if (!same_kind) {
    return Differs(volume, "content", ContentName(volume.content),
                   request.content ? ContentName(*request.content) : "a filesystem");
  }
  if (!(request.source == volume.source)) {
    return Differs(volume, "source", volume.source.id.empty() ? "none" : volume.source.id,
                   request.source.id.empty() ? "none" : request.source.id);
  }
  if (!(request.parameters == volume.parameters)) {
    return Differs(volume, "class parameters", "those of its class", "others");
  }
  return volume;
}

}  // namespace

absl::StatusOr<Volume> ImageEngine::CreateVolume(const VolumeRequest& request) {
  RETURN_IF_ERROR(copies_.CheckNotRunning(request.name));
  ASSIGN_OR_RETURN(const auto guard, locks_.TryLock(VolumeKey(NameHash(request.name))));
  ASSIGN_OR_RETURN(auto existing, FindVolumeByName(request.name));
  if (existing && existing->volume.state == ObjectState::kReady) {
    Pool& pool = *existing->pool;
    RETURN_IF_ERROR(ShowIfHidden(pool, existing->volume.incarnation, pool.volumes));
    return SameOrConflict(existing->volume, request);
  }
  if (existing && MayGoOn(existing->volume, request)) return CreateCopy(request, existing);
  if (existing) RETURN_IF_ERROR(Discard(*existing->pool, existing->volume, trash_policy()));
  if (request.origin) return CreateCopy(request, std::nullopt);
  switch (request.source.kind) {
    case Source::Kind::kNone:
      return CreateEmpty(request);
    case Source::Kind::kSnapshot:
      return CreateFromSnapshot(request);
    case Source::Kind::kVolume:
      return CreateFromVolume(request);
  }
  return absl::InternalError("unknown kind of source");
}

Volume ImageEngine::NewVolumeRow(const Pool& pool, const VolumeRequest& request, Content content,
                                 uint64_t capacity_bytes) const {
  Volume volume;
  volume.id = MakeId(ObjectKind::kVolume, pool.uuid(), request.name);
  volume.name = request.name;
  volume.incarnation = NewUuid();
  volume.content = content;
  volume.capacity_bytes = capacity_bytes;
  if (content != Content::kBlock) volume.filesystem_uuid = NewUuid();
  volume.parameters = request.parameters;
  volume.labels = request.labels;
  volume.source = request.source;
  volume.shares_blocks = request.source.kind != Source::Kind::kNone && !request.origin;
  volume.created_unix_nanos = clock_.UnixNanos();
  return volume;
}

absl::StatusOr<Volume> ImageEngine::Commit(Pool& pool, Volume volume,
                                           const absl::StatusOr<MadeImage>& made) {
  absl::Status status = made.status();
  if (status.ok()) {
    Volume ready = volume;
    ready.state = ObjectState::kReady;
    ready.formatted = ready.content != Content::kBlock;
    ready.filesystem_bytes = made->filesystem_bytes;
    ready.image_inode = made->inode;
    ready.image_generation = made->generation;
    ready.stage.root = made->root;
    ready.stage.driver_version = kDriverVersion;
    status = pool.catalog->UpdateVolume(ready);
    if (status.ok()) status = ShowImage(pool, ready.incarnation, pool.volumes);
    if (status.ok()) return ready;
  }
  return DiscardAfter(status, pool, volume, trash_policy());
}

absl::StatusOr<ImageEngine::LocalVolume> ImageEngine::IntendUnshared(const VolumeRequest& request,
                                                                     Content content,
                                                                     uint64_t capacity) {
  ASSIGN_OR_RETURN(const auto candidates, CandidatePools(request.parameters.pool));
  absl::Status last;
  for (Pool* pool : candidates) {
    const absl::Status allowed = CheckOvercommit(request.parameters, content, pool->name(),
                                                 pool->catalog->identity().overcommit);
    if (!allowed.ok()) {
      // That a pool is full says more than that another is none for this class.
      if (last.ok()) last = allowed;
      continue;
    }
    LocalVolume intended{pool, NewVolumeRow(*pool, request, content, capacity)};
    SpaceRequest need{.bound_bytes = BytesToMake(request.parameters, content, capacity),
                      .provisioned_bytes = capacity};
    if (request.origin) {
      intended.volume.copy_of = request.origin->snapshot.incarnation;
      // All of it may be data, whatever the class reserves for what is written later.
      need.bound_bytes = std::max(need.bound_bytes, request.origin->snapshot.size_bytes);
    }
    const absl::Status admitted = AdmitRow(*pool, need, [&] {
      return pool->catalog->InsertVolume(intended.volume, Outlives::kProcess);
    });
    if (admitted.ok()) return intended;
    const bool full = absl::IsResourceExhausted(admitted);
    // Or it promises nothing at present. Whatever else it is may have left a row.
    if (!full && !absl::IsFailedPrecondition(admitted)) return admitted;
    if (full || !absl::IsResourceExhausted(last)) last = admitted;
  }
  return last;
}

absl::StatusOr<Volume> ImageEngine::CreateEmpty(const VolumeRequest& request) {
  const Content content = request.content.value_or(Content::kExt4);
  ASSIGN_OR_RETURN(const uint64_t capacity, ChooseCapacity(request.capacity, content));
  ASSIGN_OR_RETURN(const LocalVolume made, IntendUnshared(request, content, capacity));
  return Commit(*made.pool, made.volume, MakeEmptyImage(*made.pool, made.volume));
}

absl::StatusOr<Volume> ImageEngine::CreateFromSnapshot(const VolumeRequest& request) {
  ASSIGN_OR_RETURN(const auto source, FindLocalSnapshot(request.source.id));
  Pool& pool = *source.pool;
  const Snapshot& snapshot = source.snapshot;
  RETURN_IF_ERROR(CheckSourcePool(pool, request));
  ASSIGN_OR_RETURN(const Content content, ContentOfClone(request, snapshot.content));
  RETURN_IF_ERROR(CheckOvercommit(request.parameters, content, pool.name(),
                                  pool.catalog->identity().overcommit));
  ASSIGN_OR_RETURN(const uint64_t capacity, CapacityOfClone(request, content, snapshot.size_bytes));
  // The open file stays readable whatever becomes of the snapshot: no lock on it is needed.
  auto opened = OpenSnapshot(source);
  if (absl::IsDataLoss(opened.status())) {
    // No file where its row was: it is just being shown or deleted (ABORTED), was deleted
    // (NOT_FOUND), or is lost.
    ASSIGN_OR_RETURN(const auto guard,
                     locks_.TryLock(SnapshotKey(ParseId(snapshot.id)->name_hash)));
    ASSIGN_OR_RETURN(const auto now, FindLocalSnapshot(snapshot.id));
    opened = OpenSnapshot(now);
  }
  ASSIGN_OR_RETURN(const CloneSource origin, std::move(opened));
  const Volume volume = NewVolumeRow(pool, request, content, capacity);
  const uint64_t need = NewVolumeBytes(request.parameters, capacity) +
                        CloneMetadataBytes(pool.filesystem, snapshot.extents);
  RETURN_IF_ERROR(Admit(pool, {.bound_bytes = need, .provisioned_bytes = capacity},
                        [&] { return pool.catalog->InsertVolume(volume, Outlives::kProcess); }));
  const auto make = [&]() -> absl::StatusOr<MadeImage> {
    ASSIGN_OR_RETURN(const UniqueFd image, CutImage(pool, volume.incarnation, origin.file));
    return FinishClone(pool, volume, image, origin);
  };
  return Commit(pool, volume, make());
}

absl::StatusOr<Volume> ImageEngine::CreateFromVolume(const VolumeRequest& request) {
  const auto parsed = ParseId(request.source.id);
  // Of itself: its lock is ours, and there is no such volume yet.
  if (!parsed || parsed->name_hash == NameHash(request.name)) {
    return NoSuchVolume(request.source.id);
  }
  ASSIGN_OR_RETURN(auto locked, locks_.TryLock(VolumeKey(parsed->name_hash)));
  std::optional<VolumeLocks::Guard> source_guard(std::move(locked));
  ASSIGN_OR_RETURN(auto source, FindLocal(request.source.id));
  RETURN_IF_ERROR(CheckNotRefused(source.volume));
  Pool& pool = *source.pool;
  RETURN_IF_ERROR(CheckSourcePool(pool, request));
  ASSIGN_OR_RETURN(const Content content, ContentOfClone(request, source.volume.content));
  RETURN_IF_ERROR(CheckOvercommit(request.parameters, content, pool.name(),
                                  pool.catalog->identity().overcommit));
  ASSIGN_OR_RETURN(const uint64_t capacity,
                   CapacityOfClone(request, content, source.volume.capacity_bytes));
  ASSIGN_OR_RETURN(const UniqueFd source_image, OpenImage(source, Access::kReadOnly));
  const Volume volume = NewVolumeRow(pool, request, content, capacity);
  ASSIGN_OR_RETURN(SpaceRequest need,
                   SpaceForCut(source, source_image, NewVolumeBytes(request.parameters, capacity)));
  need.provisioned_bytes = capacity;
  const auto intend = [&]() -> absl::Status {
    RETURN_IF_ERROR(MarkShared(source));
    return pool.catalog->InsertVolume(volume, Outlives::kProcess);
  };
  RETURN_IF_ERROR(Admit(pool, need, intend));
  const auto make = [&]() -> absl::StatusOr<MadeImage> {
    ASSIGN_OR_RETURN(Cut cut, CutVolume(pool, source.volume, source_image, volume.incarnation,
                                        options_.freeze_deadline));
    const CloneSource origin{.file = UniqueFd(),
                             .filesystem_uuid = source.volume.filesystem_uuid,
                             .root = cut.root,
                             .root_may_differ = cut.root_may_differ};
    RETURN_IF_ERROR(CheckStillFits(pool));
    source_guard.reset();  // the source may be used again while its clone is finished
    return FinishClone(pool, volume, cut.image, origin);
  };
  return Commit(pool, volume, make());
}

absl::Status ImageEngine::DeleteVolume(std::string_view id) {
  const auto parsed = ParseId(id);
  if (!parsed || parsed->kind != ObjectKind::kVolume) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto guard, locks_.TryLock(VolumeKey(parsed->name_hash)));
  ASSIGN_OR_RETURN(Pool* const pool, PoolOf(*parsed));
  if (pool == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(auto volume, pool->catalog->FindVolume(id));
  if (!volume) return absl::OkStatus();
  LocalVolume local{pool, *std::move(volume)};
  ASSIGN_OR_RETURN(auto named, host_.OpenFile(pool->volumes, ImageName(local.volume.incarnation),
                                              Access::kReadOnly));
  if (named) RETURN_IF_ERROR(CheckNotReplaced(local, *named));
  // Whatever attaches the image has it open: nearly always nobody has.
  const bool unused = named && !host_.IsOpenElsewhere(*named).value_or(true);
  named.reset();  // its blocks come back with the last descriptor
  if (!unused) RETURN_IF_ERROR(EndUse(local));
  return WithCatalogRoom(*pool, [&] { return Discard(*pool, local.volume, trash_policy()); });
}

// What somebody put in the image's place is no volume of ours to delete.
absl::Status ImageEngine::CheckNotReplaced(const LocalVolume& local, const UniqueFd& named) {
  const Volume& volume = local.volume;
  if (volume.state != ObjectState::kReady) return absl::OkStatus();
  ASSIGN_OR_RETURN(const FileFacts facts, host_.Describe(named));
  if (IsImageOf(volume, facts)) return absl::OkStatus();
  return absl::FailedPreconditionError(Refusal{
      "delete of " + volume.id,
      fmt::format("its image, inode {} generation {}", volume.image_inode, volume.image_generation),
      fmt::format("inode {} generation {} as volumes/{}", facts.inode, facts.generation,
                  ImageName(volume.incarnation)),
      "move that file out of the pool; then the volume can be deleted"}
                                           .Sentence());
}

// By the recorded inode, for under another name it is in use all the same; and by the name, for a
// row that is not ready may have none recorded.
absl::StatusOr<std::vector<Loop>> ImageEngine::LoopsOf(const LocalVolume& local) {
  const Volume& volume = local.volume;
  std::vector<Loop> loops;
  if (volume.state == ObjectState::kReady) {
    ASSIGN_OR_RETURN(loops, LoopsByInode(*local.pool, volume));
  }
  ASSIGN_OR_RETURN(
      const auto named,
      host_.OpenFile(local.pool->volumes, ImageName(volume.incarnation), Access::kReadOnly));
  if (!loops.empty() || !named) return loops;
  ASSIGN_OR_RETURN(const FileFacts facts, host_.Describe(*named));
  if (IsImageOf(volume, facts)) return loops;
  return host_.Attachments(facts);
}

// The image is attached nowhere any more; `local` learns what that changed in its row.
absl::Status ImageEngine::EndUse(LocalVolume& local) {
  ASSIGN_OR_RETURN(auto loops, LoopsOf(local));
  if (!loops.empty() && put_away_ && local.volume.state == ObjectState::kReady) {
    RETURN_IF_ERROR(put_away_(local));
    ASSIGN_OR_RETURN(loops, LoopsOf(local));
  }
  if (loops.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Refusal{"delete of " + local.volume.id, "a volume that is not in use",
              "its image attached as " + loops.front().path,
              "end the pods that use it; once kubelet has unstaged it, it can be deleted"}
          .Sentence());
}

}  // namespace holdfast
