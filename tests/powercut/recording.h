// One run of the real driver on a LoggedDisk: writers that fsync in ext4, XFS, btrfs and block
// volumes, while volumes and snapshots are made, cloned, expanded and deleted beside them. What was
// acknowledged, and when, is in the ledger.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/integration/driver_process.h"
#include "tests/powercut/calls.h"
#include "tests/powercut/ledger.h"
#include "tests/powercut/logged_disk.h"
#include "tests/powercut/pool_disk.h"

namespace holdfast::powercut {

// What happens while the disk is recorded. A flush makes everything last that was written to the
// disk before, whoever asked for it: where only calls are made, a missing fsync shows.
enum class Load {
  kWritersAndCalls,
  kCalls,
  kOneDelete,  // of one volume, and nothing else
};

struct RecordingOptions {
  PoolKind pool = PoolKind::kXfs;
  Load load = Load::kWritersAndCalls;
  uint64_t seed = 0;
  std::chrono::milliseconds length{6000};
  std::string program = {};  // empty: the driver that is built beside this test
};

// The content of each writer's volume.
inline constexpr Content kWriterContents[Ledger::kWriters] = {Content::kExt4, Content::kXfs,
                                                              Content::kBtrfs, Content::kBlock};

class Recording {
 public:
  // Everything that it mounts below `folder` is gone when it returns. An error: the run itself went
  // wrong.
  static absl::StatusOr<std::unique_ptr<Recording>> Make(const std::string& folder,
                                                         const RecordingOptions& options);

  const RecordingOptions& options() const { return options_; }
  const LoggedDisk& disk() const { return disk_; }
  const Ledger& ledger() const { return ledger_; }
  size_t end() const { return end_; }
  // Where calls, not writes, were acknowledged.
  std::vector<size_t> CallAcks() const;
  std::string Summary() const;

 private:
  friend class Churn;
  friend class Writer;
  struct Shown {
    Object* object = nullptr;
    std::string id, target;
  };

  explicit Recording(const RecordingOptions& options);
  absl::Status Run(const std::string& folder);
  absl::Status Serve(const std::string& folder, PoolDisk& pool);
  absl::Status MakeWriters();
  absl::Status Work();
  absl::Status DeleteOne();
  absl::Status PutAway();
  // The first error of a thread ends the run.
  void Fail(const absl::Status& status);
  bool Over() const;

  const RecordingOptions options_;
  LoggedDisk disk_;
  Ledger ledger_;
  size_t end_ = 0;
  std::string pool_path_;
  std::unique_ptr<Calls> calls_;
  Shown writers_[Ledger::kWriters];
  std::chrono::steady_clock::time_point deadline_;
  std::atomic<bool> failed_{false};
  std::atomic<size_t> refused_{0};
  std::mutex mutex_;
  absl::Status failure_;
};

}  // namespace holdfast::powercut
