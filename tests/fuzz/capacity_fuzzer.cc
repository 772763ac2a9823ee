// Sizes and space: a chosen size lies in its range, a refusal is right, nothing overflows, and what
// is offered as the largest volume fits, and no larger one.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>

#include "base/sizes.h"
#include "tests/fuzz/property.h"
#include "volume/capacity.h"
#include "volume/space.h"

namespace holdfast {
namespace {

using Wide = unsigned __int128;

constexpr Content kContents[] = {Content::kBlock, Content::kExt4, Content::kXfs, Content::kBtrfs};

// Requests carry int64.
void CheckChoice(FuzzedDataProvider& input) {
  const CapacityRange range{input.ConsumeIntegralInRange<uint64_t>(0, INT64_MAX),
                            input.ConsumeIntegralInRange<uint64_t>(0, INT64_MAX)};
  const Content content = input.PickValueInArray(kContents);
  const uint64_t least = MinimumCapacityBytes(content);
  const auto chosen = ChooseCapacity(range, content);
  if (chosen.ok()) {
    Require(Satisfies(*chosen, range), "a chosen size lies in its range");
    Require(*chosen % kBlockBytes == 0, "a volume has whole blocks");
    Require(*chosen >= least && *chosen <= kMaximumCapacityBytes, "a size that a volume can have");
    return;
  }
  Require(absl::IsOutOfRange(chosen.status()), "a refusal is OUT_OF_RANGE");
  const uint64_t upper = range.limit_bytes == 0
                             ? kMaximumCapacityBytes
                             : std::min(range.limit_bytes, kMaximumCapacityBytes);
  const Wide lower = std::max<Wide>(
      (Wide{range.required_bytes} + kBlockBytes - 1) / kBlockBytes * kBlockBytes, least);
  Require(lower > upper, "a refused range has no size that a volume can have");
}

void CheckOwed(FuzzedDataProvider& input) {
  const ImageUsage usage{
      .hole_bytes = input.ConsumeIntegralInRange<uint64_t>(0, uint64_t{1} << 62),
      .shared_bytes = input.ConsumeIntegralInRange<uint64_t>(0, uint64_t{1} << 62),
      .extents = 0};
  const auto percent = input.ConsumeIntegralInRange<uint32_t>(0, 100);
  const Wide exact = (Wide{usage.hole_bytes} + usage.shared_bytes) * percent;
  const Wide owed = OwedBytes(usage, percent);
  Require(owed * 100 >= exact, "what is owed is never rounded down");
  Require(owed * 100 < exact + 100, "what is owed is rounded up by less than a byte");
}

void CheckLargest(FuzzedDataProvider& input) {
  const auto filesystem = input.ConsumeBool() ? PoolFilesystem::kXfs : PoolFilesystem::kBtrfs;
  constexpr uint64_t kMost = uint64_t{1} << 56;
  const uint64_t size = input.ConsumeIntegralInRange<uint64_t>(0, kMost);
  const uint64_t provisioned = input.ConsumeIntegralInRange<uint64_t>(0, kMost);
  PoolSpace space{.size_bytes = size,
                  .free_bytes = input.ConsumeIntegralInRange<uint64_t>(0, size),
                  .owed_bytes = input.ConsumeIntegralInRange<uint64_t>(0, kMost),
                  .floor_bytes = FloorBytes(filesystem, size, provisioned)};
  if (filesystem == PoolFilesystem::kBtrfs) {
    space.metadata_free_bytes = input.ConsumeIntegralInRange<uint64_t>(0, size);
  }
  const uint64_t largest = LargestNewVolume(space, filesystem);
  Require(largest <= space.free_bytes, "no volume is larger than what is free");
  const auto fits = [&](uint64_t bytes) {
    PoolSpace with = space;
    with.floor_bytes = FloorBytes(filesystem, size, provisioned + bytes);
    return CheckFits(with, bytes, "pool").ok();
  };
  if (largest > 0) Require(fits(largest), "what is offered fits");
  const uint64_t divisor = filesystem == PoolFilesystem::kXfs ? 100 : 8;
  Require(!fits(largest + 2 * divisor * kBlockBytes), "no more than what is offered fits");
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  holdfast::CheckChoice(input);
  holdfast::CheckOwed(input);
  holdfast::CheckLargest(input);
  return 0;
}
