#include "os/superblock.h"

#include <endian.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "base/sizes.h"
#include "os/crc32c.h"

namespace holdfast {
namespace {

constexpr uint32_t kSeed = ~0U;
constexpr size_t kExt4Offset = 1024, kBtrfsOffset = 64 * 1024;      // of the superblock
constexpr size_t kExt4Uuid = 0x68, kXfsUuid = 32, kBtrfsUuid = 32;  // in the superblock
// A checksum that holds says who wrote it, not that it makes sense.
constexpr char kImpossibleSize[] = "a size that cannot be";

// What one format's reader found in the region.
struct Finding {
  bool present = false;  // its magic is there
  std::string damage;    // why it is not intact; empty: it is
  Superblock superblock;
};

// Little-endian, or with the Big variants big-endian, integers at an offset.
template <typename T>
T Load(std::string_view bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}
uint16_t Little16(std::string_view b, size_t at) { return le16toh(Load<uint16_t>(b, at)); }
uint32_t Little32(std::string_view b, size_t at) { return le32toh(Load<uint32_t>(b, at)); }
uint64_t Little64(std::string_view b, size_t at) { return le64toh(Load<uint64_t>(b, at)); }
uint16_t Big16(std::string_view b, size_t at) { return be16toh(Load<uint16_t>(b, at)); }
uint32_t Big32(std::string_view b, size_t at) { return be32toh(Load<uint32_t>(b, at)); }
uint64_t Big64(std::string_view b, size_t at) { return be64toh(Load<uint64_t>(b, at)); }

std::string WrongChecksum(uint32_t stored, uint32_t computed) {
  return fmt::format("checksum {:08x} stored, {:08x} computed", stored, computed);
}

// Offsets: fs/ext4/ext4.h, struct ext4_super_block.
Finding ReadExt4(std::string_view region) {
  constexpr size_t kOffset = kExt4Offset, kBytes = 1024, kChecksum = 0x3fc;
  constexpr uint32_t kRecover = 0x4, k64Bit = 0x80, kMetadataChecksum = 0x400;
  constexpr uint16_t kErrorState = 0x2;
  Finding found;
  if (region.size() < kOffset + kBytes) return found;
  const std::string_view sb = region.substr(kOffset, kBytes);
  if (Little16(sb, 0x38) != 0xef53) return found;
  found.present = true;
  const uint32_t incompatible = Little32(sb, 0x60);
  if ((Little32(sb, 0x64) & kMetadataChecksum) == 0) {
    found.damage = "no metadata_csum: nothing proves that it is intact";
    return found;
  }
  const uint32_t computed = Crc32c(kSeed, sb.substr(0, kChecksum));
  if (computed != Little32(sb, kChecksum)) {
    found.damage = WrongChecksum(Little32(sb, kChecksum), computed);
    return found;
  }
  const uint32_t log_block_size = Little32(sb, 0x18);
  if (log_block_size > 6) {
    found.damage = "a block size that cannot be";
    return found;
  }
  uint64_t blocks = Little32(sb, 0x4);
  if ((incompatible & k64Bit) != 0) blocks |= static_cast<uint64_t>(Little32(sb, 0x150)) << 32;
  if (blocks > UINT64_MAX >> (10 + log_block_size)) {
    found.damage = kImpossibleSize;
    return found;
  }
  found.superblock = {
      .content = Content::kExt4,
      .uuid = UuidText(sb.substr(kExt4Uuid, 16)),
      .size_bytes = blocks << (10 + log_block_size),
      .needs_recovery = (incompatible & kRecover) != 0,
      .has_errors = (Little16(sb, 0x3a) & kErrorState) != 0 || Little32(sb, 0x194) != 0};
  return found;
}

// Offsets: fs/xfs/libxfs/xfs_format.h, struct xfs_dsb.
Finding ReadXfs(std::string_view region) {
  constexpr size_t kChecksum = 224, kMinSector = 512, kMaxSector = 32768;
  constexpr uint32_t kNeedsRepair = 0x10;
  Finding found;
  if (region.size() < kMaxSector || region.substr(0, 4) != "XFSB") return found;
  found.present = true;
  if ((Big16(region, 100) & 0xf) != 5) {
    found.damage = "no version 5: nothing proves that it is intact";
    return found;
  }
  const size_t sector = Big16(region, 102);
  if (sector < kMinSector || sector > kMaxSector || (sector & (sector - 1)) != 0) {
    found.damage = "a sector size that cannot be";
    return found;
  }
  uint32_t computed = Crc32c(kSeed, region.substr(0, kChecksum));
  computed = Crc32c(computed, std::string_view("\0\0\0\0", 4));
  computed = ~Crc32c(computed, region.substr(kChecksum + 4, sector - kChecksum - 4));
  if (computed != Little32(region, kChecksum)) {
    found.damage = WrongChecksum(Little32(region, kChecksum), computed);
    return found;
  }
  if (region[126] != 0) {
    found.damage = "its making never finished";
    return found;
  }
  uint64_t size_bytes = 0;
  if (__builtin_mul_overflow(Big64(region, 8), uint64_t{Big32(region, 4)}, &size_bytes)) {
    found.damage = kImpossibleSize;
    return found;
  }
  found.superblock = {.content = Content::kXfs,
                      // sb_uuid; with META_UUID only what is inside keeps the first one
                      .uuid = UuidText(region.substr(kXfsUuid, 16)),
                      .size_bytes = size_bytes,
                      .needs_recovery = true,
                      .has_errors = (Big32(region, 216) & kNeedsRepair) != 0};
  return found;
}

// Offsets: include/uapi/linux/btrfs_tree.h, struct btrfs_super_block.
Finding ReadBtrfs(std::string_view region) {
  constexpr size_t kOffset = kBtrfsOffset, kBytes = 4096, kAfterChecksum = 32;
  constexpr uint64_t kErrorFlag = 1 << 2;
  Finding found;
  if (region.size() < kOffset + kBytes) return found;
  const std::string_view sb = region.substr(kOffset, kBytes);
  if (sb.substr(64, 8) != "_BHRfS_M") return found;
  found.present = true;
  if (Little16(sb, 196) != 0) {
    found.damage = "a checksum algorithm other than crc32c";
    return found;
  }
  const uint32_t computed = ~Crc32c(kSeed, sb.substr(kAfterChecksum));
  // 32 bytes are kept for a checksum. crc32c has four of them, and the rest is zero.
  const bool rest_is_zero =
      std::all_of(sb.begin() + 4, sb.begin() + kAfterChecksum, [](char c) { return c == 0; });
  if (computed != Little32(sb, 0) || !rest_is_zero) {
    found.damage = WrongChecksum(Little32(sb, 0), computed);
    return found;
  }
  if (Little64(sb, 48) != kOffset) {
    found.damage = "a copy from another place";
    return found;
  }
  if (Little64(sb, 136) != 1) {
    found.damage = fmt::format("part of a filesystem of {} devices", Little64(sb, 136));
    return found;
  }
  found.superblock = {.content = Content::kBtrfs,
                      // The fsid: what btrfstune -M changes and what the kernel knows it by. The
                      // metadata_uuid stays what it was at mkfs.
                      .uuid = UuidText(sb.substr(kBtrfsUuid, 16)),
                      .size_bytes = Little64(sb, 112),
                      .needs_recovery = Little64(sb, 96) != 0,
                      .has_errors = (Little64(sb, 56) & kErrorFlag) != 0};
  return found;
}

absl::Status Damaged(const char* name, const std::string& damage) {
  return absl::DataLossError(
      fmt::format("superblock: expected an intact filesystem, found {} with {}", name, damage));
}

// Where the superblock begins. What is before it ext4 and btrfs leave as mkfs made it, zeroes.
size_t SuperblockOffset(Content content) {
  if (content == Content::kExt4) return kExt4Offset;
  return content == Content::kBtrfs ? kBtrfsOffset : 0;
}

}  // namespace

uint64_t UuidOffset(Content content) {
  if (content == Content::kExt4) return kExt4Offset + kExt4Uuid;
  return content == Content::kBtrfs ? kBtrfsOffset + kBtrfsUuid : kXfsUuid;
}

std::string UuidText(std::string_view bytes) {
  std::string text;
  for (size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<uint8_t>(bytes[i]));
  }
  return text;
}

absl::StatusOr<std::optional<Superblock>> ParseSuperblock(std::string_view region) {
  const std::pair<const char*, Finding> findings[] = {
      {"ext4", ReadExt4(region)}, {"xfs", ReadXfs(region)}, {"btrfs", ReadBtrfs(region)}};
  const Finding* intact = nullptr;
  for (const auto& [name, finding] : findings) {
    if (!finding.present || !finding.damage.empty()) continue;
    if (intact != nullptr) {
      return absl::DataLossError("superblock: expected one filesystem, found two intact ones");
    }
    intact = &finding;
  }
  // A magic without a checksum beside an intact superblock can be a workload's data: bytes that a
  // user put at 64 KiB of an XFS must not make the volume unusable.
  if (intact != nullptr) {
    const size_t begin = SuperblockOffset(intact->superblock.content);
    const size_t other = region.find_first_not_of('\0');
    if (other >= begin) return std::optional<Superblock>(intact->superblock);
    return absl::DataLossError(fmt::format(
        "superblock: expected zeroes before {}, found other bytes from offset {}: no workload can "
        "have written them, somebody did over the image",
        ContentName(intact->superblock.content), other));
  }
  for (const auto& [name, finding] : findings) {
    if (finding.present) return Damaged(name, finding.damage);
  }
  const auto byte = std::find_if(region.begin(), region.end(), [](char c) { return c != 0; });
  if (byte == region.end()) return std::optional<Superblock>();
  return absl::DataLossError(fmt::format(
      "superblock: expected ext4, xfs, btrfs or zeroes, found unknown bytes from offset {}",
      byte - region.begin()));
}

}  // namespace holdfast
