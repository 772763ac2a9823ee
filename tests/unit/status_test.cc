#include "rpc/status.h"

#include <gtest/gtest.h>

#include <string>

namespace holdfast {
namespace {

TEST(Status, EveryCodeOfAbsl_StaysTheSameNumberAndName) {
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status = ToGrpc(absl::Status(static_cast<absl::StatusCode>(code), "why"));
    EXPECT_EQ(static_cast<int>(status.error_code()), code);
    EXPECT_EQ(status.error_message(), "why");
    EXPECT_TRUE(status.error_details().empty());
  }
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
}

TEST(Status, AnEmptyMessage_BecomesTheNameOfTheCode) {
  EXPECT_EQ(ToGrpc(absl::AbortedError("")).error_message(), "ABORTED");
}

TEST(Status, ALongMessage_IsCutAtACharacter) {
  std::string message;
  while (message.size() < 10000) message += "\u00e4";
  const std::string cut = ToGrpc(absl::InternalError(message)).error_message();
  EXPECT_LE(cut.size(), 4096u);
  EXPECT_GE(cut.size(), 4000u);
  const std::string body = cut.substr(0, cut.size() - 3);
  EXPECT_EQ(cut.substr(body.size()), "...");
  EXPECT_EQ(body, message.substr(0, body.size()));
  EXPECT_EQ(body.size() % 2, 0u) << "the cut went through a character";
}

TEST(Status, DetailsAndControlCharacters_DoNotPass) {
  absl::Status status = absl::InternalError(std::string("a\nb\0c\x7f", 6));
  status.SetPayload("type.googleapis.com/anything", absl::Cord("secret"));
  const grpc::Status seen = ToGrpc(status);
  EXPECT_EQ(seen.error_message(), "a?b?c?");
  EXPECT_TRUE(seen.error_details().empty());
}

}  // namespace
}  // namespace holdfast
