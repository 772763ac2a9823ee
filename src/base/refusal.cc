#include "base/refusal.h"

#include <fmt/format.h>

namespace holdfast {

std::string Refusal::Sentence() const {
  std::string text = fmt::format("{}: expected {}, found {}; {}", check, expected, found, remedy);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

}  // namespace holdfast
