// What a writer writes, and what is found of it later. A cell is one of
//   block/N    4 KiB at N × 4 KiB of the device, or of the file "blocks"; overwritten in place
//   file/N     a file of its own, written once and removed once
//   renamed    a file that is replaced by rename
// Each of its 4 KiB blocks names the writer, the cell and the version, so that whatever is found
// can be told from everything else that was ever written.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace holdfast::powercut {

class Cells {
 public:
  // `target` is where the volume is shown: a folder, or a device.
  Cells(size_t writer, std::string target, bool device)
      : writer_(writer), target_(std::move(target)), device_(device) {}

  static std::string BlockName(uint64_t index) { return "block/" + std::to_string(index); }
  static std::string FileName(uint64_t index) { return "file/" + std::to_string(index); }
  static constexpr char kRenamed[] = "renamed";

  // All of them return after the fsync that makes it last, of the folder too where there is one.
  absl::Status WriteBlocks(uint64_t first, uint64_t count, uint64_t version, bool data_only);
  absl::Status WriteFile(uint64_t index, uint64_t version);
  absl::Status RemoveFile(uint64_t index);
  absl::Status ReplaceRenamed(uint64_t version);

  // The version that is there; 0: nothing. DATA_LOSS when it is none, or one that is damaged.
  absl::StatusOr<uint64_t> Find(const std::string& cell) const;

 private:
  std::string Block(const std::string& cell, uint64_t version, uint64_t index) const;
  absl::StatusOr<uint64_t> FindBlock(const std::string& cell, uint64_t index) const;
  absl::StatusOr<uint64_t> FindFile(const std::string& cell, const std::string& path) const;
  absl::Status WriteWhole(const std::string& cell, const std::string& path, uint64_t version) const;
  absl::Status SyncFolder() const;
  std::string PathOfBlocks() const { return device_ ? target_ : target_ + "/blocks"; }
  std::string PathOfFile(uint64_t index) const {
    return target_ + "/file-" + std::to_string(index);
  }

  const size_t writer_;
  const std::string target_;
  const bool device_;
};

// SHA-256 over what a file holds and where; a hole and zeroes are the same. Changes nothing, syncs
// nothing: a digest that made an image last would hide that the driver did not.
absl::StatusOr<std::string> ImageDigest(const std::string& path);

}  // namespace holdfast::powercut
