// The simulated pools: what is in them, what is found, how much space there is.
#include "engine/fake/fake_engine.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/sizes.h"
#include "base/status_macros.h"
#include "base/uuid.h"

namespace holdfast {

FakeEngine::FakeEngine(const Clock& clock, const std::vector<FakePoolSpec>& pools) : clock_(clock) {
  for (const FakePoolSpec& spec : pools) pools_.push_back({spec, NewUuid(), "", {}, {}});
}

absl::StatusOr<FakeEngine::FakePool*> FakeEngine::PoolOf(std::string_view id, ObjectKind kind) {
  const auto parsed = ParseId(id);
  if (!parsed || parsed->kind != kind) return nullptr;
  for (FakePool& pool : pools_) {
    if (pool.uuid != parsed->pool_uuid) continue;
    if (!pool.refusal.empty()) return absl::UnavailableError(pool.refusal);
    return &pool;
  }
  return nullptr;
}

absl::StatusOr<FakeEngine::StoredVolume*> FakeEngine::MustFind(std::string_view id) {
  ASSIGN_OR_RETURN(FakePool * pool, PoolOf(id, ObjectKind::kVolume));
  if (pool != nullptr) {
    const auto volume = pool->volumes.find(id);
    if (volume != pool->volumes.end()) return &volume->second;
  }
  return absl::NotFoundError(
      fmt::format("volume: expected the id of one, found '{}'", id.substr(0, 128)));
}

absl::StatusOr<std::vector<FakeEngine::FakePool*>> FakeEngine::Candidates(const std::string& name) {
  std::vector<FakePool*> candidates;
  std::string refusal;
  for (FakePool& pool : pools_) {
    if (!name.empty() && pool.spec.name != name) continue;
    if (pool.refusal.empty()) {
      candidates.push_back(&pool);
    } else {
      refusal = pool.refusal;
    }
  }
  if (!candidates.empty()) return candidates;
  if (!refusal.empty()) return absl::UnavailableError(refusal);
  return absl::InvalidArgumentError(
      fmt::format("class parameter pool: expected one of this node's, found '{}'", name));
}

PoolSpace FakeEngine::Space(const FakePool& pool) {
  std::set<Blocks> used;
  for (const auto& [id, snapshot] : pool.snapshots) {
    used.insert(snapshot.blocks.begin(), snapshot.blocks.end());
  }
  for (const auto& [id, volume] : pool.volumes) {
    used.insert(volume.blocks.begin(), volume.blocks.end());
  }
  uint64_t used_bytes = 0, provisioned = 0;
  for (const Blocks& blocks : used) used_bytes += *blocks;

  PoolSpace space{.size_bytes = pool.spec.size_bytes};
  for (const auto& [id, volume] : pool.volumes) {
    ImageUsage usage{.hole_bytes = volume.row.capacity_bytes};
    for (const Blocks& blocks : volume.blocks) {
      usage.hole_bytes -= *blocks;
      // One reference is `used`'s.
      if (blocks.use_count() > 2) usage.shared_bytes += *blocks;
    }
    space.owed_bytes += OwedBytes(usage, volume.row.parameters.reserve_percent);
    provisioned += volume.row.capacity_bytes;
  }
  space.free_bytes = SaturatingSubtract(space.size_bytes, used_bytes);
  if (pool.spec.overcommit) {
    std::vector<Volume> rows;
    for (const auto& [id, volume] : pool.volumes) rows.push_back(volume.row);
    provisioned = std::min(provisioned, space.size_bytes);
    space.stop_reserve_bytes = 2 * StopReserveBytes(space.size_bytes, rows);
  }
  space.floor_bytes = FloorBytes(pool.spec.filesystem, space.size_bytes, provisioned);
  return space;
}

absl::Status FakeEngine::CheckInvariant(const FakePool& pool) {
  return CheckFits(Space(pool), 0, pool.spec.name);
}

absl::StatusOr<std::optional<Volume>> FakeEngine::FindVolume(std::string_view id) {
  const std::lock_guard lock(mutex_);
  auto found = MustFind(id);
  if (absl::IsNotFound(found.status())) return std::nullopt;
  RETURN_IF_ERROR(found.status());
  return (*found)->row;
}

absl::StatusOr<std::optional<Snapshot>> FakeEngine::FindSnapshot(std::string_view id) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(FakePool * pool, PoolOf(id, ObjectKind::kSnapshot));
  if (pool == nullptr) return std::nullopt;
  const auto snapshot = pool->snapshots.find(id);
  if (snapshot == pool->snapshots.end()) return std::nullopt;
  return snapshot->second.row;
}

namespace {

template <typename Row>
std::vector<Row> Page(std::map<std::string, Row> rows, std::string_view after, uint64_t limit) {
  std::vector<Row> page;
  for (auto it = rows.upper_bound(std::string(after)); it != rows.end(); ++it) {
    if (limit != 0 && page.size() == limit) break;
    page.push_back(std::move(it->second));
  }
  return page;
}

}  // namespace

absl::StatusOr<std::vector<ListedVolume>> FakeEngine::ListVolumes(std::string_view after,
                                                                  uint64_t limit) {
  const std::lock_guard lock(mutex_);
  std::map<std::string, ListedVolume> rows;
  for (const FakePool& pool : pools_) {
    if (!pool.refusal.empty()) continue;
    for (const auto& [id, volume] : pool.volumes) {
      rows[id] = {id, volume.row.capacity_bytes, volume.row.source};
    }
  }
  return Page(std::move(rows), after, limit);
}

absl::StatusOr<std::vector<Snapshot>> FakeEngine::ListSnapshots(const SnapshotFilter& filter,
                                                                std::string_view after,
                                                                uint64_t limit) {
  const std::lock_guard lock(mutex_);
  std::map<std::string, Snapshot> rows;
  for (const FakePool& pool : pools_) {
    if (!pool.refusal.empty()) continue;
    for (const auto& [id, snapshot] : pool.snapshots) {
      if (filter.id && *filter.id != id) continue;
      if (filter.volume_id && *filter.volume_id != snapshot.row.volume_id) continue;
      rows[id] = snapshot.row;
    }
  }
  return Page(std::move(rows), after, limit);
}

std::vector<PoolStatus> FakeEngine::Pools() {
  const std::lock_guard lock(mutex_);
  std::vector<PoolStatus> statuses;
  for (const FakePool& pool : pools_) {
    PoolStatus& status = statuses.emplace_back();
    status.name = pool.spec.name;
    status.uuid = pool.uuid;
    status.path = "/fake/" + pool.spec.name;
    status.filesystem = pool.spec.filesystem == PoolFilesystem::kXfs ? "xfs" : "btrfs";
    status.refusal = pool.refusal;
    status.overcommit = pool.spec.overcommit;
    if (pool.refusal.empty()) {
      status.space = Space(pool);
      status.volumes = pool.volumes.size();
      status.snapshots = pool.snapshots.size();
    }
  }
  return statuses;
}

absl::StatusOr<CapacityAnswer> FakeEngine::GetCapacity(const ClassParameters& parameters,
                                                       std::optional<Content> content) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const auto candidates, Candidates(parameters.pool));
  CapacityAnswer answer{.minimum_volume_bytes =
                            MinimumCapacityBytes(content.value_or(Content::kExt4))};
  for (const FakePool* pool : candidates) {
    if (!CheckOvercommit(parameters, content.value_or(Content::kExt4), pool->spec.name,
                         pool->spec.overcommit)
             .ok()) {
      continue;
    }
    const uint64_t largest = LargestNewVolume(Space(*pool), pool->spec.filesystem, parameters);
    if (largest < answer.minimum_volume_bytes) continue;
    answer.available_bytes += largest;
    answer.maximum_volume_bytes =
        std::max(answer.maximum_volume_bytes, std::min(largest, kMaximumCapacityBytes));
  }
  return answer;
}

void FakeEngine::RefusePool(const std::string& name, const std::string& sentence) {
  const std::lock_guard lock(mutex_);
  for (FakePool& pool : pools_) {
    if (pool.spec.name == name) pool.refusal = sentence;
  }
}

void FakeEngine::EditVolume(const std::string& id, const std::function<void(Volume&)>& edit) {
  const std::lock_guard lock(mutex_);
  auto found = MustFind(id);
  if (found.ok()) edit((*found)->row);
}

}  // namespace holdfast
