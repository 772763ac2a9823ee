#include "engine/image/copied_image.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/refusal.h"
#include "base/status_macros.h"
#include "engine/image/read_chunks.h"

namespace holdfast {
namespace {

// What a crash may cost: so much is copied again.
constexpr uint64_t kRecordEvery = 256 * kChunkBytes;

}  // namespace

bool MayGoOn(const Volume& volume, const VolumeRequest& request) {
  return volume.state == ObjectState::kCreating && request.origin.has_value() &&
         volume.copy_of == request.origin->snapshot.incarnation &&
         volume.source == request.source && volume.parameters == request.parameters &&
         (!request.content || *request.content == volume.content) &&
         Satisfies(volume.capacity_bytes, request.capacity);
}

absl::StatusOr<CopiedImage> CopiedImage::Open(Pool& pool, Volume& volume,
                                              const Snapshot& snapshot) {
  CopiedImage image(pool, volume, snapshot);
  RETURN_IF_ERROR(image.OpenFile());
  RETURN_IF_ERROR(image.ReadBack());
  return image;
}

absl::Status CopiedImage::OpenFile() {
  Host& host = pool_->host;
  const std::string name = ImageName(volume_->incarnation);
  ASSIGN_OR_RETURN(auto found, host.OpenFile(pool_->work, name, Access::kReadWrite));
  if (!found) {
    ASSIGN_OR_RETURN(found, host.CreateFile(pool_->work, name));
    RETURN_IF_ERROR(host.TuneImage(*found));
    volume_->copied_bytes = 0;
  }
  file_ = *std::move(found);
  RETURN_IF_ERROR(host.Resize(file_, volume_->capacity_bytes));
  if (volume_->parameters.provisioning != Provisioning::kThick) return absl::OkStatus();
  return host.Preallocate(file_, 0, volume_->capacity_bytes);
}

absl::Status CopiedImage::ReadBack() {
  next_ = volume_->copied_bytes / kChunkBytes;
  return ReadChunks(pool_->host, file_, std::min(volume_->copied_bytes, size_bytes_),
                    [this](uint64_t index, const std::string& data) {
                      digest_.Add(index, Sha256(data));
                      return absl::OkStatus();
                    });
}

absl::Status CopiedImage::Take(const Chunk& chunk) {
  const uint64_t offset = chunk.index * kChunkBytes;
  const uint64_t chunks = (size_bytes_ + kChunkBytes - 1) / kChunkBytes;
  if (chunk.index < next_ || chunk.index >= chunks ||
      chunk.data.size() != std::min(kChunkBytes, size_bytes_ - offset)) {
    return absl::InternalError(fmt::format(
        "copy of {}: expected a whole chunk from number {} on of {}, found number {} of {} bytes",
        volume_->source.id, next_, chunks, chunk.index, chunk.data.size()));
  }
  if (Sha256(chunk.data) != chunk.sha256) {
    return absl::UnavailableError(
        Refusal{fmt::format("chunk {} of {}", chunk.index, volume_->source.id),
                "the bytes of its SHA-256 digest", "others: it arrived damaged",
                "repeat the call, which fetches it again; if this comes again, look at the memory "
                "and the network of both nodes"}
            .Sentence());
  }
  RETURN_IF_ERROR(pool_->host.Write(file_, offset, chunk.data));
  digest_.Add(chunk.index, chunk.sha256);
  next_ = chunk.index + 1;
  return next_ * kChunkBytes - volume_->copied_bytes < kRecordEvery ? absl::OkStatus() : Record();
}

absl::Status CopiedImage::Record() {
  RETURN_IF_ERROR(pool_->host.Sync(file_));
  if (volume_->copied_bytes == 0) RETURN_IF_ERROR(pool_->host.SyncFolder(pool_->work));
  volume_->copied_bytes = next_ * kChunkBytes;
  return pool_->catalog->UpdateVolume(*volume_);
}

absl::Status CopiedImage::Finish(std::string_view digest) {
  if (digest_.Finish() != digest) {
    return absl::DataLossError(Refusal{
        "copy of " + volume_->source.id, "the digest of the whole snapshot", "another one",
        "repeat the call, which copies it anew; if this comes again, look at the memory and "
        "the disks of both nodes"}
                                   .Sentence());
  }
  volume_->copy_of.clear();
  volume_->copied_bytes = 0;
  return pool_->catalog->UpdateVolume(*volume_);
}

}  // namespace holdfast
