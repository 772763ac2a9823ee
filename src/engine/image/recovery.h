// What a crash left half-done in a pool is finished or undone when it is opened.
#pragma once

#include "absl/status/status.h"
#include "engine/image/discard.h"
#include "engine/image/pool.h"

namespace holdfast {

// Rows that are creating are undone, rows that are deleting are finished, an image longer than its
// row says (an expansion that never was an answer) gets its size back, trash rows whose file is
// gone are dropped. Files without a row are nobody's to delete: they stay.
absl::Status RecoverPool(Pool& pool, const TrashPolicy& policy);

}  // namespace holdfast
