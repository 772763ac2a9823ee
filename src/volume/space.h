// The arithmetic by which a pool never promises what it does not have.
//
// Invariant: free >= owed + floor, and metadata_free >= the floor's share for metadata. owed is
// what workloads may still make the pool allocate: holes of their images and blocks shared with
// another file (an overwrite needs a new block).
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "volume/volume.h"

namespace holdfast {

// All in bytes.
struct PoolSpace {
  uint64_t size_bytes = 0;
  uint64_t free_bytes = 0;  // what the pool's filesystem can still allocate for data
  uint64_t owed_bytes = 0;
  uint64_t floor_bytes = 0;  // kept back for the pool filesystem's own metadata and the catalog
  // What metadata can still get (os/files.h, FolderFilesystem); on XFS no limit of its own.
  uint64_t metadata_free_bytes = UINT64_MAX;
  // Overcommitted pools only: kept free so that volumes can be stopped in time (overcommit.h).
  uint64_t stop_reserve_bytes = 0;
  uint64_t trash_bytes = 0;  // part of "used"; purged when a create would otherwise not fit
};

// How many blocks of an image a workload can still make the pool allocate, counted by FIEMAP.
struct ImageUsage {
  uint64_t hole_bytes = 0;
  uint64_t shared_bytes = 0;
  uint64_t extents = 0;
};

// What the pool owes for one volume: its exact usage times reserve.
uint64_t OwedBytes(const ImageUsage& usage, uint32_t reserve_percent);

// The bound that needs no I/O: the whole capacity unless the image is thick, ready and unshared.
uint64_t OwedUpperBound(const Volume& volume);

// What is kept back of a pool for its filesystem's metadata. `provisioned_bytes` is the sum of
// the capacities of its volumes: a fully fragmented image needs metadata in proportion to it.
// Source: docs/pools.md has the derivation and the numbers.
enum class PoolFilesystem { kXfs, kBtrfs };
uint64_t FloorBytes(PoolFilesystem filesystem, uint64_t size_bytes, uint64_t provisioned_bytes);

// Whether a volume's discards reach its pool: of thin ones on XFS. btrfs keeps a whole extent as
// long as one block of it is in use: a hole would be owed again, and its space not be back
// (docs/adr/0015).
bool GivesBack(Provisioning provisioning, PoolFilesystem filesystem);

// What a reflink copy of a file of `extents` extents itself takes, before anybody writes. Count it
// as more_bytes when a snapshot or clone is made: fragmented images have millions of extents.
uint64_t CloneMetadataBytes(PoolFilesystem filesystem, uint64_t extents);

// What purging trash of so many bytes gives back at least: the catalog grows while it is purged,
// and the filesystem keeps some of what described its files.
uint64_t GainOfPurge(uint64_t trash_bytes);

// The largest further volume for which the invariant holds. 0 when none. `space.floor_bytes` is
// that of what is provisioned now; the floor's growth by the volume is counted here. Of the volume
// itself `owed_percent` counts: less than 100 for a thin one in an overcommitted pool.
uint64_t LargestNewVolume(const PoolSpace& space, PoolFilesystem filesystem,
                          uint32_t owed_percent = 100);

// RESOURCE_EXHAUSTED with free, owed and floor unless `more_bytes`, which will be owed or
// allocated, fit on top. `space.floor_bytes` is that of what will be provisioned, the new volume
// included.
absl::Status CheckFits(const PoolSpace& space, uint64_t more_bytes, const std::string& pool_name);

}  // namespace holdfast
