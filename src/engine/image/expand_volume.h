// The undo of an expansion, for recovery.
#pragma once

#include "absl/status/status.h"
#include "engine/image/pool.h"

namespace holdfast {

// Where the row says that an expansion was under way, which never was an answer, its image gets the
// row's size back, and the row forgets it. Left alone: another file in its place, an image whose
// loop device already shows more than that, and one that has data behind the row's end or a
// filesystem that counts on it, for an expansion writes none there (the row is of an older
// catalog.db). Without such a row an image is never made shorter.
absl::Status UndoExpansion(Pool& pool, Volume volume);

}  // namespace holdfast
