#include "text.h"

#include <algorithm>
#include <ctime>

#include "fmt/chrono.h"
#include "fmt/format.h"

namespace holdfast::ctl {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kNanosPerSecond = 1'000'000'000;

std::string TimestampText(const Timestamp& timestamp) {
  return fmt::format("{}.{:09}", FormatTime(timestamp.seconds * kNanosPerSecond),
                     timestamp.nanoseconds);
}

// Terminal columns: one for each code point is near enough.
size_t Width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

Json RootJson(const std::optional<RootAttributes>& root) {
  if (!root) return nullptr;
  Json json = Json::object();
  for (const auto& [name, value] : RootFields(*root)) json[name] = value;
  return json;
}

Json StageJson(const StageRecord& stage) {
  Json json = {{"last_end", LastEndName(stage.last_end)},
               {"boot_id", stage.boot_id},
               {"driver_version", stage.driver_version},
               {"published", stage.published},
               {"root", RootJson(stage.root)},
               {"terms", nullptr},
               {"verdict", nullptr}};
  if (stage.terms) {
    json["terms"] = {{"access_mode", stage.terms->access_mode},
                     {"read_only", stage.terms->read_only},
                     {"mount_flags", stage.terms->mount_flags}};
  }
  if (stage.verdict) {
    json["verdict"] = {{"sentence", stage.verdict->sentence},
                       {"found", RootJson(stage.verdict->found)}};
  }
  return json;
}

Json ParametersJson(const ClassParameters& parameters) {
  Json json = {{"pool", parameters.pool},
               {"provisioning", ProvisioningName(parameters.provisioning)},
               {"reserve", parameters.reserve_percent},
               {"acceptsLostWrites", parameters.accepts_lost_writes},
               {"rootMode", nullptr},
               {"rootOwner", nullptr}};
  if (parameters.root_mode) json["rootMode"] = FormatMode(*parameters.root_mode);
  if (parameters.root_owner) {
    json["rootOwner"] =
        fmt::format("{}:{}", parameters.root_owner->uid, parameters.root_owner->gid);
  }
  return json;
}

}  // namespace

void Table::Print(std::ostream& out) const {
  std::vector<size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      out << row[i];
      if (i + 1 < row.size()) out << std::string(widths[i] - Width(row[i]) + 2, ' ');
    }
    out << '\n';
  }
}

std::string FormatTime(int64_t unix_nanos) {
  if (unix_nanos == 0) return "-";
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(static_cast<std::time_t>(unix_nanos / kNanosPerSecond)));
}

std::string FormatMode(uint32_t mode) { return fmt::format("{:04o}", mode); }

const char* StateName(ObjectState state) {
  switch (state) {
    case ObjectState::kCreating:
      return "creating";
    case ObjectState::kReady:
      return "ready";
    case ObjectState::kDeleting:
      return "deleting";
  }
  return "?";
}

const char* ProvisioningName(Provisioning provisioning) {
  return provisioning == Provisioning::kThick ? "thick" : "thin";
}

const char* LastEndName(LastEnd last_end) {
  switch (last_end) {
    case LastEnd::kNeverStaged:
      return "never staged";
    case LastEnd::kStaged:
      return "staged";
    case LastEnd::kClean:
      return "clean";
  }
  return "?";
}

std::string SourceText(const Source& source) {
  switch (source.kind) {
    case Source::Kind::kNone:
      return "-";
    case Source::Kind::kSnapshot:
      return "snapshot " + source.id;
    case Source::Kind::kVolume:
      return "volume " + source.id;
  }
  return "?";
}

std::string Printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text.empty() ? "-" : text;
}

std::vector<std::pair<std::string, std::string>> RootFields(const RootAttributes& root) {
  return {{"inode", std::to_string(root.inode)},
          {"generation", std::to_string(root.generation)},
          {"birth_time", TimestampText(root.birth_time)},
          {"change_time", TimestampText(root.change_time)},
          {"mode", FormatMode(root.mode)},
          {"owner", std::to_string(root.owner)},
          {"group", std::to_string(root.group)},
          {"access_acl", root.access_acl},
          {"default_acl", root.default_acl}};
}

void PrintJson(const Json& json, std::ostream& out) {
  out << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

Json ToJson(const Volume& volume, const PoolIdentity& pool) {
  Json labels = Json::object();
  for (const auto& [key, value] : volume.labels) labels[key] = value;
  return {{"id", volume.id},
          {"name", volume.name},
          {"pool", pool.name},
          {"state", StateName(volume.state)},
          {"content", ContentName(volume.content)},
          {"capacity_bytes", volume.capacity_bytes},
          {"filesystem_bytes", volume.filesystem_bytes},
          {"filesystem_uuid", volume.filesystem_uuid},
          {"formatted", volume.formatted},
          {"incarnation", volume.incarnation},
          {"image_inode", volume.image_inode},
          {"image_generation", volume.image_generation},
          {"shares_blocks", volume.shares_blocks},
          {"source", SourceText(volume.source)},
          {"created", FormatTime(volume.created_unix_nanos)},
          {"parameters", ParametersJson(volume.parameters)},
          {"labels", labels},
          {"stage", StageJson(volume.stage)}};
}

}  // namespace holdfast::ctl
