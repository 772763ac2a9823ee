// What changes the simulated pools: volumes and snapshots made, grown, deleted.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/build_info.h"
#include "base/sizes.h"
#include "base/status_macros.h"
#include "base/uuid.h"
#include "engine/fake/fake_engine.h"

namespace holdfast {
namespace {

std::string LockKey(ObjectKind kind, std::string_view hash) {
  return fmt::format("{} {}", kind == ObjectKind::kVolume ? "volume" : "snapshot", hash);
}

bool Matches(std::optional<Content> asked, Content content) {
  return asked ? *asked == content : content != Content::kBlock;
}

absl::StatusOr<Volume> SameAsAsked(const Volume& volume, const VolumeRequest& request) {
  const char* differs = nullptr;
  if (!Satisfies(volume.capacity_bytes, request.capacity)) differs = "size";
  if (!Matches(request.content, volume.content)) differs = "content";
  if (!(request.source == volume.source)) differs = "source";
  if (!(request.parameters == volume.parameters)) differs = "class parameters";
  if (differs == nullptr) return volume;
  return absl::AlreadyExistsError(
      fmt::format("{} of volume '{}': expected as it was created, found another; use another name",
                  differs, volume.name));
}

RootAttributes FreshRoot(const Volume& volume) {
  RootAttributes root;
  root.inode = volume.content == Content::kXfs ? 128 : volume.content == Content::kBtrfs ? 256 : 2;
  root.generation = 1;
  root.birth_time = {volume.created_unix_nanos / 1'000'000'000,
                     static_cast<uint32_t>(volume.created_unix_nanos % 1'000'000'000)};
  root.change_time = root.birth_time;
  root.mode = volume.parameters.root_mode.value_or(0755);
  root.owner = volume.parameters.root_owner.value_or(Owner{}).uid;
  root.group = volume.parameters.root_owner.value_or(Owner{}).gid;
  return root;
}

}  // namespace

absl::StatusOr<Volume> FakeEngine::CreateVolume(const VolumeRequest& request) {
  ASSIGN_OR_RETURN(const auto guard,
                   locks_.TryLock(LockKey(ObjectKind::kVolume, NameHash(request.name))));
  const std::lock_guard lock(mutex_);
  for (const FakePool& pool : pools_) {
    const auto existing = pool.volumes.find(MakeId(ObjectKind::kVolume, pool.uuid, request.name));
    if (existing != pool.volumes.end() && pool.refusal.empty()) {
      return SameAsAsked(existing->second.row, request);
    }
  }
  if (request.origin) return CreateCopy(request);
  return request.source.kind == Source::Kind::kNone ? CreateEmpty(request) : CreateClone(request);
}

absl::StatusOr<Volume> FakeEngine::CreateCopy(const VolumeRequest& request) {
  const Snapshot& source = request.origin->snapshot;
  if (!Matches(request.content, source.content)) {
    return absl::InvalidArgumentError(fmt::format("content of volume '{}': expected {}, as {}",
                                                  request.name, ContentName(source.content),
                                                  request.source.id));
  }
  VolumeRequest empty = request;
  empty.content = source.content;
  if (empty.capacity.required_bytes == 0) empty.capacity.required_bytes = source.size_bytes;
  ASSIGN_OR_RETURN(const uint64_t capacity, ChooseCapacity(empty.capacity, source.content));
  if (capacity < source.size_bytes) {
    return absl::OutOfRangeError(fmt::format("size of volume '{}': expected at least {}, found {}",
                                             request.name, source.size_bytes, capacity));
  }
  ASSIGN_OR_RETURN(Volume made, CreateEmpty(empty));
  ASSIGN_OR_RETURN(StoredVolume * stored, MustFind(made.id));
  stored->row.stage.root = source.root;
  return stored->row;
}

Volume FakeEngine::NewRow(const VolumeRequest& request, Content content, uint64_t capacity_bytes) {
  Volume row;
  row.name = request.name;
  row.incarnation = NewUuid();
  row.state = ObjectState::kReady;
  row.content = content;
  row.capacity_bytes = capacity_bytes;
  row.parameters = request.parameters;
  row.labels = request.labels;
  row.source = request.source;
  row.shares_blocks = request.source.kind != Source::Kind::kNone && !request.origin;
  row.created_unix_nanos = clock_.UnixNanos();
  row.image_inode = next_inode_++;
  row.image_generation = 1;
  row.stage.driver_version = kDriverVersion;
  if (content == Content::kBlock) return row;
  row.formatted = true;
  row.filesystem_bytes = capacity_bytes;
  row.filesystem_uuid = NewUuid();
  row.stage.root = FreshRoot(row);
  return row;
}

absl::StatusOr<Volume> FakeEngine::CreateIn(FakePool& pool, Volume row, const Origin* origin) {
  RETURN_IF_ERROR(
      CheckOvercommit(row.parameters, row.content, pool.spec.name, pool.spec.overcommit));
  row.id = MakeId(ObjectKind::kVolume, pool.uuid, row.name);
  StoredVolume stored{row, {}};
  uint64_t missing = row.capacity_bytes;
  if (origin != nullptr) {
    stored.blocks = *origin->blocks;
    for (const Blocks& blocks : stored.blocks) missing -= *blocks;
  }
  if (row.parameters.provisioning == Provisioning::kThick && missing > 0) {
    stored.blocks.push_back(std::make_shared<const uint64_t>(missing));
  }
  pool.volumes[row.id] = std::move(stored);
  const absl::Status fits = CheckInvariant(pool);
  if (fits.ok()) return row;
  pool.volumes.erase(row.id);
  return fits;
}

absl::StatusOr<Volume> FakeEngine::CreateEmpty(const VolumeRequest& request) {
  const Content content = request.content.value_or(Content::kExt4);
  ASSIGN_OR_RETURN(const uint64_t capacity, ChooseCapacity(request.capacity, content));
  ASSIGN_OR_RETURN(const auto candidates, Candidates(request.parameters.pool));
  absl::StatusOr<Volume> made;
  for (FakePool* pool : candidates) {
    made = CreateIn(*pool, NewRow(request, content, capacity), nullptr);
    // The next pool may have room, or be overcommitted.
    if (!absl::IsResourceExhausted(made.status()) && !absl::IsFailedPrecondition(made.status())) {
      break;
    }
  }
  return made;
}

absl::StatusOr<FakeEngine::Origin> FakeEngine::FindOrigin(const Source& source) {
  if (source.kind == Source::Kind::kVolume) {
    ASSIGN_OR_RETURN(StoredVolume * volume, MustFind(source.id));
    ASSIGN_OR_RETURN(FakePool * pool, PoolOf(source.id, ObjectKind::kVolume));
    const Volume& row = volume->row;
    return Origin{pool,           row.content,    row.capacity_bytes, row.filesystem_bytes,
                  row.stage.root, &volume->blocks};
  }
  ASSIGN_OR_RETURN(FakePool * pool, PoolOf(source.id, ObjectKind::kSnapshot));
  if (pool == nullptr || pool->snapshots.count(source.id) == 0) {
    return absl::NotFoundError(
        fmt::format("snapshot: expected the id of one, found '{}'", source.id.substr(0, 128)));
  }
  const StoredSnapshot& snapshot = pool->snapshots.find(source.id)->second;
  const Snapshot& row = snapshot.row;
  return Origin{pool,     row.content,     row.size_bytes, row.filesystem_bytes,
                row.root, &snapshot.blocks};
}

absl::StatusOr<Volume> FakeEngine::CreateClone(const VolumeRequest& request) {
  const Source& source = request.source;
  std::optional<VolumeLocks::Guard> guard;
  if (const auto parsed = ParseId(source.id); parsed && parsed->kind == ObjectKind::kVolume) {
    if (parsed->name_hash == NameHash(request.name)) return MustFind(source.id).status();
    ASSIGN_OR_RETURN(auto locked, locks_.TryLock(LockKey(parsed->kind, parsed->name_hash)));
    guard.emplace(std::move(locked));
  }
  ASSIGN_OR_RETURN(const Origin origin, FindOrigin(source));
  if (!request.parameters.pool.empty() && request.parameters.pool != origin.pool->spec.name) {
    return absl::InvalidArgumentError(fmt::format("class parameter pool: expected {}, found {}",
                                                  origin.pool->spec.name, request.parameters.pool));
  }
  if (!Matches(request.content, origin.content)) {
    return absl::InvalidArgumentError(fmt::format("content of volume '{}': expected {}, as {}",
                                                  request.name, ContentName(origin.content),
                                                  source.id));
  }
  CapacityRange range = request.capacity;
  if (range.required_bytes == 0) range.required_bytes = origin.size_bytes;
  ASSIGN_OR_RETURN(const uint64_t capacity, ChooseCapacity(range, origin.content));
  if (capacity < origin.size_bytes) {
    return absl::OutOfRangeError(fmt::format("size of volume '{}': expected at least {}, found {}",
                                             request.name, origin.size_bytes, capacity));
  }
  Volume row = NewRow(request, origin.content, capacity);
  if (origin.root) row.stage.root = origin.root;
  ASSIGN_OR_RETURN(Volume made, CreateIn(*origin.pool, std::move(row), &origin));
  if (source.kind == Source::Kind::kVolume) {
    origin.pool->volumes.find(source.id)->second.row.shares_blocks = true;
  }
  return made;
}

absl::Status FakeEngine::DeleteVolume(std::string_view id) {
  const auto parsed = ParseId(id);
  if (!parsed || parsed->kind != ObjectKind::kVolume) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto guard, locks_.TryLock(LockKey(parsed->kind, parsed->name_hash)));
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(FakePool * pool, PoolOf(id, ObjectKind::kVolume));
  if (pool == nullptr) return absl::OkStatus();
  const auto volume = pool->volumes.find(id);
  if (volume == pool->volumes.end()) return absl::OkStatus();
  if (volume->second.row.stage.last_end == LastEnd::kStaged) {
    return absl::FailedPreconditionError(
        fmt::format("delete of {}: expected a volume that is not in use, found it staged", id));
  }
  pool->volumes.erase(volume);
  return absl::OkStatus();
}

absl::StatusOr<Volume> FakeEngine::ExpandVolume(std::string_view id, const CapacityRange& range) {
  std::optional<VolumeLocks::Guard> guard;
  if (const auto parsed = ParseId(id); parsed && parsed->kind == ObjectKind::kVolume) {
    ASSIGN_OR_RETURN(auto locked, locks_.TryLock(LockKey(parsed->kind, parsed->name_hash)));
    guard.emplace(std::move(locked));
  }
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(StoredVolume * volume, MustFind(id));
  ASSIGN_OR_RETURN(FakePool * pool, PoolOf(id, ObjectKind::kVolume));
  Volume& row = volume->row;
  const uint64_t present = row.capacity_bytes;
  if (range.limit_bytes != 0 && range.limit_bytes < present) {
    return absl::OutOfRangeError(fmt::format("limit for {}: expected at least {}, found {}", row.id,
                                             present, range.limit_bytes));
  }
  if (range.required_bytes <= present) return row;
  ASSIGN_OR_RETURN(const uint64_t target, ChooseCapacity(range, row.content));
  row.capacity_bytes = target;
  const bool thick = row.parameters.provisioning == Provisioning::kThick;
  if (thick) volume->blocks.push_back(std::make_shared<const uint64_t>(target - present));
  const absl::Status fits = CheckInvariant(*pool);
  if (fits.ok()) return row;
  row.capacity_bytes = present;
  if (thick) volume->blocks.pop_back();
  return absl::OutOfRangeError(fits.message());
}

absl::StatusOr<Snapshot> FakeEngine::CreateSnapshot(const std::string& name,
                                                    std::string_view volume_id) {
  ASSIGN_OR_RETURN(const auto guard,
                   locks_.TryLock(LockKey(ObjectKind::kSnapshot, NameHash(name))));
  std::optional<VolumeLocks::Guard> source_guard;
  if (const auto parsed = ParseId(volume_id); parsed && parsed->kind == ObjectKind::kVolume) {
    ASSIGN_OR_RETURN(auto locked, locks_.TryLock(LockKey(parsed->kind, parsed->name_hash)));
    source_guard.emplace(std::move(locked));
  }
  const std::lock_guard lock(mutex_);
  for (const FakePool& pool : pools_) {
    const auto existing = pool.snapshots.find(MakeId(ObjectKind::kSnapshot, pool.uuid, name));
    if (existing == pool.snapshots.end() || !pool.refusal.empty()) continue;
    if (existing->second.row.volume_id == volume_id) return existing->second.row;
    return absl::AlreadyExistsError(fmt::format("source of snapshot '{}': expected {}, found {}",
                                                name, existing->second.row.volume_id, volume_id));
  }
  ASSIGN_OR_RETURN(StoredVolume * source, MustFind(volume_id));
  ASSIGN_OR_RETURN(FakePool * pool, PoolOf(volume_id, ObjectKind::kVolume));
  Volume& volume = source->row;
  const bool in_use = volume.stage.last_end == LastEnd::kStaged;
  Snapshot row{.id = MakeId(ObjectKind::kSnapshot, pool->uuid, name),
               .name = name,
               .incarnation = NewUuid(),
               .state = ObjectState::kReady,
               .volume_id = volume.id,
               .volume_incarnation = volume.incarnation,
               .content = volume.content,
               .size_bytes = volume.capacity_bytes,
               .filesystem_bytes = volume.filesystem_bytes,
               .filesystem_uuid = volume.filesystem_uuid,
               .provisioning = volume.parameters.provisioning,
               .consistency = !in_use                             ? Consistency::kOffline
                              : volume.content == Content::kBlock ? Consistency::kCrash
                                                                  : Consistency::kFrozen,
               .extents = source->blocks.size(),
               .created_unix_nanos = clock_.UnixNanos(),
               .root = volume.stage.root};
  pool->snapshots[row.id] = {row, source->blocks};
  if (const absl::Status fits = CheckInvariant(*pool); !fits.ok()) {
    pool->snapshots.erase(row.id);
    return fits;
  }
  volume.shares_blocks = true;
  return row;
}

absl::Status FakeEngine::DeleteSnapshot(std::string_view id) {
  const auto parsed = ParseId(id);
  if (!parsed || parsed->kind != ObjectKind::kSnapshot) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto guard, locks_.TryLock(LockKey(parsed->kind, parsed->name_hash)));
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(FakePool * pool, PoolOf(id, ObjectKind::kSnapshot));
  if (pool != nullptr) pool->snapshots.erase(std::string(id));
  return absl::OkStatus();
}

}  // namespace holdfast
