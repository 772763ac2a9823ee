// What was measured: a table for people, JSON for programs, an exit code for scripts.
#pragma once

#include <string>
#include <vector>

#include "bench/measure.h"

namespace holdfast::bench {

// One line of the table.
struct Figure {
  std::string row;   // "D1"
  std::string what;  // "4k random read, 1 in flight"
  std::string unit;  // of Outcome::ours and base
  Bar bar;
  Outcome outcome;
};

class Report {
 public:
  // Prints the line as soon as it is known.
  void Add(Figure figure);
  void PrintHeader() const;
  void PrintSummary() const;
  bool WriteJson(const std::string& path) const;
  // 1 when a figure missed its must or, unless that is allowed, is undecided: what was not proven
  // is not passed. Figures without a must never count.
  int ExitCode(bool allow_undecided) const;

 private:
  size_t Count(Verdict verdict, bool gated) const;
  std::vector<Figure> figures_;
};

// "Linux 6.18.44"
std::string KernelVersion();

}  // namespace holdfast::bench
