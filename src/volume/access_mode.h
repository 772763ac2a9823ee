// CSI access modes and what they allow on one node.
#pragma once

#include <optional>
#include <string>

namespace holdfast {

// The enumerators of csi.v1.VolumeCapability.AccessMode.Mode that a node-local volume can offer.
// MULTI_NODE_* modes other than reader-only need more than one machine and are refused.
enum class AccessMode {
  kSingleNodeWriter,
  kSingleNodeReaderOnly,
  kMultiNodeReaderOnly,
  kSingleNodeSingleWriter,
  kSingleNodeMultiWriter,
};

// "SINGLE_NODE_WRITER", …
const char* AccessModeName(AccessMode mode);
std::optional<AccessMode> ParseAccessMode(const std::string& name);

bool IsReadOnly(AccessMode mode);

// Whether a second target on the same node is lawful (CSI: NodePublishVolume, second table).
bool AllowsSeveralTargets(AccessMode mode);

}  // namespace holdfast
