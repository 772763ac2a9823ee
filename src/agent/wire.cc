#include "agent/wire.h"

#include <string>
#include <utility>

#include "base/status_macros.h"
#include "fmt/format.h"

namespace holdfast {
namespace {

// Enumerators stand in the same order on both sides, after the one that means "not said". `last`
// is the greatest that this version knows.
template <typename Enum, typename Wire>
absl::StatusOr<Enum> EnumFromWire(const char* what, Wire value, Enum last) {
  const int number = static_cast<int>(value) - 1;
  if (number >= 0 && number <= static_cast<int>(last)) return static_cast<Enum>(number);
  return absl::InternalError(
      fmt::format("{}: expected one of the {} values that this version knows, found number {}; the "
                  "other program is of a newer release, upgrade this one",
                  what, static_cast<int>(last) + 1, number + 1));
}

template <typename Wire, typename Enum>
Wire EnumToWire(Enum value) {
  return static_cast<Wire>(static_cast<int>(value) + 1);
}

void SetLabels(const std::map<std::string, std::string>& from,
               google::protobuf::Map<std::string, std::string>& to) {
  for (const auto& [key, value] : from) to[key] = value;
}

agent::v1::Source ToWire(const Source& source) {
  agent::v1::Source wire;
  wire.set_kind(EnumToWire<agent::v1::SourceKind>(source.kind));
  wire.set_id(source.id);
  return wire;
}

absl::StatusOr<Source> FromWire(const agent::v1::Source& wire) {
  Source source;
  ASSIGN_OR_RETURN(source.kind, EnumFromWire("source", wire.kind(), Source::Kind::kVolume));
  source.id = wire.id();
  return source;
}

agent::v1::RootAttributes ToWire(const RootAttributes& root) {
  const auto set = [](const Timestamp& from, agent::v1::Timestamp& to) {
    to.set_seconds(from.seconds);
    to.set_nanoseconds(from.nanoseconds);
  };
  agent::v1::RootAttributes wire;
  wire.set_inode(root.inode);
  wire.set_generation(root.generation);
  set(root.birth_time, *wire.mutable_birth_time());
  set(root.change_time, *wire.mutable_change_time());
  wire.set_mode(root.mode);
  wire.set_owner(root.owner);
  wire.set_group(root.group);
  wire.set_access_acl(root.access_acl);
  wire.set_default_acl(root.default_acl);
  return wire;
}

RootAttributes FromWire(const agent::v1::RootAttributes& wire) {
  RootAttributes root;
  root.inode = wire.inode();
  root.generation = wire.generation();
  root.birth_time = {wire.birth_time().seconds(), wire.birth_time().nanoseconds()};
  root.change_time = {wire.change_time().seconds(), wire.change_time().nanoseconds()};
  root.mode = wire.mode();
  root.owner = wire.owner();
  root.group = wire.group();
  root.access_acl = wire.access_acl();
  root.default_acl = wire.default_acl();
  return root;
}

agent::v1::StageRecord ToWire(const StageRecord& record) {
  agent::v1::StageRecord wire;
  wire.set_last_end(EnumToWire<agent::v1::LastEnd>(record.last_end));
  wire.set_boot_id(record.boot_id);
  wire.set_driver_version(record.driver_version);
  if (record.root) *wire.mutable_root() = ToWire(*record.root);
  wire.set_published(record.published);
  if (!record.verdict) return wire;
  wire.set_verdict(record.verdict->sentence);
  if (record.verdict->found) *wire.mutable_verdict_found() = ToWire(*record.verdict->found);
  return wire;
}

absl::StatusOr<StageRecord> FromWire(const agent::v1::StageRecord& wire) {
  StageRecord record;
  ASSIGN_OR_RETURN(record.last_end, EnumFromWire("last end", wire.last_end(), LastEnd::kClean));
  record.boot_id = wire.boot_id();
  record.driver_version = wire.driver_version();
  if (wire.has_root()) record.root = FromWire(wire.root());
  record.published = wire.published();
  if (wire.verdict().empty()) return record;
  record.verdict = Verdict{.sentence = wire.verdict(), .found = std::nullopt};
  if (wire.has_verdict_found()) record.verdict->found = FromWire(wire.verdict_found());
  return record;
}

agent::v1::PoolSpace ToWire(const PoolSpace& space) {
  agent::v1::PoolSpace wire;
  wire.set_size_bytes(space.size_bytes);
  wire.set_free_bytes(space.free_bytes);
  wire.set_owed_bytes(space.owed_bytes);
  wire.set_floor_bytes(space.floor_bytes);
  wire.set_metadata_free_bytes(space.metadata_free_bytes);
  wire.set_stop_reserve_bytes(space.stop_reserve_bytes);
  wire.set_trash_bytes(space.trash_bytes);
  return wire;
}

PoolSpace FromWire(const agent::v1::PoolSpace& wire) {
  PoolSpace space;
  space.size_bytes = wire.size_bytes();
  space.free_bytes = wire.free_bytes();
  space.owed_bytes = wire.owed_bytes();
  space.floor_bytes = wire.floor_bytes();
  space.metadata_free_bytes = wire.metadata_free_bytes();
  space.stop_reserve_bytes = wire.stop_reserve_bytes();
  space.trash_bytes = wire.trash_bytes();
  return space;
}

// What a volume or a snapshot always has.
absl::StatusOr<Content> RequireContent(agent::v1::Content wire) {
  return EnumFromWire("content", wire, Content::kBtrfs);
}

}  // namespace

agent::v1::Content ToWire(std::optional<Content> content) {
  return content ? EnumToWire<agent::v1::Content>(*content) : agent::v1::CONTENT_UNSPECIFIED;
}

absl::StatusOr<std::optional<Content>> FromWire(agent::v1::Content wire) {
  if (wire == agent::v1::CONTENT_UNSPECIFIED) return std::nullopt;
  return RequireContent(wire);
}

agent::v1::CapacityRange ToWire(const CapacityRange& range) {
  agent::v1::CapacityRange wire;
  wire.set_required_bytes(range.required_bytes);
  wire.set_limit_bytes(range.limit_bytes);
  return wire;
}

CapacityRange FromWire(const agent::v1::CapacityRange& wire) {
  return {.required_bytes = wire.required_bytes(), .limit_bytes = wire.limit_bytes()};
}

agent::v1::ClassParameters ToWire(const ClassParameters& parameters) {
  agent::v1::ClassParameters wire;
  wire.set_pool(parameters.pool);
  wire.set_provisioning(EnumToWire<agent::v1::Provisioning>(parameters.provisioning));
  wire.set_reserve_percent(parameters.reserve_percent);
  wire.set_accepts_lost_writes(parameters.accepts_lost_writes);
  if (parameters.root_mode) wire.set_root_mode(*parameters.root_mode);
  if (parameters.root_owner) {
    wire.mutable_root_owner()->set_uid(parameters.root_owner->uid);
    wire.mutable_root_owner()->set_gid(parameters.root_owner->gid);
  }
  return wire;
}

absl::StatusOr<ClassParameters> FromWire(const agent::v1::ClassParameters& wire) {
  ClassParameters parameters;
  parameters.pool = wire.pool();
  ASSIGN_OR_RETURN(parameters.provisioning,
                   EnumFromWire("provisioning", wire.provisioning(), Provisioning::kThin));
  parameters.reserve_percent = wire.reserve_percent();
  parameters.accepts_lost_writes = wire.accepts_lost_writes();
  if (wire.has_root_mode()) parameters.root_mode = wire.root_mode();
  if (wire.has_root_owner()) {
    parameters.root_owner = Owner{wire.root_owner().uid(), wire.root_owner().gid()};
  }
  return parameters;
}

agent::v1::CreateVolumeRequest ToWire(const VolumeRequest& request) {
  agent::v1::CreateVolumeRequest wire;
  wire.set_name(request.name);
  *wire.mutable_capacity() = ToWire(request.capacity);
  wire.set_content(ToWire(request.content));
  *wire.mutable_parameters() = ToWire(request.parameters);
  SetLabels(request.labels, *wire.mutable_labels());
  *wire.mutable_source() = ToWire(request.source);
  if (request.origin) {
    agent::v1::CopyOrigin& origin = *wire.mutable_origin();
    *origin.mutable_snapshot() = ToWire(request.origin->snapshot);
    origin.set_node(request.origin->node);
    origin.set_address(request.origin->address);
    origin.set_grant(request.origin->grant);
  }
  return wire;
}

absl::StatusOr<VolumeRequest> FromWire(const agent::v1::CreateVolumeRequest& wire) {
  VolumeRequest request;
  request.name = wire.name();
  request.capacity = FromWire(wire.capacity());
  ASSIGN_OR_RETURN(request.content, FromWire(wire.content()));
  ASSIGN_OR_RETURN(request.parameters, FromWire(wire.parameters()));
  request.labels = {wire.labels().begin(), wire.labels().end()};
  ASSIGN_OR_RETURN(request.source, FromWire(wire.source()));
  if (wire.has_origin()) {
    const agent::v1::CopyOrigin& origin = wire.origin();
    ASSIGN_OR_RETURN(const Snapshot snapshot, FromWire(origin.snapshot()));
    request.origin = CopyOrigin{snapshot, origin.node(), origin.address(), origin.grant()};
  }
  return request;
}

agent::v1::Volume ToWire(const Volume& volume) {
  agent::v1::Volume wire;
  wire.set_id(volume.id);
  wire.set_name(volume.name);
  wire.set_incarnation(volume.incarnation);
  wire.set_state(EnumToWire<agent::v1::ObjectState>(volume.state));
  wire.set_content(ToWire(volume.content));
  wire.set_capacity_bytes(volume.capacity_bytes);
  wire.set_growing_to_bytes(volume.growing_to_bytes);
  wire.set_filesystem_bytes(volume.filesystem_bytes);
  wire.set_filesystem_uuid(volume.filesystem_uuid);
  wire.set_formatted(volume.formatted);
  wire.set_shares_blocks(volume.shares_blocks);
  *wire.mutable_parameters() = ToWire(volume.parameters);
  SetLabels(volume.labels, *wire.mutable_labels());
  *wire.mutable_source() = ToWire(volume.source);
  wire.set_created_unix_nanos(volume.created_unix_nanos);
  wire.set_image_inode(volume.image_inode);
  wire.set_image_generation(volume.image_generation);
  *wire.mutable_stage() = ToWire(volume.stage);
  return wire;
}

absl::StatusOr<Volume> FromWire(const agent::v1::Volume& wire) {
  Volume volume;
  volume.id = wire.id();
  volume.name = wire.name();
  volume.incarnation = wire.incarnation();
  ASSIGN_OR_RETURN(volume.state,
                   EnumFromWire("volume state", wire.state(), ObjectState::kDeleting));
  ASSIGN_OR_RETURN(volume.content, RequireContent(wire.content()));
  volume.capacity_bytes = wire.capacity_bytes();
  volume.growing_to_bytes = wire.growing_to_bytes();
  volume.filesystem_bytes = wire.filesystem_bytes();
  volume.filesystem_uuid = wire.filesystem_uuid();
  volume.formatted = wire.formatted();
  volume.shares_blocks = wire.shares_blocks();
  ASSIGN_OR_RETURN(volume.parameters, FromWire(wire.parameters()));
  volume.labels = {wire.labels().begin(), wire.labels().end()};
  ASSIGN_OR_RETURN(volume.source, FromWire(wire.source()));
  volume.created_unix_nanos = wire.created_unix_nanos();
  volume.image_inode = wire.image_inode();
  volume.image_generation = wire.image_generation();
  ASSIGN_OR_RETURN(volume.stage, FromWire(wire.stage()));
  return volume;
}

agent::v1::ListedVolume ToWire(const ListedVolume& volume) {
  agent::v1::ListedVolume wire;
  wire.set_id(volume.id);
  wire.set_capacity_bytes(volume.capacity_bytes);
  *wire.mutable_source() = ToWire(volume.source);
  return wire;
}

absl::StatusOr<ListedVolume> FromWire(const agent::v1::ListedVolume& wire) {
  ListedVolume volume;
  volume.id = wire.id();
  volume.capacity_bytes = wire.capacity_bytes();
  ASSIGN_OR_RETURN(volume.source, FromWire(wire.source()));
  return volume;
}

agent::v1::Snapshot ToWire(const Snapshot& snapshot) {
  agent::v1::Snapshot wire;
  wire.set_id(snapshot.id);
  wire.set_name(snapshot.name);
  wire.set_incarnation(snapshot.incarnation);
  wire.set_state(EnumToWire<agent::v1::ObjectState>(snapshot.state));
  wire.set_volume_id(snapshot.volume_id);
  wire.set_volume_incarnation(snapshot.volume_incarnation);
  wire.set_content(ToWire(snapshot.content));
  wire.set_size_bytes(snapshot.size_bytes);
  wire.set_filesystem_bytes(snapshot.filesystem_bytes);
  wire.set_filesystem_uuid(snapshot.filesystem_uuid);
  wire.set_provisioning(EnumToWire<agent::v1::Provisioning>(snapshot.provisioning));
  wire.set_consistency(EnumToWire<agent::v1::Consistency>(snapshot.consistency));
  wire.set_extents(snapshot.extents);
  wire.set_created_unix_nanos(snapshot.created_unix_nanos);
  if (snapshot.root) *wire.mutable_root() = ToWire(*snapshot.root);
  wire.set_root_may_differ(snapshot.root_may_differ);
  return wire;
}

absl::StatusOr<Snapshot> FromWire(const agent::v1::Snapshot& wire) {
  Snapshot snapshot;
  snapshot.id = wire.id();
  snapshot.name = wire.name();
  snapshot.incarnation = wire.incarnation();
  ASSIGN_OR_RETURN(snapshot.state,
                   EnumFromWire("snapshot state", wire.state(), ObjectState::kDeleting));
  snapshot.volume_id = wire.volume_id();
  snapshot.volume_incarnation = wire.volume_incarnation();
  ASSIGN_OR_RETURN(snapshot.content, RequireContent(wire.content()));
  snapshot.size_bytes = wire.size_bytes();
  snapshot.filesystem_bytes = wire.filesystem_bytes();
  snapshot.filesystem_uuid = wire.filesystem_uuid();
  ASSIGN_OR_RETURN(snapshot.provisioning,
                   EnumFromWire("provisioning", wire.provisioning(), Provisioning::kThin));
  ASSIGN_OR_RETURN(snapshot.consistency,
                   EnumFromWire("consistency", wire.consistency(), Consistency::kCrash));
  snapshot.extents = wire.extents();
  snapshot.created_unix_nanos = wire.created_unix_nanos();
  if (wire.has_root()) snapshot.root = FromWire(wire.root());
  snapshot.root_may_differ = wire.root_may_differ();
  return snapshot;
}

agent::v1::PoolStatus ToWire(const PoolStatus& pool) {
  agent::v1::PoolStatus wire;
  wire.set_name(pool.name);
  wire.set_uuid(pool.uuid);
  wire.set_path(pool.path);
  wire.set_filesystem(pool.filesystem);
  wire.set_refusal(pool.refusal);
  *wire.mutable_space() = ToWire(pool.space);
  wire.set_volumes(pool.volumes);
  wire.set_snapshots(pool.snapshots);
  wire.set_trash_entries(pool.trash_entries);
  wire.set_overcommit(pool.overcommit);
  wire.set_watermark(EnumToWire<agent::v1::Watermark>(pool.watermark));
  wire.set_stop_line_bytes(pool.stop_line_bytes);
  wire.set_ballast_bytes(pool.ballast_bytes);
  wire.set_stopped_volumes(pool.stopped_volumes);
  wire.set_stops(pool.stops);
  return wire;
}

absl::StatusOr<PoolStatus> FromWire(const agent::v1::PoolStatus& wire) {
  PoolStatus pool;
  pool.name = wire.name();
  pool.uuid = wire.uuid();
  pool.path = wire.path();
  pool.filesystem = wire.filesystem();
  pool.refusal = wire.refusal();
  pool.space = FromWire(wire.space());
  pool.volumes = wire.volumes();
  pool.snapshots = wire.snapshots();
  pool.trash_entries = wire.trash_entries();
  pool.overcommit = wire.overcommit();
  ASSIGN_OR_RETURN(pool.watermark, EnumFromWire("watermark", wire.watermark(), Watermark::kLast));
  pool.stop_line_bytes = wire.stop_line_bytes();
  pool.ballast_bytes = wire.ballast_bytes();
  pool.stopped_volumes = wire.stopped_volumes();
  pool.stops = wire.stops();
  return pool;
}

agent::v1::CopyProgress ToWire(const CopyProgress& copy) {
  agent::v1::CopyProgress wire;
  wire.set_volume_id(copy.volume_id);
  SetLabels(copy.labels, *wire.mutable_labels());
  wire.set_source_id(copy.source_id);
  wire.set_from_node(copy.from_node);
  wire.set_passed_bytes(copy.passed_bytes);
  wire.set_total_bytes(copy.total_bytes);
  wire.set_started_unix_nanos(copy.started_unix_nanos);
  return wire;
}

CopyProgress FromWire(const agent::v1::CopyProgress& wire) {
  return {.volume_id = wire.volume_id(),
          .labels = {wire.labels().begin(), wire.labels().end()},
          .source_id = wire.source_id(),
          .from_node = wire.from_node(),
          .passed_bytes = wire.passed_bytes(),
          .total_bytes = wire.total_bytes(),
          .started_unix_nanos = wire.started_unix_nanos()};
}

}  // namespace holdfast
