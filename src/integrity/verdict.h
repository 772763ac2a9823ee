// Judging a root directory against its record, at stage and publish. Pure.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "volume/root_attributes.h"
#include "volume/volume.h"

namespace holdfast {

struct RootJudgement {
  enum class Kind {
    kUnchanged,
    kNewBaseline,  // changed during a stage whose end nobody saw: lawful, told once
    kRefused,
  };
  Kind kind = Kind::kUnchanged;
  std::string sentence;  // what changed; for kRefused the whole refusal
};

// Compares what a detached mount shows with what the record says, before anybody sees the mount.
RootJudgement JudgeRoot(const Volume& volume, const RootAttributes& found);

// FAILED_PRECONDITION unless it is the recorded directory at all: no workload can give a root
// another inode, generation or birth time.
absl::Status JudgeSameRoot(const Volume& volume, const RootAttributes& recorded,
                           const RootAttributes& found);

// What one publish did to the root: FAILED_PRECONDITION unless it is the same directory, with the
// same mode, owner and ACLs unless its ctime moved (then a workload or kubelet changed it lawfully
// meanwhile).
absl::Status JudgePublish(const Volume& volume, const RootAttributes& before,
                          const RootAttributes& after);

// An administrator has dealt with a refusal, and the verdict goes. kAsFound: what was found becomes
// the record. kAsRecorded: it was put back, the record stays, and the next stage compares again.
// FAILED_PRECONDITION when nothing was refused, or when what should be the record is not known.
enum class Acknowledged { kAsFound, kAsRecorded };
absl::Status AcknowledgeVerdict(StageRecord& record, Acknowledged as);

}  // namespace holdfast
