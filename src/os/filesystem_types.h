// Which filesystem an open file lies on.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast {

inline constexpr int64_t kExt4Magic = 0xef53;
inline constexpr int64_t kXfsMagic = 0x58465342;
inline constexpr int64_t kBtrfsMagic = 0x9123683e;

// "xfs" for a statfs(2) f_type; "0x…" when unknown.
std::string FilesystemTypeName(int64_t magic);

}  // namespace holdfast
