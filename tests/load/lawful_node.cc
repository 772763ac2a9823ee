#include "tests/load/lawful_node.h"

namespace holdfast::load {
namespace {

using Code = absl::StatusCode;

Progress Stage(const Call& call, const Answer& answer, VolumeState& volume) {
  const bool fits = WantsContent(call, volume.content);
  if (volume.staged) {
    const bool same = fits && *volume.staged == call.terms;
    return Expect(same ? Code::kOk : Code::kAlreadyExists, answer);
  }
  if (!fits) return Expect(Code::kInvalidArgument, answer);
  volume.staged = call.terms;
  volume.grown = true;
  volume.device_bytes = volume.capacity_bytes;
  return Expect(Code::kOk, answer);
}

Progress Unstage(const Answer& answer, VolumeState& volume) {
  if (!volume.targets.empty()) return Expect(Code::kFailedPrecondition, answer);
  volume.staged.reset();
  return Expect(Code::kOk, answer);
}

Progress Publish(const Call& call, const Answer& answer, VolumeState& volume) {
  if (!volume.staged) return Expect(Code::kFailedPrecondition, answer);
  const bool fits = WantsContent(call, volume.content);
  const bool read_only = call.read_only || call.terms.read_only();
  // What a publish does not name stays as staged.
  const Target shown{.read_only = read_only,
                     .no_atime = call.terms.no_atime() || volume.staged->no_atime()};
  const auto target = volume.targets.find(call.pod);
  if (target != volume.targets.end()) {
    const bool same = fits && target->second == shown;
    return Expect(same ? Code::kOk : Code::kAlreadyExists, answer);
  }
  if (!fits) return Expect(Code::kInvalidArgument, answer);
  // What was staged for one pod does not get the targets of several.
  if (AllowsTwoTargets(call.terms.mode) && !AllowsTwoTargets(volume.staged->mode)) {
    return Expect(Code::kFailedPrecondition, answer);
  }
  if (volume.staged->read_only() && !read_only) return Expect(Code::kFailedPrecondition, answer);
  // A read-only bind of a device node does not make the device read-only.
  if (volume.content == Content::kBlock && read_only && !volume.staged->read_only()) {
    return Expect(Code::kFailedPrecondition, answer);
  }
  if (!volume.targets.empty() && !AllowsTwoTargets(call.terms.mode)) {
    return Expect(Code::kFailedPrecondition, answer);
  }
  volume.targets[call.pod] = shown;
  return Expect(Code::kOk, answer);
}

bool IsMountedAt(const VolumeState& volume, int pod) {
  if (pod != kNone) return volume.targets.contains(pod);
  return volume.staged && volume.content != Content::kBlock;
}

Progress Stats(const Call& call, const Answer& answer, const VolumeState& volume) {
  if (!IsMountedAt(volume, call.pod)) return Expect(Code::kNotFound, answer);
  if (answer.code != Code::kOk) return Progress::kImpossible;
  const uint64_t total = answer.total_bytes;
  const bool lawful =
      volume.content == Content::kBlock
          ? total == volume.device_bytes
          : total <= volume.capacity_bytes && (!volume.grown || total >= volume.capacity_bytes / 4);
  return lawful ? Progress::kDone : Progress::kImpossible;
}

Progress NodeExpand(const Rules& rules, const Call& call, const Answer& answer,
                    VolumeState& volume) {
  if (!IsMountedAt(volume, call.pod)) return Expect(Code::kNotFound, answer);
  if (call.required_bytes > volume.capacity_bytes) return Expect(Code::kOutOfRange, answer);
  volume.device_bytes = volume.capacity_bytes;
  if (!volume.grown) {
    const bool may = volume.content != Content::kExt4 || rules.ext4_grows_mounted;
    if (volume.staged->read_only() || !may) return Expect(Code::kFailedPrecondition, answer);
    volume.grown = true;
  }
  return answer.capacity_bytes == volume.capacity_bytes ? Expect(Code::kOk, answer)
                                                        : Progress::kImpossible;
}

}  // namespace

Progress NodeStep(const Rules& rules, const Call& call, const Answer& answer, World& world) {
  const auto volume = world.volumes.find(call.volume);
  if (volume == world.volumes.end()) {
    // kubelet repeats these until they are OK, and its volume may be gone by then.
    const bool takes_away = call.method == Method::kUnstage || call.method == Method::kUnpublish;
    return Expect(takes_away ? Code::kOk : Code::kNotFound, answer);
  }
  switch (call.method) {
    case Method::kStage:
      return Stage(call, answer, volume->second);
    case Method::kUnstage:
      return Unstage(answer, volume->second);
    case Method::kPublish:
      return Publish(call, answer, volume->second);
    case Method::kUnpublish:
      volume->second.targets.erase(call.pod);
      return Expect(Code::kOk, answer);
    case Method::kStats:
      return Stats(call, answer, volume->second);
    case Method::kNodeExpand:
      return NodeExpand(rules, call, answer, volume->second);
    default:
      return Progress::kImpossible;
  }
}

}  // namespace holdfast::load
