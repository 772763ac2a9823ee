#include "integrity/verdict.h"

#include <fmt/format.h>

#include "base/refusal.h"

namespace holdfast {
namespace {

std::string Remedy(const Volume& volume) {
  return fmt::format(
      "find out who changed it; if it is intended, run 'holdfastctl volume acknowledge {}'",
      volume.id);
}

bool SameDirectory(const RootAttributes& a, const RootAttributes& b) {
  return a.inode == b.inode && a.generation == b.generation && a.birth_time == b.birth_time;
}

void AddField(RootDifference& difference, std::string_view field, const std::string& expected,
              const std::string& found) {
  if (expected == found) return;
  const std::string_view separator = difference.expected.empty() ? "" : ", ";
  difference.expected += fmt::format("{}{} {}", separator, field, expected);
  difference.found += fmt::format("{}{} {}", separator, field, found);
}

std::string TimeText(const Timestamp& time) {
  return fmt::format("{}.{:09d}", time.seconds, time.nanoseconds);
}

std::string AclText(const std::string& acl) { return acl.empty() ? "none" : acl; }

}  // namespace

RootDifference DescribeDifference(const RootAttributes& expected, const RootAttributes& found) {
  RootDifference difference;
  const auto number = [](uint64_t value) { return std::to_string(value); };
  AddField(difference, "inode", number(expected.inode), number(found.inode));
  AddField(difference, "generation", number(expected.generation), number(found.generation));
  AddField(difference, "birth time", TimeText(expected.birth_time), TimeText(found.birth_time));
  AddField(difference, "mode", fmt::format("{:04o}", expected.mode),
           fmt::format("{:04o}", found.mode));
  AddField(difference, "owner", fmt::format("{}:{}", expected.owner, expected.group),
           fmt::format("{}:{}", found.owner, found.group));
  AddField(difference, "ACL", AclText(expected.access_acl), AclText(found.access_acl));
  AddField(difference, "default ACL", AclText(expected.default_acl), AclText(found.default_acl));
  return difference;
}

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
  // Clocks step, so times are compared for being equal only, never for being later.
  const bool changed_while_mounted = record.last_end == LastEnd::kStaged &&
                                     SameDirectory(*record.root, found) &&
                                     !(record.root->change_time == found.change_time);
  if (changed_while_mounted) {
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
  if (SameDirectory(before, after) && !(before.change_time == after.change_time)) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      Refusal{"root directory of volume " + volume.id + " around its publish", difference.expected,
              difference.found, "nothing was published; look for another mount at the target"}
          .Sentence());
}

absl::Status AcknowledgeVerdict(StageRecord& record) {
  if (!record.verdict) {
    return absl::FailedPreconditionError(
        "acknowledge: expected a volume that was refused, found none refused; nothing to do");
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
