#include "tests/load/clients.h"

#include <atomic>
#include <mutex>
#include <thread>

#include "tests/integration/csi_client.h"
#include "tests/load/calls.h"
#include "tests/load/chooser.h"
#include "tests/load/lists.h"

namespace holdfast::load {
namespace {

using SteadyClock = std::chrono::steady_clock;

double MillisecondsSince(SteadyClock::time_point begin) {
  return std::chrono::duration<double, std::milli>(SteadyClock::now() - begin).count();
}

// One client. Its wrong answers end the run of all.
class Session {
 public:
  Session(const Site& site, Ledger& ledger, const std::string& socket, uint64_t too_large_bytes,
          uint64_t seed, uint64_t first_tag, std::atomic<bool>& stop)
      : site_(site),
        ledger_(ledger),
        stop_(stop),
        client_(socket),
        chooser_(ledger, too_large_bytes, seed) {
    chooser_.set_tags(first_tag);
  }

  void Work(SteadyClock::time_point deadline) {
    while (!stop_ && SteadyClock::now() < deadline) Make(chooser_.Next());
  }

  void Settle() {
    for (const ObjectKey& key : ledger_.Doubtful()) {
      if (key.snapshot) {
        Make({.method = Method::kGetSnapshot, .snapshot = key.slot});
        // Whether it was cut before or after a pod's write, only a restore would tell.
        if (!ledger_.Look(key).known) {
          Make({.method = Method::kDeleteSnapshot, .snapshot = key.slot});
        }
        continue;
      }
      Call call{.method = Method::kGetVolume, .volume = key.slot};
      Make(call);
      call.required_bytes = 4096;  // it has that: says only whether the node is needed
      for (const auto content : {std::optional<Content>(), std::optional(Content::kBlock)}) {
        call.method = Method::kExpandVolume;
        call.content = content;
        Make(call);
      }
      call.method = Method::kStats;
      for (call.pod = kNone; call.pod < kPods; ++call.pod) Make(call);
      if (!ledger_.Look(key).known) Make({.method = Method::kUnstage, .volume = key.slot});
      if (!ledger_.Look(key).known) Remove(key.slot);
    }
  }

  // Until nothing is left of the slots that are this client's.
  void TakeDown(int first, int step) {
    for (int slot = first; slot < kSnapshotSlots; slot += step) {
      if (ledger_.Look({true, slot}).snapshot) {
        Make({.method = Method::kDeleteSnapshot, .snapshot = slot});
      }
    }
    for (int slot = first; slot < kVolumeSlots; slot += step) {
      ShowOnceMore(slot);
      for (int tries = 0; tries < 20 && !stop_; ++tries) {
        const Call call = chooser_.Down(slot);
        if (call.method == Method::kListVolumes) break;
        Make(call);
      }
    }
  }

  Tally tally;
  std::vector<std::string> wrong;

 private:
  // As with a snapshot: a clone of a volume that was written to.
  void Remove(int slot) {
    for (int pod = 0; pod < kPods; ++pod) {
      Make({.method = Method::kUnpublish, .volume = slot, .pod = pod});
    }
    Make({.method = Method::kUnstage, .volume = slot});
    Make({.method = Method::kDeleteVolume, .volume = slot});
  }

  void Fail(std::string what) {
    wrong.push_back(std::move(what));
    stop_ = true;
  }

  void Make(const Call& call) {
    switch (call.method) {
      case Method::kListVolumes:
      case Method::kListSnapshots:
      case Method::kGetCapacity:
        return MakeList(call.method);
      default:
        return MakeOne(call);
    }
  }

  void MakeList(Method method) {
    const auto begin = SteadyClock::now();
    const int page = chooser_.Below(2) == 0 ? 0 : static_cast<int>(20 + chooser_.Below(60));
    ListAnswer answer;
    if (method == Method::kListVolumes) {
      answer = CheckVolumes(client_, site_, ledger_, page);
    } else if (method == Method::kListSnapshots) {
      const int of =
          chooser_.Below(2) == 0 ? kNone : static_cast<int>(chooser_.Below(kVolumeSlots));
      answer = CheckSnapshots(client_, site_, ledger_, page, of);
    } else {
      answer = CheckCapacity(client_, site_, static_cast<int>(chooser_.Below(kPools)),
                             static_cast<Content>(chooser_.Below(4)), /*quiet=*/false);
    }
    tally.listed += answer.compared;
    const double each = MillisecondsSince(begin) / std::max(answer.requests, 1);
    for (int i = 0; i < answer.requests; ++i) tally.Count(method, answer.code, each);
    if (!answer.wrong.empty()) Fail(std::string(MethodName(method)) + ": " + answer.wrong);
  }

  void MakeOne(const Call& call) {
    const uint64_t ticket = ledger_.Begin(call);
    if (ticket == 0) return;
    const auto begin = SteadyClock::now();
    const Answer answer = Perform(client_, site_, call);
    tally.Count(call.method, answer.code, MillisecondsSince(begin));
    const bool inherited = call.method == Method::kReadTag && WasInherited(call, answer);
    if (!ledger_.End(ticket, answer)) return Fail("see what is judged together");
    if (call.method == Method::kReadTag && answer.tag != 0) {
      ++tally.tags_seen;
      tally.inherited_tags_seen += inherited ? 1 : 0;
    }
    if (call.method == Method::kPublish && answer.code == absl::StatusCode::kOk)
      ReadWhatIsShown(call);
  }

  bool WasInherited(const Call& call, const Answer& answer) const {
    const Ledger::View view = ledger_.Look({false, call.volume});
    return view.volume && view.volume->inherited_tag && view.volume->tag == answer.tag;
  }

  // What was written is looked at a last time before it goes.
  void ShowOnceMore(int slot) {
    const Ledger::View view = ledger_.Look({false, slot});
    if (!view.volume || view.volume->tag == 0) return;
    Call call{.method = Method::kStage, .volume = slot, .content = view.volume->content};
    if (!view.volume->staged) Make(call);
    if (view.volume->staged) call.terms = *view.volume->staged;
    call.method = Method::kPublish;
    call.pod = 0;
    call.read_only = call.terms.read_only();
    if (view.volume->targets.empty()) return Make(call);
    call.pod = view.volume->targets.begin()->first;
    ReadWhatIsShown(call);
  }

  void ReadWhatIsShown(const Call& publish) {
    Call call = publish;
    call.method = Method::kReadTag;
    const Ledger::View view = ledger_.Look({false, call.volume});
    if (!view.volume) return;
    call.content = view.volume->content;
    MakeOne(call);
  }

  const Site& site_;
  Ledger& ledger_;
  std::atomic<bool>& stop_;
  CsiClient client_;
  Chooser chooser_;
};

}  // namespace

template <typename Body>
void Clients::InParallel(const Body& body) {
  ++rounds_;
  std::atomic<bool> stop = false;
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (int i = 0; i < kCount; ++i) {
    threads.emplace_back([&, i] {
      const uint64_t seed = (seed_ + rounds_) * kCount + static_cast<uint64_t>(i);
      const uint64_t number = rounds_ * kCount + static_cast<uint64_t>(i);
      Session session(site_, ledger_, socket_, too_large_bytes_, seed, number << 32 | 1, stop);
      body(session, i);
      const std::lock_guard lock(mutex);
      tally_.Add(session.tally);
      wrong_.insert(wrong_.end(), session.wrong.begin(), session.wrong.end());
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::string& wrong : ledger_.wrong()) wrong_.push_back(std::move(wrong));
}

void Clients::Run(std::chrono::milliseconds duration) {
  const auto deadline = SteadyClock::now() + duration;
  InParallel([&](Session& session, int) { session.Work(deadline); });
}

void Clients::Settle() {
  InParallel([](Session& session, int i) {
    if (i == 0) session.Settle();
  });
}

void Clients::TakeDown() {
  InParallel([&](Session& session, int i) { session.TakeDown(i, kCount); });
}

}  // namespace holdfast::load
