// A refusal is one line that an administrator can act on: the check, what was expected, what was
// found, and what to do. kubelet shows it to the user as the FailedMount event.
#pragma once

#include <string>

namespace holdfast {

struct Refusal {
  std::string check;     // "root mode of volume hv-…"
  std::string expected;  // "0700"
  std::string found;     // "0755"
  std::string remedy;    // "run 'holdfastctl volume acknowledge hv-…' if this is intended"

  // "<check>: expected <expected>, found <found>; <remedy>". Control characters become '?'.
  std::string Sentence() const;
};

}  // namespace holdfast
