// The part of lawful.h about the Node service; every call of it is one step.
#pragma once

#include "tests/load/lawful.h"

namespace holdfast::load {

Progress NodeStep(const Rules& rules, const Call& call, const Answer& answer, World& world);

}  // namespace holdfast::load
