#include "os/acl_text.h"

#include <endian.h>
#include <fmt/format.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include <cstring>
#include <optional>

namespace holdfast {
namespace {

struct Tag {
  const char* name;
  bool has_id;
};

std::optional<Tag> FindTag(uint16_t tag) {
  switch (tag) {
    case ACL_USER_OBJ:
      return Tag{"user", false};
    case ACL_USER:
      return Tag{"user", true};
    case ACL_GROUP_OBJ:
      return Tag{"group", false};
    case ACL_GROUP:
      return Tag{"group", true};
    case ACL_MASK:
      return Tag{"mask", false};
    case ACL_OTHER:
      return Tag{"other", false};
    default:
      return std::nullopt;
  }
}

std::optional<std::string> Parse(std::string_view attribute) {
  posix_acl_xattr_header header;
  if (attribute.size() < sizeof(header)) return std::nullopt;
  std::memcpy(&header, attribute.data(), sizeof(header));
  attribute.remove_prefix(sizeof(header));
  if (le32toh(header.a_version) != POSIX_ACL_XATTR_VERSION) return std::nullopt;

  std::string text;
  while (!attribute.empty()) {
    posix_acl_xattr_entry entry;
    if (attribute.size() < sizeof(entry)) return std::nullopt;
    std::memcpy(&entry, attribute.data(), sizeof(entry));
    attribute.remove_prefix(sizeof(entry));
    const std::optional<Tag> tag = FindTag(le16toh(entry.e_tag));
    const uint16_t permissions = le16toh(entry.e_perm);
    if (!tag.has_value() || permissions > 7) return std::nullopt;
    if (!text.empty()) text += ',';
    text += fmt::format(
        "{}:{}:{}{}{}", tag->name, tag->has_id ? fmt::to_string(le32toh(entry.e_id)) : "",
        (permissions & ACL_READ) != 0 ? 'r' : '-', (permissions & ACL_WRITE) != 0 ? 'w' : '-',
        (permissions & ACL_EXECUTE) != 0 ? 'x' : '-');
  }
  return text;
}

}  // namespace

std::string AclText(std::string_view attribute) {
  if (std::optional<std::string> text = Parse(attribute); text.has_value()) return *text;
  std::string hex = "hex:";
  for (const char c : attribute) hex += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return hex;
}

}  // namespace holdfast
