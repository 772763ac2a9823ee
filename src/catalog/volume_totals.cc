#include "catalog/volume_totals.h"

#include "volume/space.h"

namespace holdfast {

void VolumeSums::Load(const std::vector<Volume>& all) {
  const std::lock_guard lock(mutex_);
  parts_.clear();
  totals_ = {};
  for (const Volume& volume : all) Add(volume);
  known_ = true;
}

void VolumeSums::Forget() {
  const std::lock_guard lock(mutex_);
  known_ = false;
}

void VolumeSums::Put(const Volume& volume) {
  const std::lock_guard lock(mutex_);
  if (known_) Add(volume);
}

void VolumeSums::Add(const Volume& volume) {
  Take(volume.id);
  const VolumeTotals part{.capacity_bytes = volume.capacity_bytes,
                          .owed_bytes = OwedUpperBound(volume)};
  parts_[volume.id] = part;
  totals_.capacity_bytes += part.capacity_bytes;
  totals_.owed_bytes += part.owed_bytes;
}

void VolumeSums::Remove(std::string_view id) {
  const std::lock_guard lock(mutex_);
  Take(std::string(id));
}

void VolumeSums::Take(const std::string& id) {
  const auto part = parts_.find(id);
  if (part == parts_.end()) return;
  totals_.capacity_bytes -= part->second.capacity_bytes;
  totals_.owed_bytes -= part->second.owed_bytes;
  parts_.erase(part);
}

std::optional<VolumeTotals> VolumeSums::totals() const {
  const std::lock_guard lock(mutex_);
  return known_ ? std::optional(totals_) : std::nullopt;
}

}  // namespace holdfast
