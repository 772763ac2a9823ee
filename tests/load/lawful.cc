// Calls to the controller, and pods. Calls to the node: lawful_node.cc.
#include "tests/load/lawful.h"

#include <algorithm>

#include "tests/load/lawful_node.h"

namespace holdfast::load {
namespace {

using Code = absl::StatusCode;

Progress DoneIf(bool lawful) { return lawful ? Progress::kDone : Progress::kImpossible; }

bool ShowsVolume(const Answer& answer, const VolumeState& volume) {
  return answer.code == Code::kOk && answer.capacity_bytes == volume.capacity_bytes &&
         answer.source_volume == volume.source_volume &&
         answer.source_snapshot == volume.source_snapshot;
}

bool ShowsSnapshot(const Answer& answer, const SnapshotState& snapshot) {
  return answer.code == Code::kOk && answer.capacity_bytes == snapshot.size_bytes &&
         answer.source_volume == snapshot.volume && answer.created_nanos == snapshot.created_nanos;
}

// A name that is taken: the same volume again, or a conflict.
Progress Repeat(const Call& call, const Answer& answer, const VolumeState& volume) {
  const bool same = volume.capacity_bytes >= call.required_bytes &&
                    (call.limit_bytes == 0 || volume.capacity_bytes <= call.limit_bytes) &&
                    WantsContent(call, volume.content) && call.thick == volume.thick &&
                    !call.other_pool && call.source_volume == volume.source_volume &&
                    call.source_snapshot == volume.source_snapshot;
  return same ? DoneIf(ShowsVolume(answer, volume)) : Expect(Code::kAlreadyExists, answer);
}

Progress CreateEmpty(const Rules& rules, const Call& call, const Answer& answer, World& world) {
  VolumeState volume{.content = call.content.value_or(Content::kExt4), .thick = call.thick};
  volume.capacity_bytes = SizeFor(call.required_bytes, volume.content);
  if (call.limit_bytes != 0 && volume.capacity_bytes > call.limit_bytes) {
    return Expect(Code::kOutOfRange, answer);
  }
  if (volume.capacity_bytes >= rules.too_large_bytes) {
    return Expect(Code::kResourceExhausted, answer);
  }
  world.volumes[call.volume] = volume;
  return DoneIf(ShowsVolume(answer, volume));
}

// The cut, when the source is as it must be.
Progress LookAtSource(const Call& call, const Answer& answer, const World& world, Seen& seen) {
  if (call.source_snapshot != kNone) {
    const auto snapshot = world.snapshots.find(call.source_snapshot);
    if (snapshot == world.snapshots.end()) return Expect(Code::kNotFound, answer);
    seen = {snapshot->second.content, snapshot->second.size_bytes, snapshot->second.tag};
  } else {
    const auto volume = world.volumes.find(call.source_volume);
    if (volume == world.volumes.end()) return Expect(Code::kNotFound, answer);
    seen = {volume->second.content, volume->second.capacity_bytes, volume->second.tag};
  }
  if (call.other_pool || !WantsContent(call, seen.content)) {
    return Expect(Code::kInvalidArgument, answer);
  }
  const uint64_t required = call.required_bytes == 0 ? seen.bytes : call.required_bytes;
  if (SizeFor(required, seen.content) < seen.bytes) return Expect(Code::kOutOfRange, answer);
  return answer.code == Code::kOk ? Progress::kMore : Progress::kImpossible;
}

Progress ShowClone(const Call& call, const Answer& answer, const Seen& seen, World& world) {
  if (world.volumes.contains(call.volume)) return Progress::kImpossible;
  const uint64_t required = call.required_bytes == 0 ? seen.bytes : call.required_bytes;
  const VolumeState volume{.content = seen.content,
                           .capacity_bytes = SizeFor(required, seen.content),
                           .thick = call.thick,
                           .source_volume = call.source_volume,
                           .source_snapshot = call.source_snapshot,
                           .tag = seen.tag,
                           .inherited_tag = seen.tag != 0};
  world.volumes[call.volume] = volume;
  return DoneIf(ShowsVolume(answer, volume));
}

Progress CreateVolume(const Rules& rules, const Call& call, const Answer& answer, int step,
                      World& world, Seen& seen) {
  if (step == 1) return ShowClone(call, answer, seen, world);
  const auto existing = world.volumes.find(call.volume);
  if (existing != world.volumes.end()) return Repeat(call, answer, existing->second);
  const bool empty = call.source_volume == kNone && call.source_snapshot == kNone;
  return empty ? CreateEmpty(rules, call, answer, world) : LookAtSource(call, answer, world, seen);
}

Progress DeleteVolume(const Call& call, const Answer& answer, int step, World& world) {
  const auto volume = world.volumes.find(call.volume);
  if (volume == world.volumes.end()) return Expect(Code::kOk, answer);
  // A stage without targets is one that kubelet forgot.
  if (!volume->second.targets.empty()) return Expect(Code::kFailedPrecondition, answer);
  // It is put away first, which who takes no lock can see. Nobody stages it in between.
  if (volume->second.staged && step == 0) {
    volume->second.staged.reset();
    return answer.code == Code::kOk ? Progress::kMore : Progress::kImpossible;
  }
  if (volume->second.staged) return Progress::kImpossible;
  world.volumes.erase(volume);
  return Expect(Code::kOk, answer);
}

Progress ExpandVolume(const Rules& rules, const Call& call, const Answer& answer, int step,
                      World& world) {
  const auto found = world.volumes.find(call.volume);
  if (found == world.volumes.end()) return Expect(Code::kNotFound, answer);
  VolumeState& volume = found->second;
  // The capability is compared before the volume is taken.
  if (step == 0) {
    if (!WantsContent(call, volume.content)) return Expect(Code::kInvalidArgument, answer);
    return answer.code == Code::kInvalidArgument ? Progress::kImpossible : Progress::kMore;
  }
  if (call.limit_bytes != 0 && call.limit_bytes < volume.capacity_bytes) {
    return Expect(Code::kOutOfRange, answer);
  }
  if (call.required_bytes > volume.capacity_bytes) {
    const uint64_t target = SizeFor(call.required_bytes, volume.content);
    // Not RESOURCE_EXHAUSTED: the resizer would retry for ever.
    if (target >= rules.too_large_bytes) return Expect(Code::kOutOfRange, answer);
    volume.capacity_bytes = target;
    volume.grown = volume.content == Content::kBlock;
  }
  return DoneIf(answer.code == Code::kOk && answer.capacity_bytes == volume.capacity_bytes &&
                answer.node_expansion == (volume.content == Content::kBlock || !volume.grown));
}

Progress AskVolume(const Call& call, const Answer& answer, const World& world) {
  const auto volume = world.volumes.find(call.volume);
  if (volume == world.volumes.end()) return Expect(Code::kNotFound, answer);
  if (call.method == Method::kGetVolume) return DoneIf(ShowsVolume(answer, volume->second));
  return DoneIf(answer.code == Code::kOk &&
                answer.confirmed == WantsContent(call, volume->second.content));
}

Progress CreateSnapshot(const Call& call, const Answer& answer, int step, World& world,
                        Seen& seen) {
  const auto existing = world.snapshots.find(call.snapshot);
  if (step == 1) {
    if (existing != world.snapshots.end()) return Progress::kImpossible;
    const SnapshotState snapshot{.volume = call.volume,
                                 .content = seen.content,
                                 .size_bytes = seen.bytes,
                                 .tag = seen.tag,
                                 .created_nanos = answer.created_nanos};
    world.snapshots[call.snapshot] = snapshot;
    return DoneIf(ShowsSnapshot(answer, snapshot));
  }
  if (existing != world.snapshots.end()) {
    if (existing->second.volume != call.volume) return Expect(Code::kAlreadyExists, answer);
    return DoneIf(ShowsSnapshot(answer, existing->second));
  }
  const auto volume = world.volumes.find(call.volume);
  if (volume == world.volumes.end()) return Expect(Code::kNotFound, answer);
  seen = {volume->second.content, volume->second.capacity_bytes, volume->second.tag};
  return answer.code == Code::kOk ? Progress::kMore : Progress::kImpossible;
}

Progress AskSnapshot(const Call& call, const Answer& answer, const World& world) {
  const auto snapshot = world.snapshots.find(call.snapshot);
  if (snapshot == world.snapshots.end()) return Expect(Code::kNotFound, answer);
  return DoneIf(ShowsSnapshot(answer, snapshot->second));
}

Progress UseTag(const Call& call, const Answer& answer, World& world) {
  const auto volume = world.volumes.find(call.volume);
  if (volume == world.volumes.end() || answer.code != Code::kOk) return Progress::kImpossible;
  if (call.method == Method::kReadTag) return DoneIf(answer.tag == volume->second.tag);
  volume->second.tag = call.tag;
  volume->second.inherited_tag = false;
  return Progress::kDone;
}

}  // namespace

uint64_t SizeFor(uint64_t required_bytes, Content content) {
  constexpr uint64_t kMiB = 1 << 20, kBlock = 4096;
  const std::map<Content, uint64_t> least = {{Content::kBlock, 1 * kMiB},
                                             {Content::kExt4, 16 * kMiB},
                                             {Content::kXfs, 300 * kMiB},
                                             {Content::kBtrfs, 256 * kMiB}};
  return std::max((required_bytes + kBlock - 1) / kBlock * kBlock, least.at(content));
}

Progress Step(const Rules& rules, const Call& call, const Answer& answer, int step, World& world,
              Seen& seen) {
  if (!answer.wrong.empty()) return Progress::kImpossible;
  switch (call.method) {
    case Method::kCreateVolume:
      return CreateVolume(rules, call, answer, step, world, seen);
    case Method::kDeleteVolume:
      return DeleteVolume(call, answer, step, world);
    case Method::kExpandVolume:
      return ExpandVolume(rules, call, answer, step, world);
    case Method::kValidate:
    case Method::kGetVolume:
      return AskVolume(call, answer, world);
    case Method::kCreateSnapshot:
      return CreateSnapshot(call, answer, step, world, seen);
    case Method::kDeleteSnapshot:
      world.snapshots.erase(call.snapshot);
      return Expect(Code::kOk, answer);
    case Method::kGetSnapshot:
      return AskSnapshot(call, answer, world);
    case Method::kWriteTag:
    case Method::kReadTag:
      return UseTag(call, answer, world);
    default:
      return NodeStep(rules, call, answer, world);
  }
}

std::vector<ObjectKey> ObjectsOf(const Call& call) {
  std::vector<ObjectKey> objects;
  if (call.volume != kNone) objects.push_back({false, call.volume});
  if (call.snapshot != kNone) objects.push_back({true, call.snapshot});
  if (call.source_volume != kNone && call.source_volume != call.volume) {
    objects.push_back({false, call.source_volume});
  }
  if (call.source_snapshot != kNone) objects.push_back({true, call.source_snapshot});
  return objects;
}

std::vector<ObjectKey> LocksOf(const Call& call) {
  switch (call.method) {
    case Method::kValidate:
    case Method::kGetVolume:
    case Method::kGetSnapshot:
    case Method::kStats:
    case Method::kWriteTag:
    case Method::kReadTag:
      return {};
    default:
      break;
  }
  std::vector<ObjectKey> locks = ObjectsOf(call);
  // What a restore reads is open: the snapshot may be deleted meanwhile.
  std::erase_if(locks, [&](const ObjectKey& key) {
    return key.snapshot && key.slot == call.source_snapshot;
  });
  return locks;
}

bool Changes(Method method) {
  switch (method) {
    case Method::kCreateVolume:
    case Method::kDeleteVolume:
    case Method::kExpandVolume:
    case Method::kCreateSnapshot:
    case Method::kDeleteSnapshot:
    case Method::kStage:
    case Method::kUnstage:
    case Method::kPublish:
    case Method::kUnpublish:
    case Method::kNodeExpand:
    case Method::kWriteTag:
      return true;
    default:
      return false;
  }
}

}  // namespace holdfast::load
