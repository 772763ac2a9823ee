#include "serving.h"

#include <algorithm>
#include <map>
#include <string>

#include "base/sizes.h"
#include "fmt/format.h"
#include "spdlog/spdlog.h"
#include "volume/ids.h"

namespace holdfast {
namespace {

// A scrape must end however many snapshots there are.
constexpr uint64_t kPage = 1000;
constexpr int kMaxPages = 1000;

struct Extents {
  uint64_t sum = 0, largest = 0;
};

std::map<std::string, Extents> ExtentsByPool(StorageEngine& engine) {
  std::map<std::string, Extents> result;
  std::string after;
  for (int page = 0; page < kMaxPages; ++page) {
    const auto snapshots = engine.ListSnapshots({}, after, kPage);
    if (!snapshots.ok() || snapshots->empty()) break;
    for (const Snapshot& snapshot : *snapshots) {
      const auto id = ParseId(snapshot.id);
      if (!id) continue;
      Extents& extents = result[id->pool_uuid];
      extents.sum += snapshot.extents;
      extents.largest = std::max(extents.largest, snapshot.extents);
    }
    after = snapshots->back().id;
  }
  return result;
}

}  // namespace

void Serving::Begin(StorageEngine& engine) {
  size_t served = 0;
  std::string first_refusal;
  for (const PoolStatus& pool : engine.PoolsInBrief()) {
    if (pool.refusal.empty()) {
      ++served;
      spdlog::info("pool {} ({}) in {}: {} volumes, {} snapshots, {} free", pool.name,
                   pool.filesystem, pool.path, pool.volumes, pool.snapshots,
                   FormatBytes(pool.space.free_bytes));
    } else {
      spdlog::error("pool {} is refused: {}", pool.path, pool.refusal);
      if (first_refusal.empty()) first_refusal = pool.refusal;
    }
  }
  const std::lock_guard lock(mutex_);
  state_ = served > 0 ? ProbeState{ProbeState::Health::kReady, ""}
                      : ProbeState{ProbeState::Health::kUnhealthy,
                                   fmt::format("no pool is served: {}", first_refusal)};
  engine_ = &engine;
}

void Serving::BeginWithoutPools() {
  const std::lock_guard lock(mutex_);
  state_ = {ProbeState::Health::kReady, ""};
}

void Serving::End() {
  const std::lock_guard lock(mutex_);
  state_ = {ProbeState::Health::kStarting, "the server is stopping"};
}

ProbeState Serving::Probe() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

absl::Status Serving::Ready() const {
  const ProbeState state = Probe();
  if (state.health == ProbeState::Health::kReady) return absl::OkStatus();
  return absl::UnavailableError(state.reason);
}

std::vector<PoolGauges> Serving::Gauges() const {
  StorageEngine* engine = engine_;
  if (engine == nullptr) return {};
  const std::map<std::string, Extents> extents = ExtentsByPool(*engine);
  std::vector<PoolGauges> result;
  for (const PoolStatus& pool : engine->Pools()) {
    PoolGauges gauges;
    gauges.pool = pool.name.empty() ? pool.path : pool.name;
    gauges.served = pool.refusal.empty();
    gauges.size_bytes = pool.space.size_bytes;
    gauges.free_bytes = pool.space.free_bytes;
    gauges.used_bytes = SaturatingSubtract(pool.space.size_bytes, pool.space.free_bytes);
    gauges.owed_bytes = pool.space.owed_bytes;
    gauges.floor_bytes = pool.space.floor_bytes;
    gauges.trash_bytes = pool.space.trash_bytes;
    gauges.stop_line_bytes = pool.stop_line_bytes;
    gauges.ballast_bytes = pool.ballast_bytes;
    gauges.stopped_volumes = pool.stopped_volumes;
    gauges.stops = pool.stops;
    gauges.volumes = pool.volumes;
    gauges.snapshots = pool.snapshots;
    gauges.trash_entries = pool.trash_entries;
    if (const auto found = extents.find(pool.uuid); found != extents.end()) {
      gauges.snapshot_extents = found->second.sum;
      gauges.largest_snapshot_extents = found->second.largest;
    }
    result.push_back(std::move(gauges));
  }
  return result;
}

}  // namespace holdfast
