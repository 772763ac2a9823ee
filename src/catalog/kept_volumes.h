// What is asked of all volumes at once, kept instead of read: the sums that every admission needs,
// and what a list says of each.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "volume/volume.h"

namespace holdfast {

struct VolumeTotals {
  uint64_t capacity_bytes = 0;
  uint64_t owed_bytes = 0;  // at most: volume/space.h, OwedUpperBound

  bool operator==(const VolumeTotals&) const = default;
};

// Thread-safe. Calls about one volume are in the order of its writes.
class KeptVolumes {
 public:
  // No write may begin while it runs: one that it missed would be missed for good.
  void Load(const std::vector<Volume>& all);
  // What is in the catalog is not certain any more: to be loaded again.
  void Forget();

  // Nothing while it is not known what there is.
  void Put(const Volume& volume);
  void Remove(std::string_view id);

  // nullopt: not known.
  std::optional<bool> Has(std::string_view id) const;
  std::optional<VolumeTotals> totals() const;
  // As Catalog::ListVolumes.
  std::optional<std::vector<ListedVolume>> List(std::string_view after, uint64_t limit) const;

 private:
  struct Kept {
    VolumeTotals part;
    bool ready = false;
    Source source;
  };
  // With the mutex held.
  void Add(const Volume& volume);
  void Take(std::string_view id);

  mutable std::mutex mutex_;
  bool known_ = false;
  std::map<std::string, Kept, std::less<>> volumes_;  // by id
  VolumeTotals totals_;
};

}  // namespace holdfast
