#include "rpc/log_lines.h"

#include <chrono>
#include <cstdio>
#include <utility>

#include "fmt/chrono.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace holdfast {
namespace {

// Starts a payload that already is JSON members; EscapeControls keeps it out of everything else.
constexpr char kMembers = '\x1e';

std::string JsonString(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string Timestamp(spdlog::log_clock::time_point time) {
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(spdlog::log_clock::to_time_t(time)),
                     millis % 1000);
}

std::string_view LevelName(spdlog::level::level_enum level) {
  const spdlog::string_view_t name = spdlog::level::to_string_view(level);
  return {name.data(), name.size()};
}

class Formatter final : public spdlog::formatter {
 public:
  explicit Formatter(LogFormat format) : format_(format) {}

  void format(const spdlog::details::log_msg& line, spdlog::memory_buf_t& out) override {
    const std::string_view payload(line.payload.data(), line.payload.size());
    const std::string text =
        format_ == LogFormat::kJson ? Json(line, payload) : Text(line, payload);
    out.append(text.data(), text.data() + text.size());
  }

  std::unique_ptr<spdlog::formatter> clone() const override { return MakeFormatter(format_); }

 private:
  static std::string Text(const spdlog::details::log_msg& line, std::string_view payload) {
    return fmt::format("{} {:7} {}\n", Timestamp(line.time), LevelName(line.level),
                       EscapeControls(payload));
  }

  static std::string Json(const spdlog::details::log_msg& line, std::string_view payload) {
    const std::string members = !payload.empty() && payload.front() == kMembers
                                    ? std::string(payload.substr(1))
                                    : "\"message\":" + JsonString(payload);
    return fmt::format("{{\"time\":\"{}\",\"level\":\"{}\",{}}}\n", Timestamp(line.time),
                       LevelName(line.level), members);
  }

  const LogFormat format_;
};

// stderr has no buffer of its own, and its lock is held for the write alone.
class StderrSink final : public spdlog::sinks::sink {
 public:
  void log(const spdlog::details::log_msg& line) override {
    spdlog::memory_buf_t text;
    formatter_->format(line, text);
    std::fwrite(text.data(), 1, text.size(), stderr);
  }
  void flush() override {}
  void set_pattern(const std::string&) override {}  // lines look as the formatter makes them
  void set_formatter(std::unique_ptr<spdlog::formatter> formatter) override {
    formatter_ = std::move(formatter);
  }

 private:
  std::unique_ptr<spdlog::formatter> formatter_ = MakeFormatter(LogFormat::kText);
};

bool NeedsQuotes(std::string_view value) {
  return value.empty() || value.find_first_of(" \"=\\") != std::string_view::npos;
}

std::string Quoted(std::string_view value) {
  std::string result = "\"";
  for (const char c : value) {
    if (c == '"') result += '\\';
    result += c;
  }
  return result + '"';
}

}  // namespace

std::string EscapeControls(std::string_view value) {
  std::string result;
  result.reserve(value.size());
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      result += "\\n";
    } else if (byte < 0x20 || byte == 0x7F) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  return result;
}

std::unique_ptr<spdlog::formatter> MakeFormatter(LogFormat format) {
  return std::make_unique<Formatter>(format);
}

std::shared_ptr<spdlog::sinks::sink> MakeStderrSink() { return std::make_shared<StderrSink>(); }

void LogEvent(spdlog::logger& logger, LogFormat format, spdlog::level::level_enum level,
              std::string_view message, const LogFields& fields) {
  if (!logger.should_log(level)) return;
  std::string payload;
  if (format == LogFormat::kJson) {
    payload = kMembers + ("\"message\":" + JsonString(message));
    for (const LogField& field : fields) {
      payload += fmt::format(",\"{}\":{}", field.key,
                             field.is_number ? field.value : JsonString(field.value));
    }
  } else {
    payload = message;
    for (const LogField& field : fields) {
      payload += fmt::format(" {}={}", field.key,
                             NeedsQuotes(field.value) ? Quoted(field.value) : field.value);
    }
  }
  logger.log(level, spdlog::string_view_t(payload.data(), payload.size()));
}

}  // namespace holdfast
