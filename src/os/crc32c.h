// CRC-32C (Castagnoli), the checksum of ext4, XFS and btrfs superblocks.
#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast {

// The raw register after `data`, begun with `seed`; no final inversion (ext4 stores it so, XFS and
// btrfs store its complement).
uint32_t Crc32c(uint32_t seed, std::string_view data);

}  // namespace holdfast
