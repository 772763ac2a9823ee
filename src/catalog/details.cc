#include "catalog/details.h"

#include <cstdint>
#include <limits>
#include <type_traits>

#include <nlohmann/json.hpp>

#include <fmt/format.h>

namespace holdfast {
namespace {

using Json = nlohmann::json;

// What is read must be what was written: a missing or mistyped member throws, and the two Parse
// functions below turn it to a status. Nothing else here may throw past this file.
struct Unreadable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <typename Number>
Number ReadNumber(const Json& object, const char* key) {
  const Json& member = object.at(key);
  if constexpr (std::is_unsigned_v<Number>) {
    if (member.is_number_unsigned() &&
        member.get<uint64_t>() <= std::numeric_limits<Number>::max()) {
      return member.get<Number>();
    }
  } else if (member.is_number_integer()) {
    return member.get<Number>();
  }
  throw Unreadable(fmt::format("{} is no number in its range", key));
}

template <typename Value>
Json Optional(const std::optional<Value>& value, Json (*write)(const Value&)) {
  return value.has_value() ? write(*value) : Json(nullptr);
}

template <typename Value>
std::optional<Value> ReadOptional(const Json& object, const char* key, Value (*read)(const Json&)) {
  const Json& member = object.at(key);
  if (member.is_null()) return std::nullopt;
  return read(member);
}

Json Write(const Timestamp& time) { return {{"s", time.seconds}, {"ns", time.nanoseconds}}; }

Timestamp ReadTimestamp(const Json& json) {
  return {.seconds = ReadNumber<int64_t>(json, "s"),
          .nanoseconds = ReadNumber<uint32_t>(json, "ns")};
}

Json WriteRoot(const RootAttributes& root) {
  return {{"inode", root.inode},
          {"generation", root.generation},
          {"birthTime", Write(root.birth_time)},
          {"changeTime", Write(root.change_time)},
          {"mode", root.mode},
          {"owner", root.owner},
          {"group", root.group},
          {"accessAcl", root.access_acl},
          {"defaultAcl", root.default_acl}};
}

RootAttributes ReadRoot(const Json& json) {
  return {.inode = ReadNumber<uint64_t>(json, "inode"),
          .generation = ReadNumber<uint32_t>(json, "generation"),
          .birth_time = ReadTimestamp(json.at("birthTime")),
          .change_time = ReadTimestamp(json.at("changeTime")),
          .mode = ReadNumber<uint32_t>(json, "mode"),
          .owner = ReadNumber<uint32_t>(json, "owner"),
          .group = ReadNumber<uint32_t>(json, "group"),
          .access_acl = json.at("accessAcl").get<std::string>(),
          .default_acl = json.at("defaultAcl").get<std::string>()};
}

Json WriteOwner(const Owner& owner) { return {{"uid", owner.uid}, {"gid", owner.gid}}; }

Owner ReadOwner(const Json& json) {
  return {.uid = ReadNumber<uint32_t>(json, "uid"), .gid = ReadNumber<uint32_t>(json, "gid")};
}

Json WriteMode(const uint32_t& mode) { return mode; }

uint32_t ReadMode(const Json& json) {
  return ReadNumber<uint32_t>(Json{{"rootMode", json}}, "rootMode");
}

// Provisioning has a column of its own.
Json Write(const ClassParameters& parameters) {
  return {{"pool", parameters.pool},
          {"reserve", parameters.reserve_percent},
          {"acceptsLostWrites", parameters.accepts_lost_writes},
          {"rootMode", Optional(parameters.root_mode, WriteMode)},
          {"rootOwner", Optional(parameters.root_owner, WriteOwner)}};
}

void ReadInto(const Json& json, ClassParameters& parameters) {
  parameters.pool = json.at("pool").get<std::string>();
  parameters.reserve_percent = ReadNumber<uint32_t>(json, "reserve");
  // Rows older than schema version 3 do not have it.
  parameters.accepts_lost_writes = json.value("acceptsLostWrites", false);
  parameters.root_mode = ReadOptional(json, "rootMode", ReadMode);
  parameters.root_owner = ReadOptional(json, "rootOwner", ReadOwner);
}

const char* KindName(Source::Kind kind) {
  switch (kind) {
    case Source::Kind::kNone:
      return "none";
    case Source::Kind::kSnapshot:
      return "snapshot";
    case Source::Kind::kVolume:
      return "volume";
  }
  return "unknown";
}

const char* LastEndName(LastEnd end) {
  switch (end) {
    case LastEnd::kNeverStaged:
      return "never-staged";
    case LastEnd::kStaged:
      return "staged";
    case LastEnd::kClean:
      return "clean";
  }
  return "unknown";
}

template <typename Enum>
Enum ReadEnum(const Json& object, const char* key, std::initializer_list<Enum> values,
              const char* (*name)(Enum)) {
  const std::string text = object.at(key).get<std::string>();
  for (const Enum value : values) {
    if (text == name(value)) return value;
  }
  throw Unreadable(fmt::format("{} is \"{}\"", key, text));
}

Source ReadSource(const Json& json) {
  return {.kind = ReadEnum(json, "kind",
                           {Source::Kind::kNone, Source::Kind::kSnapshot, Source::Kind::kVolume},
                           KindName),
          .id = json.at("id").get<std::string>()};
}

Json WriteTerms(const StageTerms& terms) {
  return {{"accessMode", terms.access_mode},
          {"readOnly", terms.read_only},
          {"mountFlags", terms.mount_flags}};
}

StageTerms ReadTerms(const Json& json) {
  return {.access_mode = json.at("accessMode").get<std::string>(),
          .read_only = json.at("readOnly").get<bool>(),
          .mount_flags = json.at("mountFlags").get<std::string>()};
}

Json WriteVerdict(const Verdict& verdict) {
  return {{"sentence", verdict.sentence}, {"found", Optional(verdict.found, WriteRoot)}};
}

Verdict ReadVerdict(const Json& json) {
  return {.sentence = json.at("sentence").get<std::string>(),
          .found = ReadOptional(json, "found", ReadRoot)};
}

Json Write(const StageRecord& stage) {
  return {{"lastEnd", LastEndName(stage.last_end)},
          {"bootId", stage.boot_id},
          {"driverVersion", stage.driver_version},
          {"root", Optional(stage.root, WriteRoot)},
          {"terms", Optional(stage.terms, WriteTerms)},
          {"stagingDigest", stage.staging_digest},
          {"diskSequence", stage.disk_sequence},
          {"published", stage.published},
          {"verdict", Optional(stage.verdict, WriteVerdict)}};
}

StageRecord ReadStage(const Json& json) {
  return {
      .last_end = ReadEnum(json, "lastEnd",
                           {LastEnd::kNeverStaged, LastEnd::kStaged, LastEnd::kClean}, LastEndName),
      .boot_id = json.at("bootId").get<std::string>(),
      .driver_version = json.at("driverVersion").get<std::string>(),
      .root = ReadOptional(json, "root", ReadRoot),
      .terms = ReadOptional(json, "terms", ReadTerms),
      // Absent in rows of drivers that did not record it.
      .staging_digest = json.value("stagingDigest", ""),
      .disk_sequence =
          json.contains("diskSequence") ? ReadNumber<uint64_t>(json, "diskSequence") : 0,
      .published = json.at("published").get<bool>(),
      .verdict = ReadOptional(json, "verdict", ReadVerdict)};
}

// Text from the kernel (ACLs, sentences with names in them) need not be UTF-8, which JSON is:
// each wrong byte becomes U+FFFD.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <typename Body>
absl::Status Parse(const std::string& text, const Body& body) {
  try {
    body(Json::parse(text));
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(error.what());
  } catch (const Unreadable& error) {
    return absl::InvalidArgumentError(error.what());
  }
  return absl::OkStatus();
}

}  // namespace

std::string VolumeDetails(const Volume& volume) {
  Json json = {{"parameters", Write(volume.parameters)},
               {"labels", Json(volume.labels)},
               {"source", {{"kind", KindName(volume.source.kind)}, {"id", volume.source.id}}},
               {"stage", Write(volume.stage)}};
  // Absent in nearly all rows: ImageRows finds by it those that a start has to look at.
  if (volume.growing_to_bytes != 0) json[kGrowingTo] = volume.growing_to_bytes;
  if (!volume.copy_of.empty()) {
    json[kCopyOf] = volume.copy_of;
    json[kCopiedBytes] = volume.copied_bytes;
  }
  return Dump(json);
}

std::string SnapshotDetails(const Snapshot& snapshot) {
  return Dump(
      {{"root", Optional(snapshot.root, WriteRoot)}, {"rootMayDiffer", snapshot.root_may_differ}});
}

absl::Status ParseVolumeDetails(const std::string& text, Volume& volume) {
  return Parse(text, [&volume](const Json& json) {
    ReadInto(json.at("parameters"), volume.parameters);
    volume.labels = json.at("labels").get<std::map<std::string, std::string>>();
    volume.source = ReadSource(json.at("source"));
    volume.stage = ReadStage(json.at("stage"));
    volume.growing_to_bytes =
        json.contains(kGrowingTo) ? ReadNumber<uint64_t>(json, kGrowingTo) : 0;
    volume.copy_of = json.value(kCopyOf, "");
    volume.copied_bytes = volume.copy_of.empty() ? 0 : ReadNumber<uint64_t>(json, kCopiedBytes);
  });
}

absl::Status ParseSnapshotDetails(const std::string& text, Snapshot& snapshot) {
  return Parse(text, [&snapshot](const Json& json) {
    snapshot.root = ReadOptional(json, "root", ReadRoot);
    // Absent in rows of drivers that recorded no root then.
    snapshot.root_may_differ = json.value("rootMayDiffer", false);
  });
}

}  // namespace holdfast
