// What a log line looks like: one line, text or JSON, whatever bytes a client sent.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "spdlog/formatter.h"
#include "spdlog/logger.h"
#include "spdlog/sinks/sink.h"

namespace holdfast {

enum class LogFormat { kText, kJson };

// In the order in which they are printed; keys are ours and need no escaping. A number is printed
// without quotes in JSON.
struct LogField {
  std::string key;
  std::string value;
  bool is_number = false;
};
using LogFields = std::vector<LogField>;

// text: 2026-10-04T12:00:00.123Z INFO message key=value key="value with blanks"
// json: {"time":"…","level":"info","message":"…","key":"value"}
// Control characters are escaped in both; JSON replaces bytes that are no UTF-8.
std::unique_ptr<spdlog::formatter> MakeFormatter(LogFormat format);

// Lines to stderr, each in one write. Unlike spdlog's own a line is made before the lock is taken:
// calls do not wait for the making of each other's.
std::shared_ptr<spdlog::sinks::sink> MakeStderrSink();

// Writes one line with fields; the logger's formatter must be MakeFormatter(format).
void LogEvent(spdlog::logger& logger, LogFormat format, spdlog::level::level_enum level,
              std::string_view message, const LogFields& fields);

// `value` with its control characters as \n or \x1b, for one line of text.
std::string EscapeControls(std::string_view value);

}  // namespace holdfast
