// RFC 9562 version 4 UUIDs as lower-case text, the form in which everything here keeps them.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

// A new random UUID, "8-4-4-4-12" lower-case hex digits.
std::string NewUuid();

// Whether `text` has exactly that form.
bool IsUuid(std::string_view text);

}  // namespace holdfast
