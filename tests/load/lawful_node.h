// The part of lawful.h about the Node service; every call of it is one step.
#pragma once

#include "tests/load/lawful.h"

namespace holdfast::load {

// What both parts ask.
inline Progress Expect(absl::StatusCode code, const Answer& answer) {
  return answer.code == code ? Progress::kDone : Progress::kImpossible;
}
inline bool WantsContent(const Call& call, Content content) {
  return call.content ? *call.content == content : content != Content::kBlock;
}

Progress NodeStep(const Rules& rules, const Call& call, const Answer& answer, World& world);

}  // namespace holdfast::load
