// From the nouns of volume/ back to CSI messages.
#pragma once

#include <string>

#include "proto/csi/csi.pb.h"
#include "volume/snapshot.h"
#include "volume/volume.h"

namespace holdfast {

// Capacity, id, content source and the topology of the node that holds it: without these the
// provisioner deletes the volume again. The volume context stays empty, a node knows its volumes.
// Into an empty answer: a list has thousands.
void AnswerVolume(ListedVolume volume, const std::string& node_id, csi::v1::Volume& answer);
csi::v1::Volume VolumeAnswer(const Volume& volume, const std::string& node_id);

csi::v1::Snapshot SnapshotAnswer(const Snapshot& snapshot);

}  // namespace holdfast
