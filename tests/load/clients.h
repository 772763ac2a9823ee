// Many clients at once, each a thread with a channel of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/load/ledger.h"
#include "tests/load/site.h"
#include "tests/load/tally.h"

namespace holdfast::load {

class Clients {
 public:
  static constexpr int kCount = 16;

  Clients(const Site& site, Ledger& ledger, std::string socket, uint64_t seed,
          uint64_t too_large_bytes)
      : site_(site),
        ledger_(ledger),
        socket_(std::move(socket)),
        seed_(seed),
        too_large_bytes_(too_large_bytes) {}

  // Random calls for that long, or until an answer is wrong. May be repeated.
  void Run(std::chrono::milliseconds duration);
  // Asks until of every object one state is possible; what no question tells is unstaged,
  // or deleted.
  void Settle();
  // Takes everything down, all at once.
  void TakeDown();

  // What was wrong; empty: nothing.
  const std::vector<std::string>& wrong() const { return wrong_; }
  const Tally& tally() const { return tally_; }

 private:
  template <typename Body>
  void InParallel(const Body& body);

  const Site& site_;
  Ledger& ledger_;
  const std::string socket_;
  const uint64_t seed_, too_large_bytes_;
  uint64_t rounds_ = 0;
  Tally tally_;
  std::vector<std::string> wrong_;
};

}  // namespace holdfast::load
