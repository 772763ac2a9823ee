// Which call a client makes next: lawful ones that go on with a volume's life, and now and then
// repeats, contradictions and calls that come too early or too late.
#pragma once

#include <cstdint>
#include <random>

#include "tests/load/ledger.h"
#include "tests/load/site.h"

namespace holdfast::load {

class Chooser {
 public:
  Chooser(const Ledger& ledger, uint64_t too_large_bytes, uint64_t seed)
      : ledger_(ledger), too_large_bytes_(too_large_bytes), random_(seed) {}

  Call Next();
  // What takes the volume down by one step; kListVolumes when nothing is left of it.
  Call Down(int slot);
  // A number that nobody else writes as a tag.
  void set_tags(uint64_t first) { next_tag_ = first; }
  uint64_t Below(uint64_t limit) { return random_() % limit; }

 private:
  bool Chance(uint64_t percent) { return Below(100) < percent; }
  int PickVolume();
  int PickSnapshot(int pool);
  int PickVolumeOf(int pool);
  Content PickContent();
  Terms PickTerms(Content content);

  Call Blank(Method method, int slot);
  // Fills in what the volume has, or anything when it is not known.
  Call Fitting(Method method, int slot);
  Call ForAbsent(int slot);
  Call ForPutAway(int slot, const VolumeState& volume);
  Call ForStaged(int slot, const VolumeState& volume);
  Call ForPublished(int slot, const VolumeState& volume);
  Call ForAny(int slot, const VolumeState& volume);
  Call Noise(int slot);

  Call CreateEmpty(int slot);
  Call CreateClone(int slot);
  Call CreateRestore(int slot);
  Call CreateAgain(int slot, const VolumeState& volume);
  Call Expand(int slot, const VolumeState& volume);
  Call Snapshot(int slot);
  Call Publish(int slot, const VolumeState& volume);
  Call Copy(Call call, const std::optional<Content>& content, uint64_t source_bytes);

  const Ledger& ledger_;
  const uint64_t too_large_bytes_;
  std::mt19937_64 random_;
  uint64_t next_tag_ = 1;
};

// The largest volume that Next ever asks for, the too large ones left out.
inline constexpr uint64_t kLargestVolumeBytes = uint64_t{400} << 20;

}  // namespace holdfast::load
