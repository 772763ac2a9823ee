// holdfastctl: what an administrator asks of pools, beside a running server or without one.
//
// Lists and inspects a pool's catalog and folders without the pool's lock, whether a server runs or
// not. What changes something is asked of the running server through its local socket: a second
// process that took a pool's lock would make a server that starts meanwhile refuse the pool.
// The exceptions are "pool init" and "pool set", which take the lock: no server serves that pool.
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
  std::vector<std::string> trash;  // incarnations, ids or names of what lies in the trash
  bool all = false;                // of the trash
  std::string orphan;              // "volumes/FILE"
  bool raw_block = false, thick = false;
  bool fix = false;
  bool as_recorded = false;
  std::string admin_socket;
  std::string overcommit;  // "on", "off"; empty: not said
  std::string folder;      // of an authority
  std::string node;        // whose certificate; empty: the controller's
  int days = 0;            // for which it holds
  bool json = false;
};

absl::Status InitPoolCommand(const Request& request, Surroundings& surroundings);
absl::Status SetPoolCommand(const Request& request, Surroundings& surroundings);
absl::Status PoolStatusCommand(const Request& request, Surroundings& surroundings);
absl::Status GrowPoolCommand(const Request& request, Surroundings& surroundings);
absl::Status DrainOrderCommand(const Request& request, Surroundings& surroundings);
absl::Status ListVolumesCommand(const Request& request, Surroundings& surroundings);
absl::Status InspectVolumeCommand(const Request& request, Surroundings& surroundings);
absl::Status AcknowledgeVolumeCommand(const Request& request, Surroundings& surroundings);
absl::Status ListSnapshotsCommand(const Request& request, Surroundings& surroundings);
absl::Status ListTrashCommand(const Request& request, Surroundings& surroundings);
absl::Status RestoreTrashCommand(const Request& request, Surroundings& surroundings);
absl::Status PurgeTrashCommand(const Request& request, Surroundings& surroundings);
absl::Status ListOrphansCommand(const Request& request, Surroundings& surroundings);
absl::Status AdoptOrphanCommand(const Request& request, Surroundings& surroundings);
absl::Status InitPkiCommand(const Request& request, Surroundings& surroundings);
absl::Status IssuePkiCommand(const Request& request, Surroundings& surroundings);
absl::Status ClusterStatusCommand(const Request& request, Surroundings& surroundings);
absl::Status JobsCommand(const Request& request, Surroundings& surroundings);
absl::Status DoctorCommand(const Request& request, Surroundings& surroundings);

// The catalog of the pool in that folder.
absl::StatusOr<std::unique_ptr<Catalog>> OpenPoolCatalog(const std::string& pool,
                                                         Catalog::Access access);

using CatalogUse = std::function<absl::Status(Catalog& catalog)>;
// Reads each pool's catalog. A pool that cannot be read does not hide the others: what is wrong
// with such pools, a line each, is returned when all others are done.
absl::Status ReadCatalogs(const std::vector<std::string>& pools, const CatalogUse& use);

}  // namespace holdfast::ctl
