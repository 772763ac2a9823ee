// Which method, by what is known of the volume. What it is asked for: chooser_requests.cc.
#include "tests/load/chooser.h"

#include <algorithm>

namespace holdfast::load {
namespace {

// A few slots that every client comes back to, so that calls meet.
constexpr int kHotSlots = 8;
constexpr uint64_t kHotPercent = 20;

struct Weighted {
  Method method;
  uint64_t weight;
};

template <size_t n>
Method PickWeighted(const Weighted (&choices)[n], uint64_t dice) {
  uint64_t sum = 0;
  for (const Weighted& choice : choices) sum += choice.weight;
  dice %= sum;
  for (const Weighted& choice : choices) {
    if (dice < choice.weight) return choice.method;
    dice -= choice.weight;
  }
  return choices[0].method;
}

}  // namespace

int Chooser::PickVolume() {
  return static_cast<int>(Chance(kHotPercent) ? Below(kHotSlots) : Below(kVolumeSlots));
}

int Chooser::PickVolumeOf(int pool) {
  int slot = 0;
  do slot = PickVolume();
  while (PoolOfSlot(slot) != pool);
  return slot;
}

// One that exists, if a few looks find one.
int Chooser::PickSnapshot(int pool) {
  int slot = 0;
  for (int look = 0; look < 12; ++look) {
    do slot = static_cast<int>(Below(kSnapshotSlots));
    while (PoolOfSlot(slot) != pool);
    if (ledger_.Look({true, slot}).snapshot) return slot;
  }
  return slot;
}

Call Chooser::Next() {
  const uint64_t dice = Below(1000);
  if (dice < 40) {
    Call call;
    call.method = dice < 18   ? Method::kListVolumes
                  : dice < 36 ? Method::kListSnapshots
                              : Method::kGetCapacity;
    return call;
  }
  if (dice < 80) {
    Call call;
    call.snapshot = static_cast<int>(Below(kSnapshotSlots));
    const bool remove = ledger_.Look({true, call.snapshot}).snapshot && Chance(45);
    call.method = remove ? Method::kDeleteSnapshot : Method::kGetSnapshot;
    return call;
  }
  const int slot = PickVolume();
  if (dice < 150) return Noise(slot);
  const Ledger::View view = ledger_.Look({false, slot});
  if (!view.known) return Noise(slot);
  if (!view.volume) return ForAbsent(slot);
  if (!view.volume->staged) return ForPutAway(slot, *view.volume);
  if (view.volume->targets.empty()) return ForStaged(slot, *view.volume);
  return ForPublished(slot, *view.volume);
}

Call Chooser::ForAbsent(int slot) {
  const uint64_t dice = Below(100);
  if (dice < 45) return CreateEmpty(slot);
  if (dice < 68) return CreateRestore(slot);
  if (dice < 90) return CreateClone(slot);
  return Noise(slot);
}

Call Chooser::ForPutAway(int slot, const VolumeState& volume) {
  static constexpr Weighted kChoices[] = {{Method::kStage, 50},
                                          {Method::kCreateSnapshot, 12},
                                          {Method::kExpandVolume, 10},
                                          {Method::kDeleteVolume, 14},
                                          {Method::kGetVolume, 14}};
  const Method method = PickWeighted(kChoices, random_());
  if (method == Method::kExpandVolume) return Expand(slot, volume);
  if (method == Method::kCreateSnapshot) return Snapshot(slot);
  if (method == Method::kGetVolume) return ForAny(slot, volume);
  return Fitting(method, slot);
}

Call Chooser::ForStaged(int slot, const VolumeState& volume) {
  static constexpr Weighted kChoices[] = {
      {Method::kPublish, 50},     {Method::kUnstage, 18}, {Method::kCreateSnapshot, 8},
      {Method::kExpandVolume, 8}, {Method::kStats, 5},    {Method::kNodeExpand, 5},
      {Method::kDeleteVolume, 3}, {Method::kStage, 5},    {Method::kGetVolume, 8}};
  const Method method = PickWeighted(kChoices, random_());
  if (method == Method::kPublish) return Publish(slot, volume);
  if (method == Method::kExpandVolume) return Expand(slot, volume);
  if (method == Method::kCreateSnapshot) return Snapshot(slot);
  if (method == Method::kGetVolume) return ForAny(slot, volume);
  Call call = Fitting(method, slot);
  if (method == Method::kStage && Chance(70)) call.terms = *volume.staged;
  return call;
}

Call Chooser::ForPublished(int slot, const VolumeState& volume) {
  static constexpr Weighted kChoices[] = {
      {Method::kWriteTag, 22},       {Method::kReadTag, 8},  {Method::kUnpublish, 24},
      {Method::kCreateSnapshot, 12}, {Method::kPublish, 8},  {Method::kExpandVolume, 7},
      {Method::kNodeExpand, 8},      {Method::kStats, 6},    {Method::kUnstage, 3},
      {Method::kDeleteVolume, 2},    {Method::kGetVolume, 8}};
  const Method method = PickWeighted(kChoices, random_());
  if (method == Method::kPublish) return Publish(slot, volume);
  if (method == Method::kExpandVolume) return Expand(slot, volume);
  if (method == Method::kCreateSnapshot) return Snapshot(slot);
  if (method == Method::kGetVolume) return ForAny(slot, volume);
  Call call = Fitting(method, slot);
  const auto& [pod, target] = *volume.targets.begin();
  if (method != Method::kStats || Chance(60)) call.pod = pod;
  if (method == Method::kWriteTag) {
    if (target.read_only) call.method = Method::kReadTag;
    call.tag = next_tag_++;
  }
  if (method == Method::kNodeExpand && Chance(10)) call.required_bytes += 4096;
  return call;
}

Call Chooser::ForAny(int slot, const VolumeState& volume) {
  const uint64_t dice = Below(100);
  if (dice < 35) return Fitting(Method::kGetVolume, slot);
  if (dice < 70) return CreateAgain(slot, volume);
  Call call = Fitting(Method::kValidate, slot);
  if (dice < 80) call.content = PickContent();
  return call;
}

// Whatever the state is: most of it comes too early or too late.
Call Chooser::Noise(int slot) {
  static constexpr Weighted kChoices[] = {
      {Method::kGetVolume, 6},    {Method::kStage, 4},          {Method::kUnstage, 4},
      {Method::kPublish, 4},      {Method::kUnpublish, 4},      {Method::kStats, 5},
      {Method::kNodeExpand, 3},   {Method::kExpandVolume, 3},   {Method::kValidate, 3},
      {Method::kDeleteVolume, 4}, {Method::kCreateSnapshot, 3}, {Method::kCreateVolume, 4}};
  const Method method = PickWeighted(kChoices, random_());
  if (method == Method::kCreateSnapshot) return Snapshot(slot);
  if (method == Method::kCreateVolume) return CreateEmpty(slot);
  Call call = Fitting(method, slot);
  if (Chance(70)) call.pod = static_cast<int>(Below(kPods));
  if (method == Method::kPublish && call.pod == kNone) call.pod = 0;
  if (method == Method::kUnpublish && call.pod == kNone) call.pod = 0;
  return call;
}

Call Chooser::Down(int slot) {
  const Ledger::View view = ledger_.Look({false, slot});
  if (!view.known) return Fitting(Method::kGetVolume, slot);
  if (!view.volume) return {.method = Method::kListVolumes};
  if (view.volume->targets.empty()) {
    return Fitting(view.volume->staged ? Method::kUnstage : Method::kDeleteVolume, slot);
  }
  Call call = Fitting(Method::kUnpublish, slot);
  call.pod = view.volume->targets.begin()->first;
  return call;
}

}  // namespace holdfast::load
