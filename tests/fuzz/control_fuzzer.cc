// The control: a parser with a planted bug. A fuzzer that does not find it within its time, or a
// runner that does not notice the crash, proves nothing with the other targets' silence.
#include <string_view>

#include "tests/fuzz/property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // Reached a byte at a time, as only coverage can lead there.
  bool planted = false;
  if (text.size() > 3 && text[0] == 'v') {
    if (text[1] == 'o') {
      if (text[2] == 'l') planted = text[3] == '/';
    }
  }
  holdfast::Require(!planted, "the planted bug was reached");
  return 0;
}
