// holdfastctl volume list | inspect | acknowledge
#include <ostream>

#include "admin_client.h"
#include "base/sizes.h"
#include "base/status_macros.h"
#include "ctl.h"
#include "fmt/format.h"
#include "text.h"

namespace holdfast::ctl {
namespace {

struct FoundVolume {
  PoolIdentity pool;
  Volume volume;
};

// By id, by its claim (NAMESPACE/CLAIM), or by CSI name, which several pools may hold: it is looked for
// in all of them.
absl::StatusOr<FoundVolume> FindVolume(const Request& request) {
  std::vector<FoundVolume> found;
  bool by_id = false;
  const absl::Status read = ReadCatalogs(request.pools, [&](Catalog& catalog) -> absl::Status {
    ASSIGN_OR_RETURN(auto volumes, catalog.AllVolumes());
    for (Volume& volume : volumes) {
      const std::string claim = ClaimOf(volume.labels);
      const bool has_claim = claim != "-" && claim == request.volume;
      if (volume.id != request.volume && volume.name != request.volume && !has_claim) continue;
      by_id = volume.id == request.volume;
      found.push_back({catalog.identity(), std::move(volume)});
      break;
    }
    return absl::OkStatus();
  });
  if (!by_id) RETURN_IF_ERROR(read);
  if (found.empty()) {
    return absl::NotFoundError(
        fmt::format("volume '{}': expected in one of {} pools, found in none; see 'holdfastctl "
                    "volume list'",
                    Printable(request.volume), request.pools.size()));
  }
  if (found.size() > 1) {
    return absl::FailedPreconditionError(
        fmt::format("volume '{}': expected in one pool, found in {}; name it by its id",
                    Printable(request.volume), found.size()));
  }
  return std::move(found.front());
}

void PrintSection(const std::string& title, const nlohmann::ordered_json& object, std::ostream& out,
                  const std::string& indent) {
  if (!title.empty()) out << indent << title << ":\n";
  const std::string inner = title.empty() ? indent : indent + "  ";
  size_t width = 0;
  for (const auto& [key, value] : object.items()) width = std::max(width, key.size());
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) {
      PrintSection(key, value, out, inner);
      continue;
    }
    std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (value.is_null()) text = "";
    if (key.ends_with("_bytes")) text = fmt::format("{} ({})", text, FormatBytes(value));
    out << inner << key << ':' << std::string(width - key.size() + 1, ' ') << Printable(text)
        << '\n';
  }
}

}  // namespace

absl::Status ListVolumesCommand(const Request& request, Surroundings& surroundings) {
  nlohmann::ordered_json json = {{"volumes", nlohmann::ordered_json::array()}};
  Table table({"ID", "NAME", "CLAIM", "POOL", "CONTENT", "CAPACITY", "PROVISIONING", "STATE", "LAST END",
               "VERDICT", "CREATED"});
  const absl::Status read = ReadCatalogs(request.pools, [&](Catalog& catalog) -> absl::Status {
    ASSIGN_OR_RETURN(auto volumes, catalog.AllVolumes());
    for (const Volume& volume : volumes) {
      json["volumes"].push_back(ToJson(volume, catalog.identity()));
      table.Add({volume.id, Printable(volume.name), ClaimOf(volume.labels), catalog.identity().name,
                 ContentName(volume.content), FormatBytes(volume.capacity_bytes),
                 ProvisioningName(volume.parameters.provisioning), StateName(volume.state),
                 LastEndName(volume.stage.last_end), volume.stage.verdict ? "refused" : "-",
                 FormatTime(volume.created_unix_nanos)});
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

absl::Status InspectVolumeCommand(const Request& request, Surroundings& surroundings) {
  ASSIGN_OR_RETURN(FoundVolume found, FindVolume(request));
  const auto json = ToJson(found.volume, found.pool);
  if (request.json) {
    PrintJson(json, surroundings.out);
  } else {
    PrintSection("", json, surroundings.out, "");
  }
  return absl::OkStatus();
}

absl::Status AcknowledgeVolumeCommand(const Request& request, Surroundings& surroundings) {
  std::string id = request.volume;  // where there is no pool to look a name up in
  if (!request.pools.empty()) {
    ASSIGN_OR_RETURN(const FoundVolume found, FindVolume(request));
    id = found.volume.id;
  }
  admin::v1::AcknowledgeVolumeRequest call;
  call.set_volume_id(id);
  call.set_as_recorded(request.as_recorded);
  admin::v1::AcknowledgeVolumeResponse answer;
  RETURN_IF_ERROR(CallServer(request, &AdminStub::AcknowledgeVolume, call, answer));
  if (request.json) {
    const nlohmann::ordered_json json = {
        {"id", id}, {"accepted", answer.accepted()}, {"refusal", answer.refusal()}};
    PrintJson(json, surroundings.out);
  } else {
    surroundings.out << fmt::format("volume {}: accepted {}\n", id, answer.accepted());
  }
  return absl::OkStatus();
}

}  // namespace holdfast::ctl
