// POSIX ACLs of the kernel as text.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

// `attribute` is the value of system.posix_acl_access or _default. "user::rwx,user:1000:r--,
// group::r-x,mask::rwx,other::---" (without blanks), in the kernel's order. What cannot be parsed
// is "hex:" and its bytes: two of them are still equal or not.
std::string AclText(std::string_view attribute);

}  // namespace holdfast
