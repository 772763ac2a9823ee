// What Prometheus scrapes: calls, counted as they end, and pools, asked for at each scrape.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast {

// One pool at one moment, sizes in bytes. A refused pool has served = false and zeros.
struct PoolGauges {
  std::string pool;
  bool served = false;
  uint64_t size_bytes = 0, used_bytes = 0, free_bytes = 0;
  uint64_t owed_bytes = 0, floor_bytes = 0, trash_bytes = 0;
  uint64_t volumes = 0, snapshots = 0, trash_entries = 0;
  uint64_t stop_line_bytes = 0, ballast_bytes = 0, stopped_volumes = 0;
  uint64_t stops = 0;                     // since the process began
  uint64_t snapshot_extents = 0;          // of all its snapshots together
  uint64_t largest_snapshot_extents = 0;  // of one: what the slowest cut and clone cost
};

// Thread-safe.
class Metrics {
 public:
  // `pools` is called at each scrape, by the thread that scrapes; empty: no pool metrics.
  explicit Metrics(std::function<std::vector<PoolGauges>()> pools = nullptr);
  ~Metrics();

  // One call that ended. `method` is one of a fixed set ("CreateVolume"), `code` a gRPC code's
  // name. A CreateSnapshot that is OK also counts as a cut: it answers when the cut is durable.
  void CallEnded(const std::string& method, const std::string& code, double seconds);

  // All of it in the Prometheus text format, version 0.0.4.
  std::string Text() const;

 private:
  struct Families;
  const std::function<std::vector<PoolGauges>()> pools_;
  const std::unique_ptr<Families> families_;
};

}  // namespace holdfast
