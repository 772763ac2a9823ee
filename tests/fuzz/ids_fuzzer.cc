// Ids: what is accepted is short, path-safe and exactly what the grammar makes; any name makes one.
#include <algorithm>
#include <string>

#include "base/uuid.h"
#include "tests/fuzz/property.h"
#include "volume/ids.h"

namespace holdfast {
namespace {

std::string Format(const ParsedId& id) {
  std::string text = id.kind == ObjectKind::kVolume ? "vol-" : "snap-";
  for (const char c : id.pool_uuid) {
    if (c != '-') text += c;
  }
  return text + "-" + id.name_hash;
}

void CheckAccepted(std::string_view text, const ParsedId& id) {
  Require(text.size() <= 128, "an accepted id has at most 128 bytes");
  Require(std::all_of(
              text.begin(), text.end(),
              [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; }),
          "an accepted id is safe in a path");
  Require(IsUuid(id.pool_uuid), "an id's pool is a UUID");
  Require(Format(id) == text, "an id that is parsed and formatted is the same id");
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto id = ParseId(text)) CheckAccepted(text, *id);
  // The input as a name, and its first bytes as a pool.
  static const char kHex[] = "0123456789abcdef";
  std::string uuid = "00000000-0000-4000-8000-000000000000";
  for (size_t i = 0, at = 0; i < uuid.size() && at < size; ++i) {
    if (uuid[i] != '-') uuid[i] = kHex[data[at++] & 15];
  }
  for (const ObjectKind kind : {ObjectKind::kVolume, ObjectKind::kSnapshot}) {
    const std::string made = MakeId(kind, uuid, text);
    const auto parsed = ParseId(made);
    Require(parsed.has_value(), "an id that was made is accepted");
    CheckAccepted(made, *parsed);
    Require(
        parsed->kind == kind && parsed->pool_uuid == uuid && parsed->name_hash == NameHash(text),
        "an id says its kind, pool and name");
    // One byte more or less is another id.
    Require(!ParseId(made + "0") && !ParseId(std::string_view(made).substr(1)),
            "an id has one length");
  }
  return 0;
}
