#include "volume/ids.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include <fmt/format.h>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace holdfast {
namespace {

constexpr std::string_view kVolumePrefix = "vol-";
constexpr std::string_view kSnapshotPrefix = "snap-";
constexpr size_t kHexDigits = 32;  // of a UUID without dashes, and of a name hash

bool IsLowerHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::string NameHash(std::string_view name) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int length = 0;
  // Fails only when OpenSSL has no SHA-256 or no memory: then no id can be told from another.
  if (EVP_Digest(name.data(), name.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1) {
    std::abort();
  }
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), kHexDigits / 2));
}

std::string MakeId(ObjectKind kind, std::string_view pool_uuid, std::string_view name) {
  std::string id(kind == ObjectKind::kVolume ? kVolumePrefix : kSnapshotPrefix);
  std::copy_if(pool_uuid.begin(), pool_uuid.end(), std::back_inserter(id),
               [](char c) { return c != '-'; });
  return id + "-" + NameHash(name);
}

std::optional<ParsedId> ParseId(std::string_view id) {
  ParsedId parsed;
  if (id.starts_with(kVolumePrefix)) {
    parsed.kind = ObjectKind::kVolume;
    id.remove_prefix(kVolumePrefix.size());
  } else if (id.starts_with(kSnapshotPrefix)) {
    parsed.kind = ObjectKind::kSnapshot;
    id.remove_prefix(kSnapshotPrefix.size());
  } else {
    return std::nullopt;
  }
  if (id.size() != 2 * kHexDigits + 1 || id[kHexDigits] != '-') return std::nullopt;
  const std::string_view pool = id.substr(0, kHexDigits);
  const std::string_view hash = id.substr(kHexDigits + 1);
  if (!IsLowerHex(pool) || !IsLowerHex(hash)) return std::nullopt;
  parsed.pool_uuid = fmt::format("{}-{}-{}-{}-{}", pool.substr(0, 8), pool.substr(8, 4),
                                 pool.substr(12, 4), pool.substr(16, 4), pool.substr(20));
  parsed.name_hash = hash;
  return parsed;
}

}  // namespace holdfast
