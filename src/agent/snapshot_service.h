// The agent's other service: the bytes of this node's snapshots for other nodes, each for whom a
// controller has granted it.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "engine/snapshot_reader.h"
#include "proto/agent/agent.grpc.pb.h"

namespace holdfast {

// Thread-safe. UNAUTHENTICATED, PERMISSION_DENIED: agent/tls.h, RequireRole; agent/grant.h.
class SnapshotService final : public agent::v1::Snapshots::Service {
 public:
  // The authority's certificate as it is now, PEM; nullopt: it cannot be read.
  using Authority = std::function<std::optional<std::string>()>;
  // `reader` and `clock` must outlive it.
  SnapshotService(SnapshotReader& reader, std::string node, Authority authority, const Clock& clock)
      : reader_(reader), node_(std::move(node)), authority_(std::move(authority)), clock_(clock) {}

  grpc::Status Fetch(grpc::ServerContext* context, const agent::v1::FetchRequest* request,
                     grpc::ServerWriter<agent::v1::FetchResponse>* writer) override;
  // Before the end of the process: those under way break off.
  void Stop() { stopped_ = true; }

 private:
  absl::Status Serve(grpc::ServerContext& context, const agent::v1::FetchRequest& request,
                     grpc::ServerWriter<agent::v1::FetchResponse>& writer);

  SnapshotReader& reader_;
  const std::string node_;
  const Authority authority_;
  const Clock& clock_;
  std::atomic<bool> stopped_{false};
};

}  // namespace holdfast
