// A volume: one image of a pool, as the catalog remembers it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "volume/root_attributes.h"

namespace holdfast {

enum class ObjectState { kCreating, kReady, kDeleting };

// kBlock: a raw block volume, no filesystem of ours in it.
enum class Content { kBlock, kExt4, kXfs, kBtrfs };

// kThick: every block is allocated when the volume becomes ready and stays so.
// kThin: blocks are allocated when written and given back when discarded.
enum class Provisioning { kThick, kThin };

struct Owner {
  uint32_t uid = 0;
  uint32_t gid = 0;
  bool operator==(const Owner&) const = default;
};

// Where a volume's first bytes came from.
struct Source {
  enum class Kind { kNone, kSnapshot, kVolume };
  Kind kind = Kind::kNone;
  std::string id;
  bool operator==(const Source&) const = default;
};

// What a StorageClass asks for; see class_parameters.h for the keys.
struct ClassParameters {
  std::string pool;  // a pool's name; empty: any
  Provisioning provisioning = Provisioning::kThick;
  uint32_t reserve_percent = 100;     // of shared or missing blocks, what counts as owed
  bool accepts_lost_writes = false;   // raw block below a reserve of 100: said in so many words
  std::optional<uint32_t> root_mode;  // 0..07777
  std::optional<Owner> root_owner;
  bool operator==(const ClassParameters&) const = default;
};

// How the last time on a node ended. kStaged: it is staged now, or the node died under it.
enum class LastEnd { kNeverStaged, kStaged, kClean };

// A refusal, kept word for word until an administrator acknowledges it.
struct Verdict {
  std::string sentence;
  // What was found; becomes the record when it is acknowledged. Absent: it could not be read.
  std::optional<RootAttributes> found;
};

// How the volume was staged, to recognise a repeated call and to refuse a different one.
struct StageTerms {
  std::string access_mode;  // the CSI enumerator's name
  bool read_only = false;
  std::string mount_flags;  // joined by '\n', in the request's order
  bool operator==(const StageTerms&) const = default;
};

// What the node knows of the volume between two stages (verified-mounts, "Record").
struct StageRecord {
  LastEnd last_end = LastEnd::kNeverStaged;
  std::string boot_id;                 // of the kernel it was staged under
  std::string driver_version;          // that wrote this record
  std::optional<RootAttributes> root;  // at creation, and then at each unstage
  std::optional<StageTerms> terms;     // while last_end is kStaged
  // NameHash of the staging path while last_end is kStaged: no record holds a path of the machine.
  // Empty: staged by a driver that did not record it.
  std::string staging_digest;
  // Loop::disk_sequence of what it was staged on, while last_end is kStaged. 0: not recorded.
  uint64_t disk_sequence = 0;
  bool published = false;  // since the stage: later publishes follow lawful changes
  std::optional<Verdict> verdict;
};

struct Volume {
  std::string id;
  std::string name;
  std::string incarnation;  // UUID; names the image file, unique for ever
  ObjectState state = ObjectState::kCreating;
  Content content = Content::kExt4;
  uint64_t capacity_bytes = 0;  // multiple of kBlockBytes; the image's size
  // While an expansion is under way: what the image may have been made. 0: none is.
  uint64_t growing_to_bytes = 0;
  uint64_t filesystem_bytes = 0;  // < capacity: to be grown before the next mount. 0 for block
  std::string filesystem_uuid;    // empty for block
  bool formatted = false;         // whether a filesystem was ever made in it
  bool shares_blocks = false;     // whether any other file of the pool may share its blocks
  ClassParameters parameters;
  std::map<std::string, std::string> labels;  // csi.storage.k8s.io/* keys as given
  Source source;
  // While it is creating and copied from another node: of which snapshot (its incarnation), and how
  // many bytes of that are durable. Empty: it is no copy, or all of it is there.
  std::string copy_of;
  uint64_t copied_bytes = 0;
  int64_t created_unix_nanos = 0;
  uint64_t image_inode = 0;  // of the image file, 0 while creating
  uint32_t image_generation = 0;
  StageRecord stage;
};

// What a list says of a volume.
struct ListedVolume {
  std::string id;
  uint64_t capacity_bytes = 0;
  Source source;
  bool operator==(const ListedVolume&) const = default;
};

// "ext4", "xfs", "btrfs", "block".
const char* ContentName(Content content);
// The reverse; nullopt for anything else.
std::optional<Content> ParseContent(const std::string& name);

}  // namespace holdfast
