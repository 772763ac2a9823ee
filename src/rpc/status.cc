#include "rpc/status.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast {
namespace {

constexpr size_t kMaxMessageBytes = 4096;
constexpr std::string_view kEllipsis = "...";

bool IsUtf8Continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

std::string OneLine(std::string_view message) {
  std::string line(message);
  if (line.size() > kMaxMessageBytes) {
    size_t end = kMaxMessageBytes - kEllipsis.size();
    while (end > 0 && IsUtf8Continuation(line[end])) --end;
    line.resize(end);
    line += kEllipsis;
  }
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return line;
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  std::string message = OneLine({status.message().data(), status.message().size()});
  if (message.empty()) message = absl::StatusCodeToString(status.code());
  return {static_cast<grpc::StatusCode>(status.code()), message};
}

}  // namespace holdfast
