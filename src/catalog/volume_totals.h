// The sums over all volumes that every admission asks for, kept instead of counted.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "volume/volume.h"

namespace holdfast {

struct VolumeTotals {
  uint64_t capacity_bytes = 0;
  uint64_t owed_bytes = 0;  // at most: volume/space.h, OwedUpperBound

  bool operator==(const VolumeTotals&) const = default;
};

// Thread-safe. Calls about one volume are in the order of its writes.
class VolumeSums {
 public:
  // No write may begin while it runs: one that it missed would be missed for good.
  void Load(const std::vector<Volume>& all);
  // What is in the catalog is not certain any more: to be loaded again.
  void Forget();

  // Nothing while the sums are not known.
  void Put(const Volume& volume);
  void Remove(std::string_view id);

  // nullopt: not known.
  std::optional<VolumeTotals> totals() const;

 private:
  // With the mutex held.
  void Add(const Volume& volume);
  void Take(const std::string& id);

  mutable std::mutex mutex_;
  bool known_ = false;
  std::unordered_map<std::string, VolumeTotals> parts_;  // by volume id
  VolumeTotals totals_;
};

}  // namespace holdfast
