#include "base/uuid.h"

#include <array>
#include <cstdint>
#include <random>

#include <fmt/format.h>

namespace holdfast {

std::string NewUuid() {
  std::random_device source;  // getrandom(2) in libstdc++: no seeding, safe in every thread.
  std::array<uint32_t, 4> words;
  for (uint32_t& word : words) word = source();
  words[1] = (words[1] & 0xffff0fffU) | 0x00004000U;
  words[2] = (words[2] & 0x3fffffffU) | 0x80000000U;
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:04x}{:08x}", words[0], words[1] >> 16,
                     words[1] & 0xffff, words[2] >> 16, words[2] & 0xffff, words[3]);
}

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (dash ? c != '-' : !hex) return false;
  }
  return true;
}

}  // namespace holdfast
