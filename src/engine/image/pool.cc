#include "engine/image/pool.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/refusal.h"
#include "base/sizes.h"
#include "base/status_macros.h"
#include "base/uuid.h"
#include "engine/image/ballast.h"
#include "engine/image/recovery.h"
#include "volume/overcommit.h"

namespace holdfast {
namespace {

constexpr char kLockName[] = "lock";
constexpr char kCatalogName[] = "catalog.db";
// What a catalog that is being opened may need for its log and index.
constexpr uint64_t kRoomForCatalogBytes = 4 * kMiB;

std::string CatalogPath(const std::string& pool_path) {
  return fmt::format("{}/{}", pool_path, kCatalogName);
}

absl::Status Refuse(const std::string& path, std::string expected, std::string found,
                    std::string remedy) {
  return absl::FailedPreconditionError(
      Refusal{"pool " + path, std::move(expected), std::move(found), std::move(remedy)}.Sentence());
}

absl::Status RefuseNoCatalog(const std::string& path) {
  return Refuse(path, "a pool's catalog", "none",
                "mount the pool's disk there, or make a pool with 'holdfastctl pool init'");
}

absl::StatusOr<UniqueFd> OpenPoolFolder(Host& host, const std::string& path) {
  auto folder = host.OpenFolder(path);
  if (folder.ok()) return folder;
  if (!absl::IsNotFound(folder.status()) && !absl::IsFailedPrecondition(folder.status())) {
    return folder;
  }
  return Refuse(path, "a folder", absl::IsNotFound(folder.status()) ? "nothing" : "no folder",
                "mount the pool's disk there, or correct --pool");
}

absl::StatusOr<PoolFilesystem> CheckFilesystem(Host& host, const std::string& path,
                                               const UniqueFd& root) {
  ASSIGN_OR_RETURN(const FolderFilesystem found, host.DescribeFilesystem(root));
  const bool xfs = found.type == "xfs" && found.reflink;
  if (!xfs && found.type != "btrfs") {
    return Refuse(path, "XFS with reflink or btrfs",
                  found.type == "xfs" ? "xfs without reflink" : found.type,
                  "mount the pool's disk there; a new one is made with 'mkfs.xfs -m "
                  "reflink=1,rmapbt=0 DEVICE' "
                  "(or 'mkfs.btrfs DEVICE')");
  }
  if (found.read_only) {
    return Refuse(path, "a writable filesystem", "a read-only one",
                  "look into the kernel log for its errors, then remount it read-write");
  }
  return xfs ? PoolFilesystem::kXfs : PoolFilesystem::kBtrfs;
}

// Whether it had to make the lock's file.
absl::StatusOr<bool> TakeLock(Host& host, Pool& pool) {
  ASSIGN_OR_RETURN(auto existing, host.OpenFile(pool.root, kLockName, Access::kReadWrite));
  const bool made = !existing;
  if (existing) {
    pool.lock = std::move(*existing);
  } else {
    ASSIGN_OR_RETURN(pool.lock, host.CreateFile(pool.root, kLockName));
  }
  const absl::Status locked = host.LockFile(pool.lock);
  if (locked.ok()) return made;
  if (!absl::IsFailedPrecondition(locked)) return locked;
  return Refuse(pool.path, "a pool that nobody serves", "one served by another process",
                "stop the other holdfast; one process serves a pool");
}

absl::Status OpenFolders(Host& host, Pool& pool) {
  ASSIGN_OR_RETURN(pool.volumes, host.EnsureFolder(pool.root, "volumes"));
  ASSIGN_OR_RETURN(pool.snapshots, host.EnsureFolder(pool.root, "snapshots"));
  ASSIGN_OR_RETURN(pool.trash, host.EnsureFolder(pool.root, "trash"));
  ASSIGN_OR_RETURN(pool.work, host.EnsureFolder(pool.root, "work"));
  return absl::OkStatus();
}

// SQLite would make it readable for all. What it makes beside it gets the mode of the catalog.
// Closed again before SQLite opens it: a later close would take SQLite's locks away.
absl::Status MakeCatalogFile(Host& host, const Pool& pool) {
  const absl::Status made = host.CreateFile(pool.root, kCatalogName).status();
  return absl::IsAlreadyExists(made) ? absl::OkStatus() : made;  // MakeSchema looks into it
}

// Writes, clones and compares: that the disk answers, has room, and that reflinks really work.
absl::Status SelfTest(Host& host, Pool& pool) {
  const std::string original = NewUuid() + ".test", copy = NewUuid() + ".test";
  std::string pattern;
  while (pattern.size() < 64 * kKiB) pattern += original;
  pattern.resize(64 * kKiB);
  const auto run = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const UniqueFd from, host.CreateFile(pool.work, original));
    RETURN_IF_ERROR(host.Write(from, 0, pattern));
    RETURN_IF_ERROR(host.Sync(from));
    ASSIGN_OR_RETURN(const UniqueFd to, host.CreateFile(pool.work, copy));
    RETURN_IF_ERROR(host.Clone(from, to));
    ASSIGN_OR_RETURN(const std::string back, host.Read(to, 0, pattern.size()));
    if (back != pattern) {
      return absl::DataLossError(
          Refusal{"self-test of pool " + pool.path, "the bytes that were written",
                  "others in their reflink copy", "check the disk; do not use this pool"}
              .Sentence());
    }
    return absl::OkStatus();
  };
  const absl::Status result = run();
  const auto removed_original = host.Remove(pool.work, original);
  const auto removed_copy = host.Remove(pool.work, copy);
  if (absl::IsResourceExhausted(result)) {
    return Refuse(pool.path, "room for a self-test of 64 KiB", "a full filesystem",
                  "delete what is not Holdfast's from it, or enlarge the disk");
  }
  RETURN_IF_ERROR(result);
  RETURN_IF_ERROR(removed_original.status());
  return removed_copy.status();
}

}  // namespace

absl::Status CheckNoQuotas(const std::string& path, const FolderFilesystem& found) {
  if (!found.quotas) return absl::OkStatus();
  return Refuse(path, "a btrfs without quotas", "one with quotas, whose limits nobody counts",
                "'btrfs quota disable' on it, or give the pool a filesystem of its own");
}

std::string ImageName(const std::string& incarnation) { return incarnation + ".img"; }

absl::StatusOr<PoolIdentity> InitPool(Host& host, const std::string& path, const std::string& name,
                                      bool overcommit) {
  Pool pool{.host = host, .path = path};
  ASSIGN_OR_RETURN(pool.root, OpenPoolFolder(host, path));
  ASSIGN_OR_RETURN(pool.filesystem, CheckFilesystem(host, path, pool.root));
  ASSIGN_OR_RETURN(const FolderFilesystem found, host.DescribeFilesystem(pool.root));
  RETURN_IF_ERROR(CheckNoQuotas(path, found));
  RETURN_IF_ERROR(TakeLock(host, pool).status());
  RETURN_IF_ERROR(OpenFolders(host, pool));
  RETURN_IF_ERROR(SelfTest(host, pool));
  PoolIdentity identity{.uuid = NewUuid(),
                        .name = name,
                        .created_unix_nanos = SystemClock().UnixNanos(),
                        .overcommit = overcommit};
  RETURN_IF_ERROR(MakeCatalogFile(host, pool));
  ASSIGN_OR_RETURN(pool.catalog, CreateCatalog(CatalogPath(path), identity));
  RETURN_IF_ERROR(host.SyncFolder(pool.root));
  return identity;
}

absl::Status SetPoolOvercommit(Host& host, const std::string& path, bool overcommit) {
  Pool pool{.host = host, .path = path};
  ASSIGN_OR_RETURN(pool.root, OpenPoolFolder(host, path));
  ASSIGN_OR_RETURN(pool.filesystem, CheckFilesystem(host, path, pool.root));
  ASSIGN_OR_RETURN(const bool made_lock, TakeLock(host, pool));
  auto catalog = OpenCatalog(CatalogPath(path), Catalog::Access::kReadWrite);
  if (absl::IsNotFound(catalog.status())) {
    if (made_lock) RETURN_IF_ERROR(host.Remove(pool.root, kLockName).status());
    return RefuseNoCatalog(path);
  }
  RETURN_IF_ERROR(catalog.status());
  ASSIGN_OR_RETURN(const auto volumes, (*catalog)->AllVolumes());
  const auto needs = std::count_if(volumes.begin(), volumes.end(), IsOvercommitted);
  if (!overcommit && needs > 0) {
    return Refuse(path, "no volume with a reserve below 100 before overcommit is taken away",
                  fmt::format("{}", needs), "delete them, or leave the pool overcommitted");
  }
  RETURN_IF_ERROR((*catalog)->SetOvercommit(overcommit));
  return overcommit ? absl::OkStatus() : RemoveBallasts(host, pool.root);
}

absl::StatusOr<std::unique_ptr<Pool>> OpenPool(Host& host, const std::string& path,
                                               const CatalogOpener& open_catalog) {
  std::unique_ptr<Pool> pool(new Pool{.host = host, .path = path});
  ASSIGN_OR_RETURN(pool->root, OpenPoolFolder(host, path));
  ASSIGN_OR_RETURN(pool->filesystem, CheckFilesystem(host, path, pool->root));
  ASSIGN_OR_RETURN(const bool made_lock, TakeLock(host, *pool));
  auto catalog = open_catalog(CatalogPath(path));
  if (!catalog.ok() && !absl::IsNotFound(catalog.status())) {
    // An overcommitted pool without a free byte must be served, so that something can be deleted.
    ASSIGN_OR_RETURN(const bool released, ReleaseBallast(host, pool->root, Ballast::kCatalog));
    if (released) catalog = open_catalog(CatalogPath(path));
  }
  if (absl::IsNotFound(catalog.status())) {
    // The folder of a disk that is not mounted stays as it was found.
    if (made_lock) RETURN_IF_ERROR(host.Remove(pool->root, kLockName).status());
    return RefuseNoCatalog(path);
  }
  ASSIGN_OR_RETURN(const FolderFilesystem filesystem, host.DescribeFilesystem(pool->root));
  // SQLite says "unable to open" when there is no room for the files it makes beside the catalog.
  const bool no_room = !catalog.ok() && filesystem.free_bytes < kRoomForCatalogBytes;
  if (no_room || absl::IsResourceExhausted(catalog.status())) {
    return Refuse(path, "room for the catalog", "a full filesystem",
                  "delete what is not Holdfast's from it, or enlarge the disk");
  }
  RETURN_IF_ERROR(catalog.status());
  pool->catalog = *std::move(catalog);
  RETURN_IF_ERROR(OpenFolders(host, *pool));
  RETURN_IF_ERROR(SettleWorkFolder(*pool));
  absl::Status tested = SelfTest(host, *pool);
  if (absl::IsFailedPrecondition(tested)) {
    ASSIGN_OR_RETURN(const bool released, ReleaseBallast(host, pool->root, Ballast::kCatalog));
    if (released) tested = SelfTest(host, *pool);
  }
  RETURN_IF_ERROR(tested);
  return pool;
}

absl::StatusOr<std::unique_ptr<Pool>> OpenPoolReadOnly(Host& host, const std::string& path) {
  std::unique_ptr<Pool> pool(new Pool{.host = host, .path = path});
  ASSIGN_OR_RETURN(pool->root, OpenPoolFolder(host, path));
  ASSIGN_OR_RETURN(pool->filesystem, CheckFilesystem(host, path, pool->root));
  auto catalog = OpenCatalog(CatalogPath(path), Catalog::Access::kReadOnly);
  if (absl::IsNotFound(catalog.status())) return RefuseNoCatalog(path);
  RETURN_IF_ERROR(catalog.status());
  pool->catalog = *std::move(catalog);
  RETURN_IF_ERROR(OpenFolders(host, *pool));
  return pool;
}

}  // namespace holdfast
