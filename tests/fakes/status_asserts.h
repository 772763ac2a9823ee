// Assertions on absl::Status that show its message (Debian's Abseil has no matchers).
#pragma once

#include <utility>

#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"

namespace holdfast {

inline absl::Status StatusOf(absl::Status status) { return status; }
template <typename T>
absl::Status StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

inline ::testing::AssertionResult HasCode(const absl::Status& status, absl::StatusCode code) {
  if (status.code() == code) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "expected " << absl::StatusCodeToString(code) << ", found " << status;
}

}  // namespace holdfast

#define EXPECT_CODE(expression, expected_code)                                                \
  EXPECT_TRUE(                                                                                \
      ::holdfast::HasCode(::holdfast::StatusOf(expression), absl::StatusCode::expected_code)) \
      << #expression
#define ASSERT_CODE(expression, expected_code)                                                \
  ASSERT_TRUE(                                                                                \
      ::holdfast::HasCode(::holdfast::StatusOf(expression), absl::StatusCode::expected_code)) \
      << #expression
#define EXPECT_OK(expression) EXPECT_CODE(expression, kOk)
#define ASSERT_OK(expression) ASSERT_CODE(expression, kOk)
// ASSERT_OK_AND_ASSIGN(const auto file, host.OpenFile(…)): the value, or a fatal failure.
#define ASSERT_OK_AND_ASSIGN(declaration, expression) \
  ASSERT_OK_AND_ASSIGN_INNER(HOLDFAST_CONCAT(asserted_, __LINE__), declaration, expression)
#define ASSERT_OK_AND_ASSIGN_INNER(holder, declaration, expression)                        \
  auto holder = (expression);                                                              \
  ASSERT_TRUE(::holdfast::HasCode(holder.status(), absl::StatusCode::kOk)) << #expression; \
  declaration = std::move(holder).value()
