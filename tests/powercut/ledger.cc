#include "tests/powercut/ledger.h"

namespace holdfast::powercut {

PossibleStates StatesAt(const Object& object, size_t cut) {
  PossibleStates states;
  for (const Object::Event& event : object.events) {
    const bool acked = event.span.acked <= cut;
    if (!acked && event.span.begun >= cut) break;
    if (acked) states = {.absent = false, .present = {}};
    if (event.after) {
      states.present.push_back(&*event.after);
    } else {
      states.absent = true;
    }
  }
  return states;
}

PossibleVersions VersionsIn(const CellHistory& history, const Span& span) {
  PossibleVersions possible;
  for (const CellHistory::Event& event : history.events) {
    if (event.span.acked <= span.begun) {
      possible = {.versions = {event.version}, .changing = false};
    } else if (event.span.begun < span.acked) {
      possible.versions.insert(event.version);
      possible.changing = true;
    }
  }
  return possible;
}

Object& Ledger::Add(Object object) {
  const std::lock_guard lock(mutex_);
  objects_.push_back(std::make_unique<Object>(std::move(object)));
  return *objects_.back();
}

size_t Ledger::AckedCalls() const {
  size_t count = 0;
  for (const auto& object : objects_) {
    for (const auto& event : object->events) count += event.span.acked != Span::kNever ? 1 : 0;
  }
  return count;
}

size_t Ledger::AckedWrites() const {
  size_t count = 0;
  for (const Cells& cells : cells_) {
    for (const auto& [name, history] : cells) {
      for (const auto& event : history.events) count += event.span.acked != Span::kNever ? 1 : 0;
    }
  }
  return count;
}

}  // namespace holdfast::powercut
