// holdfastctl snapshot list
#include <ostream>

#include "base/sizes.h"
#include "base/status_macros.h"
#include "ctl.h"
#include "text.h"

namespace holdfast::ctl {
namespace {

nlohmann::ordered_json SnapshotJson(const Snapshot& snapshot, const PoolIdentity& pool) {
  return {{"id", snapshot.id},
          {"name", snapshot.name},
          {"pool", pool.name},
          {"state", StateName(snapshot.state)},
          {"volume_id", snapshot.volume_id},
          {"content", ContentName(snapshot.content)},
          {"size_bytes", snapshot.size_bytes},
          {"filesystem_uuid", snapshot.filesystem_uuid},
          {"consistency", ConsistencyName(snapshot.consistency)},
          {"extents", snapshot.extents},
          {"incarnation", snapshot.incarnation},
          {"created", FormatTime(snapshot.created_unix_nanos)}};
}

}  // namespace

absl::Status ListSnapshotsCommand(const Request& request, Surroundings& surroundings) {
  nlohmann::ordered_json json = {{"snapshots", nlohmann::ordered_json::array()}};
  Table table({"ID", "NAME", "POOL", "VOLUME", "CONTENT", "SIZE", "CONSISTENCY", "EXTENTS", "STATE",
               "CREATED"});
  const absl::Status read = ReadCatalogs(request.pools, [&](Catalog& catalog) -> absl::Status {
    ASSIGN_OR_RETURN(auto snapshots, catalog.AllSnapshots());
    for (const Snapshot& snapshot : snapshots) {
      json["snapshots"].push_back(SnapshotJson(snapshot, catalog.identity()));
      table.Add({snapshot.id, Printable(snapshot.name), catalog.identity().name, snapshot.volume_id,
                 ContentName(snapshot.content), FormatBytes(snapshot.size_bytes),
                 ConsistencyName(snapshot.consistency), std::to_string(snapshot.extents),
                 StateName(snapshot.state), FormatTime(snapshot.created_unix_nanos)});
    }
    return absl::OkStatus();
  });
  if (request.json) {
    PrintJson(json, surroundings.out);
  } else {
    table.Print(surroundings.out);
  }
  return read;
}

}  // namespace holdfast::ctl
