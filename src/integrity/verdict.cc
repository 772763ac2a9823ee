#include "integrity/verdict.h"

#include <fmt/format.h>

#include "base/refusal.h"

namespace holdfast {
namespace {

std::string Remedy(const Volume& volume) {
  return fmt::format(
      "find out who changed it; if it is intended, run 'holdfastctl volume acknowledge {}', and "
      "once "
      "it is put back, the same with --as-recorded",
      volume.id);
}

}  // namespace

RootJudgement JudgeRoot(const Volume& volume, const RootAttributes& found) {
  const std::string check = "root directory of volume " + volume.id;
  const StageRecord& record = volume.stage;
  if (!record.root) {
    return {RootJudgement::Kind::kRefused,
            Refusal{check, "a recorded identity",
                    fmt::format("none recorded (the volume shows mode {:04o}, owner {}:{})",
                                found.mode, found.owner, found.group),
                    Remedy(volume)}
                .Sentence()};
  }
  const RootDifference difference = DescribeDifference(*record.root, found);
  if (difference.expected.empty()) return {};
  const Refusal refusal{check, difference.expected, difference.found, Remedy(volume)};
  if (record.last_end == LastEnd::kStaged && MayBeLawful(*record.root, found)) {
    return {RootJudgement::Kind::kNewBaseline,
            fmt::format("{}: was {}, is {}; changed since it was staged, and nobody saw how that "
                        "ended; recorded anew",
                        check, difference.expected, difference.found)};
  }
  return {RootJudgement::Kind::kRefused, refusal.Sentence()};
}

absl::Status JudgeSameRoot(const Volume& volume, const RootAttributes& recorded,
                           const RootAttributes& found) {
  if (SameDirectory(recorded, found)) return absl::OkStatus();
  const RootDifference difference = DescribeDifference(recorded, found);
  return absl::FailedPreconditionError(
      Refusal{"root directory of volume " + volume.id, difference.expected, difference.found,
              "nothing was published; look for another filesystem mounted at the staging path"}
          .Sentence());
}

absl::Status JudgePublish(const Volume& volume, const RootAttributes& before,
                          const RootAttributes& after) {
  const RootDifference difference = DescribeDifference(before, after);
  if (difference.expected.empty()) return absl::OkStatus();
  if (MayBeLawful(before, after)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Refusal{"root directory of volume " + volume.id + " around its publish", difference.expected,
              difference.found, "nothing was published; look for another mount at the target"}
          .Sentence());
}

absl::Status AcknowledgeVerdict(StageRecord& record, Acknowledged as) {
  if (!record.verdict) {
    return absl::FailedPreconditionError(
        "acknowledge: expected a volume that was refused, found none refused; nothing to do");
  }
  if (as == Acknowledged::kAsRecorded) {
    if (!record.root) {
      return absl::FailedPreconditionError(
          "acknowledge: expected a recorded root directory to compare with, found none; "
          "acknowledge "
          "what was found, without --as-recorded");
    }
    record.verdict.reset();
    return absl::OkStatus();
  }
  if (!record.verdict->found) {
    return absl::FailedPreconditionError(
        "acknowledge: expected a root directory that could be read, found none; restore a "
        "snapshot instead");
  }
  record.root = record.verdict->found;
  record.last_end = LastEnd::kClean;
  record.terms.reset();
  record.verdict.reset();
  return absl::OkStatus();
}

}  // namespace holdfast
