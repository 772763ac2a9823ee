// A volume that is made from a snapshot of another node, and the other side of that.
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "engine/image/ballast.h"
#include "engine/image/clone_terms.h"
#include "engine/image/copied_image.h"
#include "engine/image/image_engine.h"
#include "engine/image/image_files.h"
#include "engine/image/read_chunks.h"

namespace holdfast {
namespace {

// Nobody has asked for it for so long that nobody will.
constexpr std::chrono::nanoseconds kAbandonedAfter = std::chrono::hours(24);

}  // namespace

absl::StatusOr<Volume> ImageEngine::CreateCopy(const VolumeRequest& request,
                                               std::optional<LocalVolume> begun) {
  const CopyOrigin& origin = *request.origin;
  if (!fetch_) return absl::FailedPreconditionError("this server fetches from no other node");
  ASSIGN_OR_RETURN(const auto running, copies_.Begin(request.name, origin, clock_.UnixNanos()));
  if (!begun) {
    ASSIGN_OR_RETURN(const Content content, ContentOfClone(request, origin.snapshot.content));
    ASSIGN_OR_RETURN(const uint64_t capacity,
                     CapacityOfClone(request, content, origin.snapshot.size_bytes));
    ASSIGN_OR_RETURN(begun, IntendUnshared(request, content, capacity));
  }
  Pool& pool = *begun->pool;
  Volume& volume = begun->volume;
  volume.created_unix_nanos = clock_.UnixNanos();
  running->Describe(volume);
  const absl::StatusOr<UniqueFd> image = CopyImage(pool, volume, origin, *running);
  if (absl::IsUnavailable(image.status())) return image.status();
  const auto make = [&]() -> absl::StatusOr<MadeImage> {
    RETURN_IF_ERROR(image.status());
    return FinishClone(pool, volume, *image,
                       {.file = UniqueFd(),
                        .filesystem_uuid = origin.snapshot.filesystem_uuid,
                        .root = origin.snapshot.root,
                        .root_may_differ = origin.snapshot.root_may_differ});
  };
  return Commit(pool, volume, make());
}

absl::StatusOr<UniqueFd> ImageEngine::CopyImage(Pool& pool, Volume& volume,
                                                const CopyOrigin& origin,
                                                Copies::Running& running) {
  ASSIGN_OR_RETURN(CopiedImage image, CopiedImage::Open(pool, volume, origin.snapshot));
  const auto take = [&](const Chunk& chunk) -> absl::Status {
    RETURN_IF_ERROR(running.CheckGoesOn());
    RETURN_IF_ERROR(image.Take(chunk));
    running.Passed(image.next() * kChunkBytes);
    return absl::OkStatus();
  };
  const absl::StatusOr<std::string> digest = fetch_(origin, image.next(), take);
  if (absl::IsUnavailable(digest.status())) RETURN_IF_ERROR(image.Record());
  RETURN_IF_ERROR(digest.status());
  RETURN_IF_ERROR(image.Finish(*digest));
  return image.ReleaseFile();
}

absl::Status ImageEngine::DropAbandonedCopies(Pool& pool) {
  ASSIGN_OR_RETURN(const auto rows, pool.catalog->ImageRows());
  for (const ImageRow& row : rows) {
    if (row.ready) continue;
    const auto guard = locks_.TryLock(VolumeKey(ParseId(row.id)->name_hash));
    if (!guard.ok()) continue;
    ASSIGN_OR_RETURN(const auto volume, pool.catalog->FindVolume(row.id));
    if (!volume || volume->copy_of.empty()) continue;
    const std::chrono::nanoseconds age(clock_.UnixNanos() - volume->created_unix_nanos);
    if (age > kAbandonedAfter) RETURN_IF_ERROR(Discard(pool, *volume, trash_policy()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ImageEngine::ReadSnapshot(std::string_view id,
                                                      std::string_view incarnation, uint64_t from,
                                                      TakeChunk take) {
  ASSIGN_OR_RETURN(const LocalSnapshot source, FindLocalSnapshot(id));
  if (source.snapshot.incarnation != incarnation) {
    return absl::NotFoundError(fmt::format(
        "snapshot {} was made anew under its name; repeat the call, which asks for that one", id));
  }
  ASSIGN_OR_RETURN(const CloneSource opened, OpenSnapshot(source));
  ImageDigest digest;
  RETURN_IF_ERROR(ReadChunks(host_, opened.file, source.snapshot.size_bytes,
                             [&](uint64_t index, const std::string& data) -> absl::Status {
                               const std::string sha256 = Sha256(data);
                               digest.Add(index, sha256);
                               if (index < from) return absl::OkStatus();
                               return take({index, data, sha256});
                             }));
  return digest.Finish();
}

}  // namespace holdfast
