// On which node a volume is made.
//
// Where it is already, for a repeated call; else the preferred nodes in their order, then those
// that may be, most free first. A node without room or without the class's pool is passed over. A
// clone or restore is made where its source is; where that may not be, or has no room, it is copied
// to another node.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "engine/storage_nodes.h"
#include "rpc/parse.h"

namespace holdfast {

// Whether a pool of that name (empty: any) is served there, as far as the node has told.
bool HasPool(const StorageNodes::Node& node, const std::string& name);

struct PlacedVolume {
  Volume volume;
  std::string node;
};

// As StorageEngine::CreateVolume, and: RESOURCE_EXHAUSTED, the one code that makes the scheduler
// choose another node, when no node that may be has room. UNAVAILABLE: a node that comes first
// cannot be asked now; it may have made the volume already, so no other is tried meanwhile.
absl::StatusOr<PlacedVolume> CreateSomewhere(StorageNodes& nodes, const NodeChoice& choice,
                                             const VolumeRequest& request);

}  // namespace holdfast
