// The bytes of a snapshot of another node, from its agent.
#pragma once

#include <memory>

#include "engine/snapshot_reader.h"
#include "grpcpp/channel.h"

namespace holdfast {

// Over a channel to the agent that `origin` names. As FetchSnapshot; what the agent answers comes
// back as it is, but for CANCELLED, a grant that it does not take and what the network makes up,
// which are UNAVAILABLE.
absl::StatusOr<std::string> FetchOver(const std::shared_ptr<grpc::Channel>& channel,
                                      const CopyOrigin& origin, uint64_t from, TakeChunk take);

}  // namespace holdfast
