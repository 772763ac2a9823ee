// How many calls of which method were answered how, and how long they took.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/load/state.h"

namespace holdfast::load {

class Tally {
 public:
  void Count(Method method, absl::StatusCode code, double milliseconds);
  void Add(const Tally& other);

  uint64_t calls() const;  // to the driver: what pods did is left out
  uint64_t CallsOf(Method method) const;
  uint64_t WithCode(absl::StatusCode code) const;
  // Tags that were read and were what the model said; those that came from a source, in a copy.
  uint64_t tags_seen = 0, inherited_tags_seen = 0;
  uint64_t listed = 0;  // entries of lists that were compared

  // A line for every method: calls, p50 and p99 in ms, codes.
  std::string Table() const;

 private:
  struct Row {
    std::vector<float> milliseconds;
    std::map<absl::StatusCode, uint64_t> codes;
  };
  std::array<Row, kMethods> rows_;
};

}  // namespace holdfast::load
