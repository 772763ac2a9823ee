// One pod's worth of writes, each made to last by fsync and then entered in the ledger.
#pragma once

#include <functional>
#include <random>

#include "tests/powercut/cells.h"
#include "tests/powercut/recording.h"

namespace holdfast::powercut {

class Writer {
 public:
  Writer(Recording& recording, size_t index);
  void Run();

 private:
  absl::Status Step();
  absl::Status WriteBlocks();
  absl::Status ChangeFile();
  // Enters `version` of the cells, writes them, enters that they are acknowledged.
  absl::Status Promise(const std::vector<std::string>& cells, uint64_t version,
                       const std::function<absl::Status()>& write);
  uint64_t Below(uint64_t limit) { return random_() % limit; }

  Recording& recording_;
  const size_t index_;
  Ledger::Cells& history_;
  Cells cells_;
  std::mt19937_64 random_;
  uint64_t version_ = 0;
};

}  // namespace holdfast::powercut
