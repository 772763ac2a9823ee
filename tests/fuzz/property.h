// What must hold for every input. A property that does not ends the process, as a crash does, and
// libFuzzer keeps the input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast {

void Require(bool holds, std::string_view sentence);

// Whether it may stand in a log, in an event or in a status: one line of printable bytes.
bool IsOneLine(std::string_view text);
// By its own reading of RFC 3629.
bool IsUtf8Text(std::string_view text);

}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
