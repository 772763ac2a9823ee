// The image of a volume that is copied, chunk by chunk, from a snapshot of another node.
//
// It grows in work/, and its row, which is creating, says how much of it is on the disk for sure
// (Volume::copied_bytes): after a crash it goes on from there.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/image/pool.h"
#include "engine/snapshot_reader.h"
#include "volume/image_digest.h"

namespace holdfast {

// Whether what was begun as `volume` is what is asked for now, so that its copying can go on.
bool MayGoOn(const Volume& volume, const VolumeRequest& request);

class CopiedImage {
 public:
  // A new file, or that of an earlier attempt, of which what is durable is read again. `pool` and
  // `volume`, its row, must outlive it.
  static absl::StatusOr<CopiedImage> Open(Pool& pool, Volume& volume, const Snapshot& snapshot);

  // The index of the first chunk that is wanted.
  uint64_t next() const { return next_; }
  // Verifies and writes it. UNAVAILABLE: it arrived damaged; INTERNAL: it is none of this image.
  absl::Status Take(const Chunk& chunk);
  // What was taken so far is durable, and an attempt after a crash goes on from it. Done by Take
  // now and then.
  absl::Status Record();
  // All of it is there: by the digest of the whole it is the snapshot's, and from now on an image
  // that is being made like any other. DATA_LOSS: it is not.
  absl::Status Finish(std::string_view digest);

  // When it is finished.
  UniqueFd ReleaseFile() { return std::move(file_); }

 private:
  CopiedImage(Pool& pool, Volume& volume, const Snapshot& snapshot)
      : pool_(&pool), volume_(&volume), size_bytes_(snapshot.size_bytes) {}
  absl::Status OpenFile();
  absl::Status ReadBack();

  Pool* pool_;
  Volume* volume_;
  uint64_t size_bytes_;
  UniqueFd file_;
  uint64_t next_ = 0;
  ImageDigest digest_;
};

}  // namespace holdfast
