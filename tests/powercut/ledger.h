// What was promised, and when: each promise with the place in the disk's log where it was given.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "volume/volume.h"

namespace holdfast::powercut {

// Positions in the log. What a call caused lies behind `begun`; a cut at `acked` or later finds it
// acknowledged.
struct Span {
  static constexpr size_t kNever = std::numeric_limits<size_t>::max();
  size_t begun = 0, acked = kNever;
};

// A writer's volume as it was during a span: what a snapshot or a clone of it holds.
struct Origin {
  size_t writer = 0;
  Span span;
};

// A volume or a snapshot that exists.
struct Facts {
  Content content = Content::kBlock;
  uint64_t size_bytes = 0;
  std::optional<Origin> origin;
  std::string digest;  // of its image; empty: it may be written, or nobody knows
};

// By its name, which may be used again after a delete.
struct Object {
  bool snapshot = false;
  std::string name, id;
  struct Event {
    Span span;
    std::optional<Facts> after;  // nullopt: deleted
  };
  std::vector<Event> events;
};

// The states that an object may be in after a cut: one, or several where calls were under way.
struct PossibleStates {
  bool absent = true;
  std::vector<const Facts*> present;  // the object's own
};
PossibleStates StatesAt(const Object& object, size_t cut);

// A cell is a block or a file that a writer writes as a whole: version 1, 2, …; 0: it is not there.
struct CellHistory {
  struct Event {
    Span span;
    uint64_t version = 0;
  };
  std::vector<Event> events;
};
struct PossibleVersions {
  std::set<uint64_t> versions = {0};
  bool changing = false;  // a write was under way
};
// Of a cell that was seen during `span`; a cut is a span of no length.
PossibleVersions VersionsIn(const CellHistory& history, const Span& span);

// Thread-safe while the workload runs: each object and each writer's cells have one thread.
class Ledger {
 public:
  using Cells = std::map<std::string, CellHistory>;

  // The reference stays valid.
  Object& Add(Object object);
  Cells& CellsOf(size_t writer) { return cells_[writer]; }
  const Cells& CellsOf(size_t writer) const { return cells_[writer]; }
  const std::vector<std::unique_ptr<Object>>& objects() const { return objects_; }
  size_t AckedCalls() const;
  size_t AckedWrites() const;

  static constexpr size_t kWriters = 4;

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Object>> objects_;
  Cells cells_[kWriters];
};

}  // namespace holdfast::powercut
