// Superblocks: what is accepted is whole to the last bit, and says sizes that exist.
//
// An input is edits of a blank region: a filesystem's own magic and checksum are put in afterwards
// where asked, because no fuzzer finds a checksum.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <string>

#include "base/uuid.h"
#include "os/crc32c.h"
#include "os/superblock.h"
#include "tests/fuzz/property.h"

namespace holdfast {
namespace {

constexpr size_t kExt4 = 1024, kBtrfs = 64 * 1024;

void PutLittle(std::string& region, size_t offset, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) region[offset + i] = static_cast<char>(value >> (8 * i));
}

size_t XfsSector(const std::string& region) {
  return static_cast<unsigned char>(region[102]) << 8 | static_cast<unsigned char>(region[103]);
}

void Seal(std::string& region, Content content) {
  const std::string_view view = region;
  if (content == Content::kExt4) {
    PutLittle(region, kExt4 + 0x38, 0xef53, 2);
    region[kExt4 + 0x65] |= 0x4;  // metadata_csum
    PutLittle(region, kExt4 + 0x3fc, Crc32c(~0U, view.substr(kExt4, 0x3fc)), 4);
  } else if (content == Content::kXfs) {
    region.replace(0, 4, "XFSB");
    region[101] = static_cast<char>((region[101] & 0xf0) | 5);
    const size_t sector = std::min<size_t>(std::max<size_t>(XfsSector(region), 512), 32768);
    PutLittle(region, 224, 0, 4);
    PutLittle(region, 224, ~Crc32c(~0U, view.substr(0, sector)), 4);
  } else {
    region.replace(kBtrfs + 64, 8, "_BHRfS_M");
    PutLittle(region, kBtrfs + 48, kBtrfs, 8);
    region.replace(kBtrfs + 4, 28, std::string(28, '\0'));
    PutLittle(region, kBtrfs, ~Crc32c(~0U, view.substr(kBtrfs + 32, 4096 - 32)), 4);
  }
}

// The bytes that the superblock's checksum is over, and the checksum itself.
std::pair<size_t, size_t> Covered(const std::string& region, Content content) {
  if (content == Content::kExt4) return {kExt4, 1024};
  if (content == Content::kXfs) return {0, XfsSector(region)};
  return {kBtrfs, 4096};
}

uint64_t Big(const std::string& region, size_t offset, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) {
    value = value << 8 | static_cast<unsigned char>(region[offset + i]);
  }
  return value;
}

// The product of the fields, without the overflow.
bool SizeIsExact(const std::string& region, const Superblock& superblock) {
  using Wide = unsigned __int128;
  if (superblock.content == Content::kXfs) {
    return Wide{Big(region, 8, 8)} * Big(region, 4, 4) == superblock.size_bytes;
  }
  if (superblock.content != Content::kExt4) return true;
  const auto little = [&](size_t offset) {
    return __builtin_bswap32(static_cast<uint32_t>(Big(region, kExt4 + offset, 4)));
  };
  Wide blocks = little(0x4);
  if ((little(0x60) & 0x80) != 0) blocks |= Wide{little(0x150)} << 32;
  return blocks << (10 + little(0x18)) == superblock.size_bytes;
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  FuzzedDataProvider input(data, size);
  std::string region(input.ConsumeBool() ? kSuperblockRegionBytes
                                         : input.ConsumeIntegralInRange<size_t>(0, 68 * 1024),
                     '\0');
  const bool whole = region.size() == kSuperblockRegionBytes;
  const auto seals = input.ConsumeIntegral<uint8_t>();
  const size_t starts[] = {0, kExt4, kBtrfs};
  while (input.remaining_bytes() > 2) {
    const size_t start = input.PickValueInArray(starts);
    const size_t offset = start + input.ConsumeIntegralInRange<size_t>(0, 4095);
    const std::string bytes = input.ConsumeRandomLengthString(16);
    if (offset + bytes.size() <= region.size()) region.replace(offset, bytes.size(), bytes);
  }
  if (whole && (seals & 1) != 0) Seal(region, Content::kExt4);
  if (whole && (seals & 2) != 0) Seal(region, Content::kBtrfs);
  if (whole && (seals & 4) != 0) Seal(region, Content::kXfs);
  const auto found = ParseSuperblock(region);
  if (!found.ok()) {
    Require(absl::IsDataLoss(found.status()), "a refusal is DATA_LOSS");
    return 0;
  }
  if (!found->has_value()) {
    Require(std::all_of(region.begin(), region.end(), [](char c) { return c == 0; }),
            "nothing is found only where nothing is");
    return 0;
  }
  const Superblock superblock = **found;
  Require(IsUuid(superblock.uuid), "a filesystem has a UUID");
  Require(SizeIsExact(region, superblock), "a size is what the fields say, not what is left of it");
  // One flipped bit is always seen.
  const auto [begin, length] = Covered(region, superblock.content);
  const size_t bit = seals * 2654435761U % (length * 8);
  region[begin + bit / 8] ^= static_cast<char>(1 << (bit % 8));
  const auto flipped = ParseSuperblock(region);
  Require(!flipped.ok() || !flipped->has_value() || (*flipped)->content != superblock.content,
          "a superblock with one flipped bit is not accepted");
  return 0;
}
