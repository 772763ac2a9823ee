// What a crash left half-done in a pool is finished or undone when it is opened.
#pragma once

#include "absl/status/status.h"
#include "engine/image/discard.h"
#include "engine/image/pool.h"

namespace holdfast {

// For OpenPool, which holds the pool's lock: whoever made what lies in work/ is gone. A file that a
// row claims takes its place (the crash came between the claim and the rename), or stays for the
// discard of its row; what nobody claims was promised to nobody and is removed.
absl::Status SettleWorkFolder(Pool& pool);

// Rows that are creating are undone, rows that are deleting are finished, an expansion that never
// was an answer is undone, trash rows whose file is gone are dropped. Files without a row are
// nobody's to delete: they stay.
absl::Status RecoverPool(Pool& pool, const TrashPolicy& policy);

}  // namespace holdfast
