// Which loop devices show a volume.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "engine/image/pool.h"
#include "volume/volume.h"

namespace holdfast {

// By the inode that the row has, not by the name: moved or covered by another file, an image that
// is attached is in use all the same. But XFS gives the inode number of a file that was lost to the
// next one that is made: where the volume's name does not lead to the recorded file, only the
// device that its stage was recorded with is believed.
absl::StatusOr<std::vector<Loop>> LoopsByInode(const Pool& pool, const Volume& volume);

}  // namespace holdfast
