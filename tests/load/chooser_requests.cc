// What the calls ask for.
#include <algorithm>

#include "tests/load/chooser.h"

namespace holdfast::load {
namespace {

using AccessMode = csi::v1::VolumeCapability::AccessMode;

constexpr uint64_t kMiB = 1 << 20;
constexpr Mode kModes[] = {AccessMode::SINGLE_NODE_WRITER, AccessMode::SINGLE_NODE_MULTI_WRITER,
                           AccessMode::SINGLE_NODE_SINGLE_WRITER,
                           AccessMode::SINGLE_NODE_READER_ONLY, AccessMode::MULTI_NODE_READER_ONLY};

}  // namespace

Content Chooser::PickContent() {
  const uint64_t dice = Below(100);
  if (dice < 40) return Content::kExt4;
  if (dice < 70) return Content::kBlock;
  return dice < 86 ? Content::kXfs : Content::kBtrfs;
}

Terms Chooser::PickTerms(Content content) {
  // Writers more often than readers.
  Terms terms{.mode = kModes[Chance(75) ? Below(3) : Below(5)], .flag = ""};
  if (content != Content::kBlock && Chance(15)) terms.flag = Chance(70) ? "noatime" : "ro";
  return terms;
}

Call Chooser::Blank(Method method, int slot) {
  Call call;
  call.method = method;
  call.volume = slot;
  call.thick = Chance(60);
  return call;
}

Call Chooser::Fitting(Method method, int slot) {
  Call call = Blank(method, slot);
  const Ledger::View view = ledger_.Look({false, slot});
  const Content content = view.volume ? view.volume->content : PickContent();
  call.content = content;
  // "A filesystem, any" is as good.
  if (content != Content::kBlock && Chance(15)) call.content.reset();
  call.terms = PickTerms(content);
  call.required_bytes = view.volume ? view.volume->capacity_bytes : 16 * kMiB;
  if (!view.volume) return call;
  // Data is read and written by what the volume is, and that must be known.
  if (method == Method::kWriteTag || method == Method::kReadTag) call.content = content;
  return call;
}

Call Chooser::CreateEmpty(int slot) {
  Call call = Blank(Method::kCreateVolume, slot);
  const Content content = PickContent();
  call.content = content;
  uint64_t least = 0, spread = 0;
  switch (content) {
    case Content::kBlock:
      least = 1 * kMiB, spread = 24 * kMiB;
      break;
    case Content::kExt4:
      least = 16 * kMiB, spread = 32 * kMiB;
      if (Chance(15)) call.content.reset();
      break;
    case Content::kXfs:
      least = 300 * kMiB, spread = 16 * kMiB;
      break;
    case Content::kBtrfs:
      least = 256 * kMiB, spread = 24 * kMiB;
      break;
  }
  call.required_bytes = least + Below(spread);
  if (Chance(70)) call.required_bytes = call.required_bytes / 4096 * 4096;
  if (Chance(10)) call.limit_bytes = call.required_bytes;  // no whole block may fit in between
  if (Below(400) == 0) call.required_bytes = too_large_bytes_;
  return call;
}

Call Chooser::Copy(Call call, const std::optional<Content>& content, uint64_t source_bytes) {
  call.content = content;
  if (Chance(5)) call.content = PickContent();
  if (Chance(10)) call.content.reset();
  const uint64_t dice = Below(100);
  if (dice < 30) call.required_bytes = source_bytes;
  if (dice >= 30 && dice < 50) call.required_bytes = source_bytes + Below(8 * kMiB);
  if (dice >= 50 && dice < 55) call.required_bytes = source_bytes / 2 + 1;
  call.required_bytes = std::min(call.required_bytes, kLargestVolumeBytes);
  call.other_pool = Chance(3);
  return call;
}

Call Chooser::CreateClone(int slot) {
  Call call = Blank(Method::kCreateVolume, slot);
  Ledger::View view;
  for (int look = 0; look < 8 && !view.volume; ++look) {
    call.source_volume = PickVolumeOf(PoolOfSlot(slot));
    view = ledger_.Look({false, call.source_volume});
  }
  if (Chance(3)) call.source_volume = slot;  // which there is not, as a rule
  const Content content = view.volume ? view.volume->content : PickContent();
  return Copy(call, content, view.volume ? view.volume->capacity_bytes : 16 * kMiB);
}

Call Chooser::CreateRestore(int slot) {
  Call call = Blank(Method::kCreateVolume, slot);
  call.source_snapshot = PickSnapshot(PoolOfSlot(slot));
  const Ledger::View view = ledger_.Look({true, call.source_snapshot});
  const Content content = view.snapshot ? view.snapshot->content : PickContent();
  return Copy(call, content, view.snapshot ? view.snapshot->size_bytes : 16 * kMiB);
}

// The same again, or the same name for something else.
Call Chooser::CreateAgain(int slot, const VolumeState& volume) {
  Call call = Fitting(Method::kCreateVolume, slot);
  call.thick = volume.thick;
  call.source_volume = volume.source_volume;
  call.source_snapshot = volume.source_snapshot;
  switch (Below(8)) {
    case 0:
      call.required_bytes += 1;
      break;
    case 1:
      call.thick = !call.thick;
      break;
    case 2:
      call.content = PickContent();
      break;
    case 3:
      call.source_snapshot = kNone;
      call.source_volume = PickVolumeOf(PoolOfSlot(slot));
      break;
    case 4:
      call.limit_bytes = call.required_bytes;
      break;
    default:
      break;
  }
  return call;
}

Call Chooser::Expand(int slot, const VolumeState& volume) {
  Call call = Fitting(Method::kExpandVolume, slot);
  const uint64_t dice = Below(100);
  if (dice < 70) call.required_bytes += Below(4 * kMiB);
  if (dice >= 90 && dice < 95) call.limit_bytes = volume.capacity_bytes - 4096;
  if (dice >= 95 && dice < 99) call.content = PickContent();
  call.required_bytes = std::min(call.required_bytes, kLargestVolumeBytes);
  if (dice == 99 && Chance(40)) call.required_bytes = too_large_bytes_;
  return call;
}

Call Chooser::Snapshot(int slot) {
  Call call = Blank(Method::kCreateSnapshot, slot);
  // A free name when there is one.
  for (int look = 0; look < 6; ++look) {
    do call.snapshot = static_cast<int>(Below(kSnapshotSlots));
    while (PoolOfSlot(call.snapshot) != PoolOfSlot(slot));
    if (!ledger_.Look({true, call.snapshot}).snapshot) break;
  }
  return call;
}

Call Chooser::Publish(int slot, const VolumeState& volume) {
  Call call = Fitting(Method::kPublish, slot);
  if (Chance(85)) call.terms.mode = volume.staged->mode;
  call.terms.flag = "";
  if (volume.content != Content::kBlock && Chance(20))
    call.terms.flag = Chance(50) ? "ro" : "noatime";
  call.read_only = volume.staged->read_only() ? Chance(90) : Chance(10);
  call.pod = static_cast<int>(Below(kPods));
  return call;
}

}  // namespace holdfast::load
