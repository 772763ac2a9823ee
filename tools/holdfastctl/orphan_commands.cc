// holdfastctl orphan list | adopt
#include <ostream>

#include "admin_client.h"
#include "base/sizes.h"
#include "base/status_macros.h"
#include "ctl.h"
#include "engine/image/upkeep/orphans.h"
#include "fmt/format.h"
#include "text.h"

namespace holdfast::ctl {
namespace {

// The pool that has the file; where it is asked for in one pool only, that one says what is wrong.
absl::StatusOr<std::string> PoolOfFile(const Request& request, Host& host,
                                       const std::string& folder, const std::string& file) {
  std::vector<std::string> found;
  std::string only;
  for (const std::string& path : request.pools) {
    ASSIGN_OR_RETURN(const auto pool, OpenPoolReadOnly(host, path));
    only = pool->uuid();
    const auto opened = host.OpenFile(FolderOf(*pool, folder), file, Access::kReadOnly);
    if (!opened.ok() || *opened) found.push_back(pool->uuid());
  }
  if (found.size() == 1) return found.front();
  if (request.pools.size() == 1) return only;
  return absl::NotFoundError(fmt::format(
      "orphan '{}': expected in one of {} pools, found in {}; name the pool with --pool",
      Printable(request.orphan), request.pools.size(), found.size()));
}

}  // namespace

absl::Status ListOrphansCommand(const Request& request, Surroundings& surroundings) {
  ASSIGN_OR_RETURN(Host * host, surroundings.host());
  nlohmann::ordered_json json = {{"orphans", nlohmann::ordered_json::array()}};
  Table table({"FILE", "POOL", "SIZE", "ALLOCATED", "CONTENT", "FILESYSTEM UUID", "ADOPTABLE"});
  for (const std::string& path : request.pools) {
    ASSIGN_OR_RETURN(const auto pool, OpenPoolReadOnly(*host, path));
    ASSIGN_OR_RETURN(const auto orphans, ListOrphans(*pool));
    for (const Orphan& orphan : orphans) {
      json["orphans"].push_back({{"file", orphan.Path()},
                                 {"pool", pool->name()},
                                 {"size_bytes", orphan.size_bytes},
                                 {"allocated_bytes", orphan.allocated_bytes},
                                 {"content", orphan.content},
                                 {"filesystem_uuid", orphan.filesystem_uuid},
                                 {"hindrance", orphan.hindrance}});
      const std::string adoptable = !orphan.hindrance.empty() ? "no: " + orphan.hindrance
                                    : orphan.raw()            ? "with --block"
                                                              : "yes";
      table.Add({Printable(orphan.Path()), pool->name(), FormatBytes(orphan.size_bytes),
                 FormatBytes(orphan.allocated_bytes), orphan.content,
                 Printable(orphan.filesystem_uuid), Printable(adoptable)});
    }
  }
  if (request.json) {
    PrintJson(json, surroundings.out);
  } else {
    table.Print(surroundings.out);
  }
  return absl::OkStatus();
}

absl::Status AdoptOrphanCommand(const Request& request, Surroundings& surroundings) {
  const size_t slash = request.orphan.find('/');
  admin::v1::AdoptOrphanRequest call;
  call.set_folder(request.orphan.substr(0, slash));
  call.set_file(slash == std::string::npos ? "" : request.orphan.substr(slash + 1));
  if (call.file().empty()) {
    return absl::InvalidArgumentError(
        fmt::format("orphan '{}': expected FOLDER/FILE, as 'holdfastctl orphan list' names it",
                    Printable(request.orphan)));
  }
  ASSIGN_OR_RETURN(Host * host, surroundings.host());
  ASSIGN_OR_RETURN(*call.mutable_pool(), PoolOfFile(request, *host, call.folder(), call.file()));
  call.set_name(request.name);
  call.set_raw_block(request.raw_block);
  call.set_thick(request.thick);
  admin::v1::AdoptOrphanResponse answer;
  RETURN_IF_ERROR(CallServer(request, &AdminStub::AdoptOrphan, call, answer));
  if (request.json) {
    const nlohmann::ordered_json json = {{"id", answer.volume_id()},
                                         {"content", answer.content()},
                                         {"capacity_bytes", answer.capacity_bytes()},
                                         {"filesystem_uuid", answer.filesystem_uuid()},
                                         {"baseline", answer.baseline()}};
    PrintJson(json, surroundings.out);
    return absl::OkStatus();
  }
  surroundings.out << fmt::format("adopted {} as {}: {} of {}\n", Printable(request.orphan),
                                  answer.volume_id(), answer.content(),
                                  FormatBytes(answer.capacity_bytes()));
  if (!answer.baseline().empty()) {
    surroundings.out << fmt::format(
        "nothing was recorded of it before; its root directory as it is now is the record: {}\n",
        answer.baseline());
  }
  return absl::OkStatus();
}

}  // namespace holdfast::ctl
