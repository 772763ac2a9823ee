// What the probes and the metrics may say at each moment of the process's life.
#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "engine/storage_engine.h"
#include "identity/identity_service.h"
#include "rpc/metrics.h"

namespace holdfast {

// Thread-safe. Starting until Begin(), starting (not ready) again from End() on.
class Serving {
 public:
  // The pools have answered: logs one line for each and remembers whether any is served, which
  // does not change any more. `engine` must stay until End() and the last scrape are over.
  void Begin(StorageEngine& engine);
  // Of a controller: it is ready when it serves, whatever nodes are there.
  void BeginWithoutPools();
  void End();

  // From memory, without a look at any pool.
  ProbeState Probe() const;
  // The same for /readyz: UNAVAILABLE with the reason.
  absl::Status Ready() const;
  // Asks the engine; empty before Begin().
  std::vector<PoolGauges> Gauges() const;

 private:
  mutable std::mutex mutex_;
  ProbeState state_{ProbeState::Health::kStarting, "the pools are being opened"};
  std::atomic<StorageEngine*> engine_{nullptr};
};

}  // namespace holdfast
