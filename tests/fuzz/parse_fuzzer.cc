// The edge: names, paths, maps, pages, capabilities as bytes off the wire, and what may be logged.
#include <fuzzer/FuzzedDataProvider.h>

#include <string>

#include "proto/csi/csi.pb.h"
#include "rpc/parse.h"
#include "rpc/redact.h"
#include "tests/fuzz/property.h"

namespace holdfast {
namespace {

template <typename T>
void CheckRefusal(const absl::StatusOr<T>& answer, absl::StatusCode code) {
  if (answer.ok()) return;
  const std::string message(answer.status().message());
  Require(answer.status().code() == code, "a refusal has the code that the header says");
  Require(message.starts_with("field: ") || !message.empty(), "a refusal says which field and why");
  Require(IsOneLine(message) && IsUtf8Text(message), "a refusal is one line of UTF-8");
  Require(message.size() < 1024, "what was sent is not sent back");
}

void CheckName(const std::string& text) {
  const auto name = ParseName("field", text);
  CheckRefusal(name, absl::StatusCode::kInvalidArgument);
  bool control = !IsOneLine(text);
  for (size_t i = 0; i + 1 < text.size(); ++i) {  // C1
    control = control || (text[i] == '\xc2' && static_cast<unsigned char>(text[i + 1]) < 0xa0);
  }
  const bool lawful = !text.empty() && text.size() <= 128 && IsUtf8Text(text) && !control;
  Require(name.ok() == lawful, "a name is 1 to 128 bytes of UTF-8 without control characters");
  const std::string quoted = Quoted(text);
  Require(IsOneLine(quoted) && IsUtf8Text(quoted) && quoted.size() <= kQuotedBytes * 4 + 64,
          "what is quoted is short, printable UTF-8");
}

void CheckPath(const std::string& text) {
  const auto path = RequirePath("field", text);
  CheckRefusal(path, absl::StatusCode::kInvalidArgument);
  const bool lawful = !text.empty() && text[0] == '/' && text.size() <= 4095 &&
                      text.find('\0') == std::string::npos;
  Require(path.ok() == lawful, "a path is absolute and has no NUL");
}

void CheckPage(int32_t entries, const std::string& token) {
  const auto page = ParsePage(entries, token, ObjectKind::kVolume);
  if (entries < 0) {
    CheckRefusal(page, absl::StatusCode::kInvalidArgument);
    Require(!page.ok(), "no page has less than no entries");
    return;
  }
  CheckRefusal(page, absl::StatusCode::kAborted);
  if (!page.ok()) return;
  Require(page->limit >= 1 && page->limit <= kMaxPageEntries, "a page has a lawful length");
  Require(token.empty() || MakePageToken(page->after) == token, "a token is one that was made");
}

void CheckWire(const std::string& bytes) {
  csi::v1::VolumeCapability capability;
  if (capability.ParseFromString(bytes)) {
    const auto parsed = ParseCapability("field", capability);
    CheckRefusal(parsed, absl::StatusCode::kInvalidArgument);
    if (parsed.ok()) {
      Require(parsed->block() == capability.has_block(), "block is block");
      Require(capability.mount().volume_mount_group().empty(), "nobody's owners are changed");
    }
  }
  csi::v1::CapacityRange range;
  if (range.ParseFromString(bytes)) {
    const auto parsed = ParseCapacityRange("field", range);
    Require(parsed.ok() == (range.required_bytes() >= 0 && range.limit_bytes() >= 0),
            "sizes are not negative");
  }
}

// Secrets of any message stay out of the log, whatever else is in it.
void CheckSecrets(const std::string& bytes) {
  csi::v1::NodePublishVolumeRequest request;
  if (!request.ParseFromString(bytes)) return;
  // One that the request has nowhere already: the fuzzer learns whatever it is compared with.
  std::string secret = "s3cr3t-0123456789";
  while (bytes.find(secret) != std::string::npos) secret += '!';
  (*request.mutable_secrets())["key"] = secret;
  (*request.mutable_volume_context())["csi.storage.k8s.io/serviceAccount.tokens"] = secret;
  const std::string line = LoggableText(request, 4096);
  Require(line.find(secret) == std::string::npos, "no secret is logged");
  Require(line.size() <= 4096 && IsOneLine(line), "a request is logged on one short line");
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  if (size < 5) return 0;
  FuzzedDataProvider input(data, size);
  const auto entries = input.ConsumeIntegral<int32_t>();
  const std::string rest = input.ConsumeRemainingBytesAsString();
  CheckName(rest);
  CheckPath(rest);
  CheckPage(entries, rest);
  CheckWire(rest);
  CheckSecrets(rest);
  return 0;
}
