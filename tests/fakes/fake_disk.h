// A simulated filesystem with reflinks, in memory: the blocks behind a FakeHost's pool.
//
// Everything is kept as runs of 4 KiB blocks and only blocks with a byte that is not zero are
// stored, so a preallocated 10 GiB image costs one map entry. Sizes and offsets are in bytes.
// Not thread-safe: FakeHost holds its lock over every call.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "os/files.h"

namespace holdfast {

class FakeDisk {
 public:
  using FileId = uint64_t;

  // Where the two differ. kBtrfs: freed blocks are counted as free only after Commit (an allocation
  // that would otherwise fail commits first), and a clone shares preallocated blocks too.
  enum class Like { kXfs, kBtrfs };

  explicit FakeDisk(uint64_t size_bytes, Like like = Like::kXfs);

  FileId Create();
  void Delete(FileId id);

  uint64_t Size(FileId id) const { return files_.at(id).size_bytes; }
  uint64_t AllocatedBytes(FileId id) const;
  // Growing makes a hole; shrinking frees whole blocks and zeroes the rest of the last one.
  absl::Status Resize(FileId id, uint64_t size_bytes);
  // All or nothing: RESOURCE_EXHAUSTED when the holes do not fit. Grows the file where needed.
  absl::Status Preallocate(FileId id, uint64_t offset, uint64_t length);
  // Frees the whole blocks inside the range, zeroes its edges.
  absl::Status Punch(FileId id, uint64_t offset, uint64_t length);
  // `to` must be empty. Shares the written blocks; preallocated ones become holes on XFS.
  void Clone(FileId from, FileId to);
  std::vector<Extent> Extents(FileId id) const;
  bool HasData(FileId id) const;
  std::string Read(FileId id, uint64_t offset, uint64_t length) const;
  // A shared block gets a new place. All or nothing, RESOURCE_EXHAUSTED when there is none.
  absl::Status Write(FileId id, uint64_t offset, std::string_view data);

  uint64_t size_bytes() const { return size_bytes_; }
  void Grow(uint64_t size_bytes);  // never shrinks
  uint64_t free_bytes() const;
  void Commit();

 private:
  // All numbers are in blocks.
  struct Run {
    uint64_t physical = 0, length = 0;
    bool unwritten = false;
  };
  struct References {
    uint64_t length = 0, count = 0;
  };
  using Runs = std::map<uint64_t, Run>;  // by logical block
  struct File {
    uint64_t size_bytes = 0;
    Runs runs;
  };
  // (physical, length)
  using Pieces = std::vector<std::pair<uint64_t, uint64_t>>;

  static void SplitRuns(Runs& runs, uint64_t logical);
  static Runs::const_iterator RunAt(const Runs& runs, uint64_t logical);
  void SplitReferences(uint64_t physical);
  void Reference(uint64_t physical, uint64_t length);
  void Release(uint64_t physical, uint64_t length);
  // Of the run of equally referenced blocks at `physical`: how many follow, how often referenced.
  References ReferencesAt(uint64_t physical) const;

  bool HasFree(uint64_t blocks);
  Pieces Allocate(uint64_t blocks);
  void AddFree(uint64_t physical, uint64_t length);
  void InsertNew(Runs& runs, uint64_t logical, uint64_t blocks, bool unwritten);
  void Unshare(Runs& runs, uint64_t logical, uint64_t blocks);
  void EraseRange(Runs& runs, uint64_t from, uint64_t to);
  // How many blocks a write to [from, to) must allocate.
  uint64_t BlocksToWrite(const Runs& runs, uint64_t from, uint64_t to) const;
  uint64_t HolesBetween(const Runs& runs, uint64_t from, uint64_t to) const;

  uint64_t size_bytes_;
  const Like like_;
  FileId next_id_ = 1;
  std::map<FileId, File> files_;
  std::map<uint64_t, References> references_;  // by physical block
  std::map<uint64_t, std::string> contents_;   // by physical block; absent: zeroes
  std::map<uint64_t, uint64_t> free_;          // by physical block: length
  Pieces freed_;                               // waits for Commit
};

}  // namespace holdfast
