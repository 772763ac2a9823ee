// What is known of every object while many clients call at once.
//
// Calls that overlap and share an object are judged together, once none of them is in flight: their
// answers must have a lawful explanation (explain.h), and what it leaves is what is known then.
// Where two explanations leave different worlds, both are kept until later answers tell.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tests/load/explain.h"

namespace holdfast::load {

class Ledger {
 public:
  explicit Ledger(Rules rules) : rules_(rules) {}

  // What is known now; nullopt while a call that changes it is in flight, or nobody can say.
  struct View {
    bool known = false;
    std::optional<VolumeState> volume;
    std::optional<SnapshotState> snapshot;
  };
  View Look(const ObjectKey& key) const;

  // Before the call is sent. 0: not now: too many calls would have to be judged together, or a pod
  // uses what the call would take away (which kubelet never does).
  uint64_t Begin(const Call& call);
  // After its answer; false when what is complete with it has no lawful explanation.
  bool End(uint64_t ticket, const Answer& answer);

  // --- Answers about all objects ---------------------------------------------------------------
  // What is known when the question is asked.
  struct Watch {
    std::map<ObjectKey, uint64_t> ages;
  };
  Watch BeginList() const;
  // Of those of the watch, what nobody could have changed until now.
  World StableSince(const Watch& watch, std::vector<ObjectKey>* keys) const;

  // The first few answers without an explanation, with all that was judged together.
  std::vector<std::string> wrong() const;
  // Answers that were judged, and those of them together with others.
  uint64_t judged() const { return judged_; }
  uint64_t judged_together() const { return judged_together_; }
  World Known() const;
  // Nothing is in flight; objects of which more than one state is possible.
  std::vector<ObjectKey> Doubtful() const;

 private:
  static constexpr size_t kMaxTogether = 6;
  static constexpr size_t kMaxWorlds = 16;

  // Calls that are judged together, and the worlds of their objects before them.
  struct Knot {
    std::vector<ObjectKey> objects;
    std::vector<World> worlds;
    std::vector<std::pair<uint64_t, TimedCall>> calls;  // by ticket; end 0: in flight
    bool InFlight() const;
  };
  struct Use {
    int changes_in_flight = 0;
    int pods = 0;      // data is being written or read
    int removals = 0;  // of the mount that pods use
  };

  bool Disturbs(const Call& call) const;
  // It is published there for sure, and stays so.
  bool PodMayUse(const Call& call) const;
  Knot& Tie(const std::vector<ObjectKey>& objects);
  bool Judge(std::list<Knot>::iterator knot);
  void Settle(std::list<Knot>::iterator knot);
  World Part(const ObjectKey& key) const;
  void Report(const Knot& knot);

  const Rules rules_;
  mutable std::mutex mutex_;
  World world_;  // of the objects in no knot
  std::list<Knot> knots_;
  std::map<ObjectKey, std::list<Knot>::iterator> knot_of_;
  std::map<ObjectKey, Use> uses_;
  std::map<ObjectKey, uint64_t> ages_;  // counts what may have changed it
  std::map<uint64_t, Call> in_flight_;
  uint64_t clock_ = 0;
  uint64_t judged_ = 0, judged_together_ = 0;
  std::vector<std::string> wrong_;
};

}  // namespace holdfast::load
