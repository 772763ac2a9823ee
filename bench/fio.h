// fio, by its command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace holdfast::bench {

// Direct I/O always: a buffered row would poison its neighbours by delayed writeback.
struct FioJob {
  std::string file;     // or a device
  std::string pattern;  // fio's rw: "randread", "write", "write:4k" …
  uint64_t block_bytes = 4096;
  int depth = 1;
  bool fdatasync = false;  // after each write
  uint64_t offset_bytes = 0;
  uint64_t span_bytes = 0;   // the range that is used; 0: all of it
  uint64_t total_bytes = 0;  // how much is read or written; 0: the span
  int runtime_ms = 0;        // 0: until the total is reached, each block once
};

// Runs the jobs one after the other in one process; operations per second of each.
absl::StatusOr<std::vector<double>> RunFio(const std::vector<FioJob>& jobs);

}  // namespace holdfast::bench
