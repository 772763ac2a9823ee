#include "rpc/metrics.h"

#include <map>
#include <mutex>
#include <utility>

#include "base/build_info.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "prometheus/text_serializer.h"

namespace holdfast {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// Seconds. A stage is milliseconds, a restore with a log replay seconds.
const prometheus::Histogram::BucketBoundaries kSecondsBuckets = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};

struct PoolMetric {
  const char* name;
  const char* help;
  uint64_t PoolGauges::*value;
};

constexpr PoolMetric kPoolMetrics[] = {
    {"holdfast_pool_size_bytes", "Size of the pool's filesystem", &PoolGauges::size_bytes},
    {"holdfast_pool_used_bytes", "Allocated in the pool, trash included", &PoolGauges::used_bytes},
    {"holdfast_pool_free_bytes", "What file data can still get", &PoolGauges::free_bytes},
    {"holdfast_pool_owed_bytes", "What workloads may still make the pool allocate",
     &PoolGauges::owed_bytes},
    {"holdfast_pool_floor_bytes", "Kept back for metadata", &PoolGauges::floor_bytes},
    {"holdfast_pool_trash_bytes", "Held by deleted objects in their grace",
     &PoolGauges::trash_bytes},
    {"holdfast_pool_trash_entries", "Deleted objects in their grace", &PoolGauges::trash_entries},
    {"holdfast_pool_stop_line_bytes",
     "Free space below which overcommitted volumes are stopped; 0: the pool is not overcommitted",
     &PoolGauges::stop_line_bytes},
    {"holdfast_pool_ballast_bytes", "Held back for the moment volumes are stopped",
     &PoolGauges::ballast_bytes},
    {"holdfast_stopped_volumes", "Volumes stopped for want of space and not staged since",
     &PoolGauges::stopped_volumes},
    {"holdfast_volumes", "Volumes that are ready", &PoolGauges::volumes},
    {"holdfast_snapshots", "Snapshots that are ready", &PoolGauges::snapshots},
    {"holdfast_snapshot_extents", "Extents of all snapshots, as counted at their cuts",
     &PoolGauges::snapshot_extents},
    {"holdfast_snapshot_extents_largest", "Extents of the snapshot that has most",
     &PoolGauges::largest_snapshot_extents},
};

ClientMetric Gauge(const std::string& pool, double value) {
  ClientMetric metric;
  metric.label.push_back({"pool", pool});
  metric.gauge.value = value;
  return metric;
}

std::vector<MetricFamily> Collect(const std::vector<PoolGauges>& pools) {
  std::vector<MetricFamily> families;
  MetricFamily served{"holdfast_pool_served",
                      "1 when the pool is served, 0 when it is refused",
                      MetricType::Gauge,
                      {}};
  for (const PoolGauges& pool : pools) {
    served.metric.push_back(Gauge(pool.pool, pool.served ? 1 : 0));
  }
  families.push_back(std::move(served));
  MetricFamily stops{"holdfast_volume_stops_total",
                     "Volumes stopped before their overcommitted pool was empty",
                     MetricType::Counter,
                     {}};
  for (const PoolGauges& pool : pools) {
    if (!pool.served) continue;
    ClientMetric metric;
    metric.label.push_back({"pool", pool.pool});
    metric.counter.value = static_cast<double>(pool.stops);
    stops.metric.push_back(std::move(metric));
  }
  families.push_back(std::move(stops));
  for (const PoolMetric& row : kPoolMetrics) {
    MetricFamily family{row.name, row.help, MetricType::Gauge, {}};
    for (const PoolGauges& pool : pools) {
      if (!pool.served) continue;
      family.metric.push_back(Gauge(pool.pool, static_cast<double>(pool.*row.value)));
    }
    families.push_back(std::move(family));
  }
  return families;
}

}  // namespace

struct Metrics::Families {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& calls =
      prometheus::BuildCounter()
          .Name("holdfast_csi_calls_total")
          .Help("Calls of CSI and of the admin socket that ended")
          .Register(registry);
  prometheus::Family<prometheus::Histogram>& call_seconds =
      prometheus::BuildHistogram()
          .Name("holdfast_csi_call_seconds")
          .Help("How long CSI calls took in the server")
          .Register(registry);
  prometheus::Histogram& snapshot_seconds =
      prometheus::BuildHistogram()
          .Name("holdfast_snapshot_seconds")
          .Help("From a CreateSnapshot call to its cut being durable")
          .Register(registry)
          .Add({}, kSecondsBuckets);

  struct Series {
    prometheus::Counter* calls = nullptr;
    prometheus::Histogram* seconds = nullptr;
  };
  // Add finds a series by making it once more, buckets and all: too much for every call.
  Series SeriesOf(const std::string& method, const std::string& code) {
    const std::lock_guard lock(mutex);
    Series& found = known[{method, code}];
    if (found.calls == nullptr) {
      found = {.calls = &calls.Add({{"method", method}, {"code", code}}),
               .seconds = &call_seconds.Add({{"method", method}}, kSecondsBuckets)};
    }
    return found;
  }
  std::mutex mutex;
  std::map<std::pair<std::string, std::string>, Series> known;
};

Metrics::Metrics(std::function<std::vector<PoolGauges>()> pools)
    : pools_(std::move(pools)), families_(std::make_unique<Families>()) {
  prometheus::BuildGauge()
      .Name("holdfast_build_info")
      .Help("Always 1; the version is the label")
      .Register(families_->registry)
      .Add({{"version", kDriverVersion}})
      .Set(1);
}

Metrics::~Metrics() = default;

void Metrics::CallEnded(const std::string& method, const std::string& code, double seconds) {
  const Families::Series series = families_->SeriesOf(method, code);
  series.calls->Increment();
  series.seconds->Observe(seconds);
  if (method == "CreateSnapshot" && code == "OK") families_->snapshot_seconds.Observe(seconds);
}

std::string Metrics::Text() const {
  std::vector<MetricFamily> all = families_->registry.Collect();
  if (pools_) {
    std::vector<MetricFamily> of_pools = Collect(pools_());
    all.insert(all.end(), std::make_move_iterator(of_pools.begin()),
               std::make_move_iterator(of_pools.end()));
  }
  return prometheus::TextSerializer().Serialize(all);
}

}  // namespace holdfast
