// Making an image in work/, and showing it in volumes/ or snapshots/. What fails half-way stays in
// work/ until its row is discarded.
#pragma once

#include "absl/status/statusor.h"
#include "engine/image/pool.h"
#include "volume/snapshot.h"
#include "volume/volume.h"

namespace holdfast {

// What became of the volume: the caller puts it into the row.
struct MadeImage {
  uint64_t filesystem_bytes = 0;
  std::optional<RootAttributes> root;  // none for block
  uint64_t inode = 0;
  uint32_t generation = 0;
};

// Whether it is the file that the row was made for, whatever its size.
inline bool IsImageOf(const Volume& volume, const FileFacts& facts) {
  return facts.inode == volume.image_inode && facts.generation == volume.image_generation;
}

// What to do about a file at the volume's name that is another, or of another size, than its row
// says.
const char* RemedyFor(const Volume& volume, const FileFacts& found);

// A new image with a new filesystem (or none), its root mode and owner set as the class says. Like
// FinishClone's it is durable, and so is its name in work/.
absl::StatusOr<MadeImage> MakeEmptyImage(Pool& pool, const Volume& volume);

// What a clone is made from.
struct CloneSource {
  UniqueFd file;
  std::string filesystem_uuid;
  std::optional<RootAttributes> root;  // at the cut, when it is known
  bool root_may_differ = false;        // as Snapshot::root_may_differ
};

// Step one, short, under whatever keeps the source still: work/<incarnation> becomes its reflink.
absl::StatusOr<UniqueFd> CutImage(Pool& pool, const std::string& incarnation,
                                  const UniqueFd& source);

// Step two: log replayed, UUID its own, preallocated again when thick (FICLONE does not copy
// preallocation), grown to the volume's size, mounted once and its root compared with the cut's.
// DATA_LOSS when the source does not prove readable.
absl::StatusOr<MadeImage> FinishClone(Pool& pool, const Volume& volume, const UniqueFd& image,
                                      const CloneSource& source);

// Grows an unmounted filesystem to its image: ext4 as it is, xfs and btrfs on a private mount.
// `discard`: as GivesBack (volume/space.h).
absl::Status GrowImageFilesystem(Host& host, const UniqueFd& image, Content content, bool discard);

// The image takes its place in `folder`. Its row is ready by then, and nothing is flushed: after a
// power cut recovery finds it in work/ and shows it again (docs/adr/0008).
absl::Status ShowImage(Pool& pool, const std::string& incarnation, const UniqueFd& folder);
// From one folder of the pool to another. A power cut between a rename and its flush may leave the
// file with both names: it loses the old one. NOT_FOUND: it is not there; ALREADY_EXISTS: another
// file has the name.
absl::Status MoveImage(Pool& pool, const std::string& name, const UniqueFd& from,
                       const UniqueFd& to);
// For a ready row that is asked for again: the rename may have failed, and the undo after it.
absl::Status ShowIfHidden(Pool& pool, const std::string& incarnation, const UniqueFd& folder);

}  // namespace holdfast
