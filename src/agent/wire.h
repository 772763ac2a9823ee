// The nouns of volume/ as messages of proto/agent, and back.
//
// What an agent says is believed to be its own, not to be well-formed: an enumerator that this
// version does not know, or a message that lacks what every version sends, is INTERNAL and says
// which of the two programs is the older one.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "engine/storage_engine.h"
#include "proto/agent/agent.pb.h"

namespace holdfast {

// nullopt is CONTENT_UNSPECIFIED.
agent::v1::Content ToWire(std::optional<Content> content);
absl::StatusOr<std::optional<Content>> FromWire(agent::v1::Content content);

agent::v1::CapacityRange ToWire(const CapacityRange& range);
CapacityRange FromWire(const agent::v1::CapacityRange& range);

agent::v1::ClassParameters ToWire(const ClassParameters& parameters);
absl::StatusOr<ClassParameters> FromWire(const agent::v1::ClassParameters& parameters);

agent::v1::CreateVolumeRequest ToWire(const VolumeRequest& request);
absl::StatusOr<VolumeRequest> FromWire(const agent::v1::CreateVolumeRequest& request);

// Of its stage record without what only the node can use: terms, staging path and device.
agent::v1::Volume ToWire(const Volume& volume);
absl::StatusOr<Volume> FromWire(const agent::v1::Volume& volume);

agent::v1::ListedVolume ToWire(const ListedVolume& volume);
absl::StatusOr<ListedVolume> FromWire(const agent::v1::ListedVolume& volume);

agent::v1::Snapshot ToWire(const Snapshot& snapshot);
absl::StatusOr<Snapshot> FromWire(const agent::v1::Snapshot& snapshot);

agent::v1::PoolStatus ToWire(const PoolStatus& pool);
absl::StatusOr<PoolStatus> FromWire(const agent::v1::PoolStatus& pool);

agent::v1::CopyProgress ToWire(const CopyProgress& copy);
CopyProgress FromWire(const agent::v1::CopyProgress& copy);

}  // namespace holdfast
