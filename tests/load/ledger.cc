#include "tests/load/ledger.h"

#include <algorithm>
#include <set>
#include <utility>

#include "fmt/format.h"

namespace holdfast::load {
namespace {

bool IsPods(Method method) { return method == Method::kWriteTag || method == Method::kReadTag; }

bool TakesMountsAway(Method method) {
  return method == Method::kUnpublish || method == Method::kUnstage ||
         method == Method::kDeleteVolume;
}

std::string Describe(const World& world) {
  std::string text;
  for (const auto& [slot, volume] : world.volumes) {
    text += fmt::format("  volume {}: {} {} bytes {}{} source {}/{} tag {} {}", slot,
                        ContentName(volume.content), volume.capacity_bytes,
                        volume.thick ? "thick" : "thin", volume.grown ? "" : " not grown",
                        volume.source_volume, volume.source_snapshot, volume.tag,
                        volume.staged ? "staged" : "put away");
    for (const auto& [pod, target] : volume.targets) {
      text += fmt::format(", pod {}{}{}", pod, target.read_only ? " read-only" : "",
                          target.no_atime ? " noatime" : "");
    }
    text += "\n";
  }
  for (const auto& [slot, snapshot] : world.snapshots) {
    text += fmt::format("  snapshot {}: of volume {}, {} bytes, tag {}\n", slot, snapshot.volume,
                        snapshot.size_bytes, snapshot.tag);
  }
  return text.empty() ? "  nothing\n" : text;
}

World PartOf(const World& world, const ObjectKey& key) {
  World part;
  if (key.snapshot) {
    const auto found = world.snapshots.find(key.slot);
    if (found != world.snapshots.end()) part.snapshots.insert(*found);
  } else {
    const auto found = world.volumes.find(key.slot);
    if (found != world.volumes.end()) part.volumes.insert(*found);
  }
  return part;
}

void Drop(World& world, const ObjectKey& key) {
  if (key.snapshot) {
    world.snapshots.erase(key.slot);
  } else {
    world.volumes.erase(key.slot);
  }
}

void Add(World& world, const World& part) {
  world.volumes.insert(part.volumes.begin(), part.volumes.end());
  world.snapshots.insert(part.snapshots.begin(), part.snapshots.end());
}

}  // namespace

bool Ledger::Knot::InFlight() const {
  return std::any_of(calls.begin(), calls.end(), [](const auto& at) { return at.second.end == 0; });
}

World Ledger::Part(const ObjectKey& key) const { return PartOf(world_, key); }

Ledger::View Ledger::Look(const ObjectKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto use = uses_.find(key);
  if (use != uses_.end() && use->second.changes_in_flight > 0) return {};
  World part = Part(key);
  if (const auto knot = knot_of_.find(key); knot != knot_of_.end()) {
    // Only questions are in flight: no judgement of theirs changes what is known.
    const bool one = knot->second->worlds.size() == 1;
    const auto& calls = knot->second->calls;
    const bool touched = std::any_of(calls.begin(), calls.end(), [&](const auto& at) {
      const auto objects = ObjectsOf(at.second.call);
      return Changes(at.second.call.method) &&
             std::find(objects.begin(), objects.end(), key) != objects.end();
    });
    if (!one || touched) return {};
    part = PartOf(knot->second->worlds.front(), key);
  }
  View view{.known = true};
  if (!part.volumes.empty()) view.volume = part.volumes.begin()->second;
  if (!part.snapshots.empty()) view.snapshot = part.snapshots.begin()->second;
  return view;
}

bool Ledger::PodMayUse(const Call& call) const {
  const ObjectKey key{false, call.volume};
  if (const auto use = uses_.find(key); use != uses_.end() && use->second.removals > 0)
    return false;
  const auto shows_target = [&](const World& world) {
    const auto volume = world.volumes.find(call.volume);
    if (volume == world.volumes.end() || volume->second.content != call.content) return false;
    const auto target = volume->second.targets.find(call.pod);
    return target != volume->second.targets.end() &&
           (call.method == Method::kReadTag || !target->second.read_only);
  };
  const auto knot = knot_of_.find(key);
  if (knot == knot_of_.end()) return shows_target(world_);
  const auto& calls = knot->second->calls;
  const bool ended = std::any_of(calls.begin(), calls.end(), [&](const auto& at) {
    return at.second.call.volume == call.volume && TakesMountsAway(at.second.call.method);
  });
  const auto& worlds = knot->second->worlds;
  return !ended && std::all_of(worlds.begin(), worlds.end(), shows_target);
}

bool Ledger::Disturbs(const Call& call) const {
  if (call.volume == kNone) return false;
  if (IsPods(call.method)) return !PodMayUse(call);
  const auto found = uses_.find({false, call.volume});
  return found != uses_.end() && TakesMountsAway(call.method) && found->second.pods > 0;
}

Ledger::Knot& Ledger::Tie(const std::vector<ObjectKey>& objects) {
  knots_.push_front({.objects = {}, .worlds = {World()}, .calls = {}});
  const auto tied = knots_.begin();
  std::vector<std::list<Knot>::iterator> merged;
  for (const ObjectKey& key : objects) {
    const auto other = knot_of_.find(key);
    if (other == knot_of_.end()) {
      for (World& world : tied->worlds) Add(world, Part(key));
      Drop(world_, key);
      tied->objects.push_back(key);
    } else if (std::find(merged.begin(), merged.end(), other->second) == merged.end()) {
      merged.push_back(other->second);
    }
  }
  for (const auto& other : merged) {
    std::vector<World> products;
    for (const World& left : tied->worlds) {
      for (const World& right : other->worlds) {
        products.push_back(left);
        Add(products.back(), right);
      }
    }
    tied->worlds = std::move(products);
    tied->objects.insert(tied->objects.end(), other->objects.begin(), other->objects.end());
    tied->calls.insert(tied->calls.end(), other->calls.begin(), other->calls.end());
    knots_.erase(other);
  }
  for (const ObjectKey& key : tied->objects) knot_of_[key] = tied;
  return *tied;
}

uint64_t Ledger::Begin(const Call& call) {
  const std::lock_guard lock(mutex_);
  const std::vector<ObjectKey> objects = ObjectsOf(call);
  if (Disturbs(call)) return 0;
  std::set<const Knot*> knots;
  for (const ObjectKey& key : objects) {
    if (const auto at = knot_of_.find(key); at != knot_of_.end()) knots.insert(&*at->second);
  }
  size_t calls = 1, worlds = 1;
  for (const Knot* knot : knots) {
    calls += knot->calls.size();
    worlds *= knot->worlds.size();
  }
  if (calls > kMaxTogether || worlds > kMaxWorlds) return 0;
  const uint64_t ticket = ++clock_;
  Tie(objects).calls.push_back({ticket, {.call = call, .answer = {}, .begin = ticket}});
  if (Changes(call.method)) {
    for (const ObjectKey& key : objects) {
      ++ages_[key];
      ++uses_[key].changes_in_flight;
    }
  }
  if (call.volume != kNone) {
    Use& use = uses_[{false, call.volume}];
    use.pods += IsPods(call.method) ? 1 : 0;
    use.removals += TakesMountsAway(call.method) ? 1 : 0;
  }
  in_flight_[ticket] = call;
  return ticket;
}

bool Ledger::End(uint64_t ticket, const Answer& answer) {
  const std::lock_guard lock(mutex_);
  const Call call = in_flight_.at(ticket);
  in_flight_.erase(ticket);
  const std::vector<ObjectKey> objects = ObjectsOf(call);
  if (Changes(call.method)) {
    for (const ObjectKey& key : objects) --uses_[key].changes_in_flight;
  }
  if (call.volume != kNone) {
    Use& use = uses_[{false, call.volume}];
    use.pods -= IsPods(call.method) ? 1 : 0;
    use.removals -= TakesMountsAway(call.method) ? 1 : 0;
  }
  const auto knot = knot_of_.at(objects.front());
  for (auto& [other, timed] : knot->calls) {
    if (other != ticket) continue;
    timed.answer = answer;
    timed.end = ++clock_;
  }
  return knot->InFlight() || Judge(knot);
}

bool Ledger::Judge(std::list<Knot>::iterator knot) {
  std::vector<TimedCall> calls;
  for (const auto& [ticket, timed] : knot->calls) calls.push_back(timed);
  judged_ += calls.size();
  if (calls.size() > 1) judged_together_ += calls.size();
  std::vector<World> ends = Explain(rules_, knot->worlds, calls);
  const bool lawful = !ends.empty();
  if (!lawful) {
    Report(*knot);
    ends = knot->worlds;  // the run ends here
  }
  knot->worlds = std::move(ends);
  knot->calls.clear();
  Settle(knot);
  return lawful;
}

// What is the same in all worlds is known.
void Ledger::Settle(std::list<Knot>::iterator knot) {
  std::vector<ObjectKey> doubtful;
  for (const ObjectKey& key : knot->objects) {
    const World part = PartOf(knot->worlds.front(), key);
    const bool same = std::all_of(knot->worlds.begin(), knot->worlds.end(),
                                  [&](const World& world) { return PartOf(world, key) == part; });
    if (!same) {
      doubtful.push_back(key);
      continue;
    }
    Add(world_, part);
    for (World& world : knot->worlds) Drop(world, key);
    knot_of_.erase(key);
  }
  knot->objects = std::move(doubtful);
  if (knot->objects.empty()) knots_.erase(knot);
}

Ledger::Watch Ledger::BeginList() const {
  const std::lock_guard lock(mutex_);
  Watch watch;
  for (const auto& [key, age] : ages_) {
    if (uses_.at(key).changes_in_flight == 0 && !knot_of_.contains(key)) watch.ages[key] = age;
  }
  return watch;
}

World Ledger::StableSince(const Watch& watch, std::vector<ObjectKey>* keys) const {
  const std::lock_guard lock(mutex_);
  World stable;
  for (const auto& [key, age] : watch.ages) {
    if (ages_.at(key) != age || knot_of_.contains(key)) continue;
    keys->push_back(key);
    Add(stable, Part(key));
  }
  return stable;
}

void Ledger::Report(const Knot& knot) {
  if (wrong_.size() >= 3) return;
  std::string text =
      fmt::format("no lawful explanation, begun in {} possible world(s):\n", knot.worlds.size());
  for (const World& world : knot.worlds) text += Describe(world);
  for (const auto& [ticket, timed] : knot.calls) {
    text += fmt::format("  [{}..{}] {}\n      → {}\n", timed.begin, timed.end, Describe(timed.call),
                        Describe(timed.answer));
  }
  wrong_.push_back(std::move(text));
}

std::vector<std::string> Ledger::wrong() const {
  const std::lock_guard lock(mutex_);
  return wrong_;
}

World Ledger::Known() const {
  const std::lock_guard lock(mutex_);
  return world_;
}

std::vector<ObjectKey> Ledger::Doubtful() const {
  const std::lock_guard lock(mutex_);
  std::vector<ObjectKey> keys;
  for (const auto& [key, knot] : knot_of_) keys.push_back(key);
  return keys;
}

}  // namespace holdfast::load
