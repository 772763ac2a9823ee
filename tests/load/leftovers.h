// What a driver leaves behind, compared with what there was before it was asked for anything.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/integration/driver_process.h"
#include "tests/load/site.h"
#include "tests/load/traces.h"

namespace holdfast::load {

class Leftovers {
 public:
  // Looks now; `folder` is what all pools and mounts lie below. All three must outlive it.
  Leftovers(std::string folder, const DriverProcess& driver, const Site& site);

  // One sentence for each thing that is there and should not be: rows, images, mounts, loop
  // devices, descriptors, records of freezes, temporary files, blocks of the pools. Waits some
  // seconds for what the kernel gives back late. Everything was deleted through the API before.
  std::vector<std::string> Found() const;
  // What there is before and now, for whoever reads the run.
  std::string Summary() const;

 private:
  void AddOfPool(int pool, std::vector<std::string>& found) const;
  void AddOfProcess(std::vector<std::string>& found) const;

  const std::string folder_;
  const DriverProcess& driver_;
  const Site& site_;
  const std::vector<std::string> mounts_, loops_;
  Traces traces_;
  std::array<uint64_t, kPools> free_bytes_{};
};

}  // namespace holdfast::load
