#include "engine/image/dirty_data.h"

#include <set>

#include "volume/overcommit.h"

namespace holdfast {

void DirtyData::Note(const Volume& volume, const Loop& loop) {
  if (!IsFlushedWhenStopped(volume.content)) return;
  const std::lock_guard lock(mutex_);
  loops_.insert_or_assign(volume.incarnation, loop);
}

void DirtyData::Keep(const std::vector<Volume>& volumes) {
  std::set<std::string> incarnations;
  for (const Volume& volume : volumes) incarnations.insert(volume.incarnation);
  const std::lock_guard lock(mutex_);
  std::erase_if(loops_, [&](const auto& one) { return !incarnations.contains(one.first); });
}

absl::StatusOr<uint64_t> DirtyData::BytesOf(Host& host, const std::vector<Volume>& volumes) const {
  std::vector<Loop> loops;
  {
    const std::lock_guard lock(mutex_);
    for (const Volume& volume : volumes) {
      if (!IsFlushedWhenStopped(volume.content)) continue;
      const auto found = loops_.find(volume.incarnation);
      if (found == loops_.end()) return host.MachineDirtyBytes();
      loops.push_back(found->second);
    }
  }
  return loops.empty() ? 0 : host.DirtyBytes(loops);
}

}  // namespace holdfast
