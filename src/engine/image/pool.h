// An open pool: its folders, its catalog, its lock. One process serves a pool at a time.
//
// On disk (docs/on-disk-format.md): catalog.db, lock, volumes/, snapshots/, trash/, work/. Files
// are named <incarnation>.img; work/ holds what is being made.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"
#include "catalog/catalog.h"
#include "os/host.h"
#include "volume/space.h"

namespace holdfast {

struct Reservations {
  size_t count = 0;
  uint64_t owed_bytes = 0, provisioned_bytes = 0;
};

struct Pool {
  Host& host;
  std::string path;  // as configured, for messages only
  PoolFilesystem filesystem = PoolFilesystem::kXfs;
  UniqueFd root, volumes, snapshots, trash, work;
  UniqueFd lock;
  std::unique_ptr<Catalog> catalog;
  // Held over "does it fit" and the intent row, so that concurrent creates do not oversubscribe.
  std::mutex admission;
  // Of empty volumes whose rows are on their way into the catalog, without the lock: many of them
  // share one commit. Guarded by `admission`, as is the count of those who wait for none to be
  // open.
  Reservations reserved;
  int waiting_for_rows = 0;
  std::condition_variable rows_arrived;
  // Grows with each intent that was admitted: what the pool owes may have changed.
  std::atomic<uint64_t> admissions{0};

  const std::string& name() const { return catalog->identity().name; }
  const std::string& uuid() const { return catalog->identity().uuid; }
};

// How tests replace the catalog's file by memory.
using CatalogOpener =
    std::function<absl::StatusOr<std::unique_ptr<Catalog>>(const std::string& path)>;

// Makes a pool in the folder `path`, which must lie on XFS with reflink or on btrfs and hold no
// pool yet. FAILED_PRECONDITION with a sentence that says how to make one; ALREADY_EXISTS.
absl::StatusOr<PoolIdentity> InitPool(Host& host, const std::string& path, const std::string& name,
                                      bool overcommit = false);

// Changes the owner's choice while nobody serves the pool: FAILED_PRECONDITION in one sentence when
// somebody does, or when volumes need what is to be taken away.
absl::Status SetPoolOvercommit(Host& host, const std::string& path, bool overcommit);

// Opens, locks, and tests it: writes, clones and compares a small file. FAILED_PRECONDITION, in one
// sentence that says what to do, when it is missing, read-only, full, of another filesystem,
// written by a newer version, or served by another process.
absl::StatusOr<std::unique_ptr<Pool>> OpenPool(Host& host, const std::string& path,
                                               const CatalogOpener& open_catalog);

// Opens a pool for looking only: no lock, no self-test, the catalog read-only; work/ is left alone.
absl::StatusOr<std::unique_ptr<Pool>> OpenPoolReadOnly(Host& host, const std::string& path);

// FAILED_PRECONDITION for a btrfs with quotas: a limit may lie below what it says is free. Somebody
// can enable them at any time: such a pool is served, but nothing new is promised in it.
absl::Status CheckNoQuotas(const std::string& path, const FolderFilesystem& found);

// The file name of an incarnation.
std::string ImageName(const std::string& incarnation);

}  // namespace holdfast
