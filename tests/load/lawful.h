// The law: what one call, alone with its objects, must answer and what it leaves.
//
// Written from the CSI specification and docs, not from the driver's sources: nothing of src/ but
// names of enumerators is used here.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "tests/load/state.h"

namespace holdfast::load {

// A volume or snapshot by its slot.
struct ObjectKey {
  bool snapshot = false;
  int slot = kNone;
  auto operator<=>(const ObjectKey&) const = default;
};

// Objects that exist. What has no entry is known not to exist.
struct World {
  std::map<int, VolumeState> volumes;
  std::map<int, SnapshotState> snapshots;
  bool operator==(const World&) const = default;
};

// What a call that looks first and shows its result later has seen.
struct Seen {
  Content content = Content::kExt4;
  uint64_t bytes = 0;
  uint64_t tag = 0;
  bool operator==(const Seen&) const = default;
};

// A call works in one or two steps; each happens at one instant between its begin and its end.
// kImpossible: this answer is no lawful one in this world.
enum class Progress { kImpossible, kMore, kDone };
Progress Step(const Rules& rules, const Call& call, const Answer& answer, int step, World& world,
              Seen& seen);

// All that it looks at or changes.
std::vector<ObjectKey> ObjectsOf(const Call& call);
// What nobody else may work on meanwhile: a second caller is told ABORTED.
std::vector<ObjectKey> LocksOf(const Call& call);
// Whether it can change anything that another call's answer shows.
bool Changes(Method method);

// The size that a volume gets which is asked for with `required_bytes` (> 0).
uint64_t SizeFor(uint64_t required_bytes, Content content);

}  // namespace holdfast::load
