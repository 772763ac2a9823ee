#include "os/crc32c.h"

#include <array>

namespace holdfast {
namespace {

constexpr std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78U : 0);
    table[i] = value;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kTable = MakeTable();

}  // namespace

uint32_t Crc32c(uint32_t seed, std::string_view data) {
  // A byte at a time: a superblock has at most 4 KiB.
  for (const char c : data) seed = kTable[(seed ^ static_cast<uint8_t>(c)) & 0xff] ^ (seed >> 8);
  return seed;
}

}  // namespace holdfast
