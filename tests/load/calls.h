// From the model's words to CSI requests, and back.
#pragma once

#include "tests/integration/csi_client.h"
#include "tests/load/site.h"
#include "tests/load/state.h"

namespace holdfast::load {

// Makes the call (for a tag: does what the pod does) and waits for its answer. Not for the calls
// about all objects, which lists.h makes.
Answer Perform(CsiClient& client, const Site& site, const Call& call);

// What a volume or snapshot of an answer says, compared with what its slot must be.
Answer ReadVolume(const Site& site, const csi::v1::Volume& volume, int slot);
Answer ReadSnapshot(const Site& site, const csi::v1::Snapshot& snapshot, int slot);

}  // namespace holdfast::load
