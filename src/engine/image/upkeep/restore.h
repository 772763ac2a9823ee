// Out of the trash again: DeleteVolume and DeleteSnapshot backwards, and its undo is a delete.
#pragma once

#include "absl/status/status.h"
#include "engine/image/discard.h"
#include "engine/image/pool.h"

namespace holdfast {

// What lies in the trash under that entry is there again, under its old id and with its old record.
// Intent is the row as deleting, which is what recovery finds and finishes: a crash in between, or
// a failure, puts it back into the trash. ALREADY_EXISTS: another one has its id by now.
// FAILED_PRECONDITION: it was deleted by a version that kept no rows. DATA_LOSS: its file is gone.
// RESOURCE_EXHAUSTED: the pool cannot owe it; the trash is not purged for it. The caller holds the
// object's lock.
absl::Status RestoreEntry(Pool& pool, const TrashEntry& entry, const TrashPolicy& policy);

}  // namespace holdfast
