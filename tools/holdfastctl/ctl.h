// holdfastctl: what an administrator asks of pools, beside a running server or without one.
//
// Reads a pool's catalog without the pool's lock. Only "pool init", "pool set" (with the lock:
// no server runs) and "volume acknowledge" write, the last one row, which the server reads anew at
// each call.
#pragma once

#include <functional>
#include <iosfwd>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "catalog/catalog.h"
#include "os/host.h"

namespace holdfast::ctl {

inline constexpr int kExitDone = 0;
inline constexpr int kExitRefused = 1;
inline constexpr int kExitMisused = 2;

// What a run works on; must outlive it.
struct Surroundings {
  // Called by the commands that touch a pool's files.
  std::function<absl::StatusOr<Host*>()> host;
  std::map<std::string, std::string> environment;
  std::ostream& out;
  std::ostream& err;
};

// Runs the program with its arguments, argv[0] left out. What went wrong is one line on `err` for
// each pool or volume concerned.
int Run(const std::vector<std::string>& arguments, Surroundings& surroundings);

// What the command line said.
struct Request {
  std::vector<std::string> pools;  // folders
  std::string name;                // of a pool to make; empty: as its folder
  std::string volume;              // id or name
  std::string overcommit;          // "on", "off"; empty: not said
  bool json = false;
};

absl::Status InitPoolCommand(const Request& request, Surroundings& surroundings);
absl::Status SetPoolCommand(const Request& request, Surroundings& surroundings);
absl::Status PoolStatusCommand(const Request& request, Surroundings& surroundings);
absl::Status ListVolumesCommand(const Request& request, Surroundings& surroundings);
absl::Status InspectVolumeCommand(const Request& request, Surroundings& surroundings);
absl::Status AcknowledgeVolumeCommand(const Request& request, Surroundings& surroundings);
absl::Status ListSnapshotsCommand(const Request& request, Surroundings& surroundings);

// The catalog of the pool in that folder.
absl::StatusOr<std::unique_ptr<Catalog>> OpenPoolCatalog(const std::string& pool,
                                                         Catalog::Access access);

}  // namespace holdfast::ctl
