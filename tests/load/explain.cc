#include "tests/load/explain.h"

#include <algorithm>

namespace holdfast::load {
namespace {

bool Overlap(const TimedCall& a, const TimedCall& b) { return a.begin < b.end && b.begin < a.end; }

bool ShareALock(const Call& a, const Call& b) {
  const auto of_a = LocksOf(a), of_b = LocksOf(b);
  return std::any_of(of_a.begin(), of_a.end(), [&](const ObjectKey& key) {
    return std::find(of_b.begin(), of_b.end(), key) != of_b.end();
  });
}

// A call that was itself refused held nothing, unless it had taken one of two objects.
bool MayBeAborted(const TimedCall& aborted, const std::vector<TimedCall>& calls) {
  return std::any_of(calls.begin(), calls.end(), [&](const TimedCall& other) {
    const bool held_nothing =
        other.answer.code == absl::StatusCode::kAborted && LocksOf(other.call).size() < 2;
    return &other != &aborted && !held_nothing && Overlap(aborted, other) &&
           ShareALock(aborted.call, other.call);
  });
}

class Search {
 public:
  Search(const Rules& rules, const std::vector<TimedCall>& calls) : rules_(rules), calls_(calls) {}

  void From(const World& world) {
    Visit({.world = world,
           .steps = std::vector<int>(calls_.size()),
           .seen = std::vector<Seen>(calls_.size())});
  }
  std::vector<World> ends() && { return std::move(ends_); }

 private:
  static constexpr int kFinished = -1;
  struct Point {
    World world;
    std::vector<int> steps;  // taken of each call, or kFinished
    std::vector<Seen> seen;
    bool operator==(const Point&) const = default;
  };

  // Nothing that ended before it began is still to come.
  bool MayBeNext(const Point& point, size_t next) const {
    if (point.steps[next] == kFinished) return false;
    for (size_t i = 0; i < calls_.size(); ++i) {
      if (point.steps[i] != kFinished && calls_[i].end < calls_[next].begin) return false;
    }
    return true;
  }

  void Visit(Point point) {
    if (std::find(visited_.begin(), visited_.end(), point) != visited_.end()) return;
    visited_.push_back(point);
    bool finished = true;
    for (size_t i = 0; i < calls_.size(); ++i) {
      finished = finished && point.steps[i] == kFinished;
      if (!MayBeNext(point, i)) continue;
      Point next = point;
      const Progress progress =
          Step(rules_, calls_[i].call, calls_[i].answer, point.steps[i], next.world, next.seen[i]);
      if (progress == Progress::kImpossible) continue;
      next.steps[i] = progress == Progress::kDone ? kFinished : point.steps[i] + 1;
      if (progress == Progress::kDone) next.seen[i] = {};
      Visit(std::move(next));
    }
    const bool is_new = std::find(ends_.begin(), ends_.end(), point.world) == ends_.end();
    if (finished && is_new) ends_.push_back(std::move(point.world));
  }

  const Rules& rules_;
  const std::vector<TimedCall>& calls_;
  std::vector<Point> visited_;
  std::vector<World> ends_;
};

}  // namespace

std::vector<World> Explain(const Rules& rules, const std::vector<World>& worlds,
                           const std::vector<TimedCall>& calls) {
  std::vector<TimedCall> effective;
  for (const TimedCall& call : calls) {
    if (call.answer.code != absl::StatusCode::kAborted) {
      effective.push_back(call);
    } else if (!MayBeAborted(call, calls)) {
      return {};
    }
  }
  Search search(rules, effective);
  for (const World& world : worlds) search.From(world);
  return std::move(search).ends();
}

}  // namespace holdfast::load
