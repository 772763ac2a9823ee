// The undo of an expansion, for recovery.
#pragma once

#include "absl/status/status.h"
#include "engine/image/pool.h"

namespace holdfast {

// Where the row says that an expansion was under way, which never was an answer, its image gets the
// row's size back, and the row forgets it. Left alone: another file in its place, and an image
// whose loop device already shows more than that. Without such a row an image is never made
// shorter: what is behind its row's end is somebody's data (an older catalog.db put back, an image
// grown by hand).
absl::Status UndoExpansion(Pool& pool, Volume volume);

}  // namespace holdfast
