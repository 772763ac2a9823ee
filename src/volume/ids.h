// Ids of volumes and snapshots.
//
// Grammar: ("vol" | "snap") "-" POOL "-" HASH, where POOL is the pool's UUID without dashes (32
// lower-case hex digits) and HASH the first 128 bits of SHA-256 over the CSI name (32 hex digits).
// So Create (which knows names) and Delete (which knows ids) take the same lock, and an id is never
// a path: files are named by the incarnation's UUID, found through the catalog.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

enum class ObjectKind { kVolume, kSnapshot };

struct ParsedId {
  ObjectKind kind;
  std::string pool_uuid;  // with dashes
  std::string name_hash;  // 32 hex digits
};

std::string MakeId(ObjectKind kind, std::string_view pool_uuid, std::string_view name);

// nullopt for everything that the grammar does not make, NUL and ".." included.
std::optional<ParsedId> ParseId(std::string_view id);

// The HASH part for a CSI name.
std::string NameHash(std::string_view name);

}  // namespace holdfast
