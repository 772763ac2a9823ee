// The undo of an expansion, for recovery.
#pragma once

#include "absl/status/status.h"
#include "engine/image/pool.h"

namespace holdfast {

// An image longer than its row says (an expansion that never was an answer) gets the row's size
// back. Left alone: another file in its place, and an image whose loop device already shows more
// than that.
absl::Status UndoExpansion(Pool& pool, const Volume& volume);

}  // namespace holdfast
