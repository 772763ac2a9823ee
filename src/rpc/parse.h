// From CSI messages to the nouns of volume/: the last lines that see a proto.
//
// Everything malformed is INVALID_ARGUMENT with the field's name first, unless a function says
// otherwise. Values from outside appear in messages escaped and shortened.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/csi/csi.pb.h"
#include "volume/access_mode.h"
#include "volume/capacity.h"
#include "volume/ids.h"
#include "volume/volume.h"

namespace holdfast {

// Source of the limits: CSI specification, "Size Limits".
inline constexpr size_t kMaxStringBytes = 128;
inline constexpr size_t kMaxMapBytes = 4096;
inline constexpr size_t kMaxNodeIdBytes = 256;
inline constexpr size_t kMaxMountFlagsBytes = 4096;
inline constexpr size_t kMaxPathBytes = 4095;  // PATH_MAX without its NUL
// A listed entry is below 512 bytes, and clients receive at most 4 MiB.
inline constexpr uint64_t kMaxPageEntries = 4096;

using ProtoMap = google::protobuf::Map<std::string, std::string>;

// `value` in single quotes, control and non-UTF-8 bytes escaped, cut after kQuotedBytes. An id of
// ours has 70.
inline constexpr size_t kQuotedBytes = 80;
std::string Quoted(std::string_view value);

// A CSI name: 1 to 128 bytes of UTF-8 without control characters.
absl::StatusOr<std::string> ParseName(std::string_view field, const std::string& value);
// An id of a volume or snapshot: not empty. Which ids exist is the catalog's to say: one of the
// wrong form is unknown like any other (NOT_FOUND), not malformed.
absl::StatusOr<std::string> RequireId(std::string_view field, const std::string& value);
// A path: absolute, no NUL, at most kMaxPathBytes. Empty: `absent`, which is INVALID_ARGUMENT but
// for NodePublishVolume's staging path. Where it may lie is os/mounts.h's to say.
absl::StatusOr<std::string> RequirePath(
    std::string_view field, const std::string& value,
    absl::StatusCode absent = absl::StatusCode::kInvalidArgument);
// At most 4 KiB of keys and values, UTF-8. Never repeats a value: it may be a secret.
absl::StatusOr<std::map<std::string, std::string>> ParseMap(std::string_view field,
                                                            const ProtoMap& map);

// One VolumeCapability.
struct Capability {
  // kBlock, a filesystem, or nullopt: a mount of a filesystem that was not named.
  std::optional<Content> content;
  AccessMode mode = AccessMode::kSingleNodeWriter;
  std::vector<std::string> mount_flags;  // as given, each allowed by volume/mount_policy.h
  bool block() const { return content == Content::kBlock; }
  bool operator==(const Capability&) const = default;
};

// Access type and mode are required; an unknown fs_type lists the known ones; a mode that needs
// several writing nodes, volume_mount_group and refused mount flags are said in a sentence.
absl::StatusOr<Capability> ParseCapability(std::string_view field,
                                           const csi::v1::VolumeCapability& capability);

// What all capabilities of a list want together.
struct CapabilityList {
  std::optional<Content> content;  // as in Capability
  std::vector<Capability> each;    // never empty
};

using ProtoCapabilities = google::protobuf::RepeatedPtrField<csi::v1::VolumeCapability>;

// At least one; block and mount together, or two filesystems, cannot be one volume.
absl::StatusOr<CapabilityList> ParseCapabilities(std::string_view field,
                                                 const ProtoCapabilities& capabilities);

// A CapacityRange; absent members are 0. Negative ones are INVALID_ARGUMENT; whether any size lies
// in the range is volume/capacity.h's to say.
absl::StatusOr<CapacityRange> ParseCapacityRange(std::string_view field,
                                                 const csi::v1::CapacityRange& range);

// Which entries a List call wants.
struct Page {
  std::string after;   // ids greater than this one
  uint64_t limit = 0;  // 1 to kMaxPageEntries
};

// max_entries 0: as many as an answer holds. A token that MakePageToken did not make for this
// `kind` is ABORTED (CSI), a negative max_entries INVALID_ARGUMENT.
absl::StatusOr<Page> ParsePage(int32_t max_entries, const std::string& starting_token,
                               ObjectKind kind);
// The token of the page after the one that ends with `last_id`. It stays good when that id goes.
std::string MakePageToken(std::string_view last_id);

// The node that a topology names. nullopt: none of this driver's.
std::optional<std::string> NodeOfTopology(const csi::v1::Topology& topology);

// Where a volume is wanted.
struct NodeChoice {
  bool any = true;  // any node will do; else only those of `requisite`
  std::vector<std::string> requisite;
  std::vector<std::string> preferred;  // best first, only such as may be
  bool Allows(std::string_view node) const;
};
NodeChoice ParseTopologyRequirement(const csi::v1::TopologyRequirement& requirement);

}  // namespace holdfast
