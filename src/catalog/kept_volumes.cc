#include "catalog/kept_volumes.h"

#include <algorithm>

#include "volume/space.h"

namespace holdfast {

void KeptVolumes::Load(const std::vector<Volume>& all) {
  const std::lock_guard lock(mutex_);
  volumes_.clear();
  totals_ = {};
  for (const Volume& volume : all) Add(volume);
  known_ = true;
}

void KeptVolumes::Forget() {
  const std::lock_guard lock(mutex_);
  known_ = false;
}

void KeptVolumes::Put(const Volume& volume) {
  const std::lock_guard lock(mutex_);
  if (known_) Add(volume);
}

void KeptVolumes::Add(const Volume& volume) {
  Take(volume.id);
  const Kept kept{
      .part = {.capacity_bytes = volume.capacity_bytes, .owed_bytes = OwedUpperBound(volume)},
      .ready = volume.state == ObjectState::kReady,
      .source = volume.source};
  totals_.capacity_bytes += kept.part.capacity_bytes;
  totals_.owed_bytes += kept.part.owed_bytes;
  volumes_.emplace(volume.id, kept);
}

void KeptVolumes::Remove(std::string_view id) {
  const std::lock_guard lock(mutex_);
  Take(id);
}

void KeptVolumes::Take(std::string_view id) {
  const auto kept = volumes_.find(id);
  if (kept == volumes_.end()) return;
  totals_.capacity_bytes -= kept->second.part.capacity_bytes;
  totals_.owed_bytes -= kept->second.part.owed_bytes;
  volumes_.erase(kept);
}

std::optional<bool> KeptVolumes::Has(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  return known_ ? std::optional(volumes_.find(id) != volumes_.end()) : std::nullopt;
}

std::optional<VolumeTotals> KeptVolumes::totals() const {
  const std::lock_guard lock(mutex_);
  return known_ ? std::optional(totals_) : std::nullopt;
}

std::optional<std::vector<ListedVolume>> KeptVolumes::List(std::string_view after,
                                                           uint64_t limit) const {
  const std::lock_guard lock(mutex_);
  if (!known_) return std::nullopt;
  std::vector<ListedVolume> page;
  page.reserve(limit == 0 ? volumes_.size() : std::min<uint64_t>(limit, volumes_.size()));
  for (auto it = volumes_.upper_bound(after); it != volumes_.end(); ++it) {
    if (limit != 0 && page.size() == limit) break;
    const auto& [id, kept] = *it;
    if (!kept.ready) continue;
    page.push_back({.id = id, .capacity_bytes = kept.part.capacity_bytes, .source = kept.source});
  }
  return page;
}

}  // namespace holdfast
