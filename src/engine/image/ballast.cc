#include "engine/image/ballast.h"

#include "base/status_macros.h"

namespace holdfast {
namespace {

const char* FileName(Ballast ballast) {
  return ballast == Ballast::kVolumes ? "volumes.ballast" : "catalog.ballast";
}

}  // namespace

absl::StatusOr<uint64_t> BallastHeld(const Pool& pool, Ballast ballast) {
  ASSIGN_OR_RETURN(const auto file,
                   pool.host.OpenFile(pool.root, FileName(ballast), Access::kReadOnly));
  if (!file) return 0;
  ASSIGN_OR_RETURN(const FileFacts facts, pool.host.Describe(*file));
  return facts.allocated_bytes;
}

absl::Status FillBallast(const Pool& pool, Ballast ballast, uint64_t bytes) {
  Host& host = pool.host;
  ASSIGN_OR_RETURN(auto file, host.OpenFile(pool.root, FileName(ballast), Access::kReadWrite));
  if (!file) {
    ASSIGN_OR_RETURN(file, host.CreateFile(pool.root, FileName(ballast)));
  }
  ASSIGN_OR_RETURN(const FileFacts facts, host.Describe(*file));
  if (facts.allocated_bytes >= bytes) return absl::OkStatus();
  const absl::Status taken = host.Preallocate(*file, 0, bytes);
  if (!taken.ok()) host.Resize(*file, 0).IgnoreError();  // the first error is told
  return taken;
}

absl::StatusOr<bool> ReleaseBallast(Host& host, const UniqueFd& pool_root, Ballast ballast) {
  ASSIGN_OR_RETURN(const auto file,
                   host.OpenFile(pool_root, FileName(ballast), Access::kReadWrite));
  if (!file) return false;
  ASSIGN_OR_RETURN(const FileFacts facts, host.Describe(*file));
  if (facts.allocated_bytes == 0) return false;
  RETURN_IF_ERROR(host.Resize(*file, 0));
  if (ballast == Ballast::kCatalog) RETURN_IF_ERROR(host.SyncFilesystem(pool_root));
  return true;
}

absl::Status RemoveBallasts(Host& host, const UniqueFd& pool_root) {
  for (const Ballast ballast : {Ballast::kVolumes, Ballast::kCatalog}) {
    RETURN_IF_ERROR(host.Remove(pool_root, FileName(ballast)).status());
  }
  return absl::OkStatus();
}

absl::Status WithCatalogRoom(const Pool& pool, const std::function<absl::Status()>& body) {
  absl::Status status = body();
  if (!absl::IsResourceExhausted(status)) return status;
  const auto released = ReleaseBallast(pool.host, pool.root, Ballast::kCatalog);
  return released.ok() && *released ? body() : status;
}

}  // namespace holdfast
