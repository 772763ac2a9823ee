// One thing that is not as it should be, as the doctor tells it.
#pragma once

#include <string>

namespace holdfast {

struct Finding {
  // Stable words, for scripts: docs/operations.md has the list.
  std::string kind;
  std::string pool;    // its name; its path when it is refused; empty: of the node
  std::string object;  // what it is about
  std::string expected;
  std::string found;
  std::string fix;       // what is done about it, or what an administrator can do
  bool offered = false;  // the doctor itself does it, when it is asked to
  bool done = false;     // it did
  std::string failure;   // why it could not
};

}  // namespace holdfast
