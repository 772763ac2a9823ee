// ACLs: the text says all that the attribute says; what is no ACL is kept byte for byte.
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include <cstdlib>
#include <string>

#include "os/acl_text.h"
#include "tests/fuzz/property.h"

namespace holdfast {
namespace {

void Put(std::string& bytes, uint64_t value, int count) {
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i));
}

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

// One entry of the text, as the kernel keeps it.
std::string Encode(std::string_view entry) {
  const size_t first = entry.find(':'), second = entry.find(':', first + 1);
  const std::string_view name = entry.substr(0, first);
  const std::string id(entry.substr(first + 1, second - first - 1));
  const std::string_view permissions = entry.substr(second + 1);
  Require(permissions.size() == 3, "an entry has three permissions");
  const uint64_t tag = name == "user"    ? (id.empty() ? ACL_USER_OBJ : ACL_USER)
                       : name == "group" ? (id.empty() ? ACL_GROUP_OBJ : ACL_GROUP)
                       : name == "mask"  ? ACL_MASK
                                         : ACL_OTHER;
  std::string bytes;
  Put(bytes, tag, 2);
  Put(bytes,
      (permissions[0] == 'r' ? 4 : 0) | (permissions[1] == 'w' ? 2 : 0) |
          (permissions[2] == 'x' ? 1 : 0),
      2);
  Put(bytes, id.empty() ? UINT32_MAX : std::strtoull(id.c_str(), nullptr, 10), 4);
  return bytes;
}

// The kernel sets ids that mean nothing to -1; the text has none there.
std::string WithoutIdleIds(std::string_view attribute) {
  std::string bytes(attribute);
  for (size_t at = 4; at + 8 <= bytes.size(); at += 8) {
    const auto tag = static_cast<unsigned char>(bytes[at]);
    if (tag != ACL_USER && tag != ACL_GROUP) bytes.replace(at + 4, 4, "\xff\xff\xff\xff");
  }
  return bytes;
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  const std::string_view attribute(reinterpret_cast<const char*>(data), size);
  const std::string text = AclText(attribute);
  Require(IsOneLine(text) && IsUtf8Text(text), "an ACL's text is one line");
  if (text.starts_with("hex:")) {
    Require(FromHex(std::string_view(text).substr(4)) == attribute, "hex is all bytes");
    return 0;
  }
  std::string bytes;
  Put(bytes, POSIX_ACL_XATTR_VERSION, 4);
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view entry = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(entry.size() + 1, rest.size()));
    bytes += Encode(entry);
  }
  Require(bytes == WithoutIdleIds(attribute), "an ACL that is read back from its text is the same");
  return 0;
}
