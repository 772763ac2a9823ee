// A place to measure in: a pool on a file of its own, and a driver that serves it.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "bench/driver.h"
#include "bench/machine.h"
#include "bench/report.h"

namespace holdfast::bench {

inline constexpr size_t kManyVolumes = 10'000;
inline constexpr uint64_t kTinyBytes = uint64_t{1} << 20;  // of each of them

enum class SiteKind {
  kXfs,    // small, every block of its file written before: no first allocation below the pool
  kBtrfs,  // the same
  kLarge,  // XFS on a sparse file, with room for volumes of 10 GiB
};

class Site {
 public:
  // Folders are made below `folder`; `programs` holds holdfast and holdfastctl.
  static absl::StatusOr<std::unique_ptr<Site>> Make(SiteKind kind, const std::string& folder,
                                                    const std::string& programs);

  // The pool's folder, and one beside it on the same filesystem for baselines made by hand.
  const std::string& pool() const { return pool_; }
  const std::string& by_hand() const { return by_hand_; }
  // For mounts and targets.
  const std::string& targets() const { return targets_; }
  Driver& driver() { return *driver_; }
  // A second driver, on a pool of its own beside the first: it has kManyVolumes raw block volumes.
  // Made when first asked for.
  absl::StatusOr<Driver*> CrowdedDriver();

 private:
  explicit Site(HandMount mount) : mount_(std::move(mount)) {}

  HandMount mount_;  // outlives the drivers that use it
  std::string programs_, folder_, pool_, by_hand_, targets_;
  std::unique_ptr<Driver> driver_, crowded_;
};

// CSI drivers that somebody else runs, to be measured instead of ours: one, or one against another.
struct Endpoints {
  std::string driver, peer;
};

// What every row gets.
class Bench {
 public:
  Bench(std::string folder, std::string programs, Endpoints endpoints, Report& report)
      : folder_(std::move(folder)),
        programs_(std::move(programs)),
        endpoints_(std::move(endpoints)),
        report_(report) {}

  const Endpoints& endpoints() const { return endpoints_; }

  Report& report() { return report_; }
  // Made when first asked for, one at a time: another kind takes the place of the present one.
  absl::StatusOr<Site*> At(SiteKind kind);
  // The present one ends; the next starts from nothing.
  void Leave();

 private:
  const std::string folder_, programs_;
  const Endpoints endpoints_;
  Report& report_;
  std::unique_ptr<Site> site_;
  SiteKind kind_ = SiteKind::kXfs;
};

}  // namespace holdfast::bench
