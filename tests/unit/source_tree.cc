#include "tests/unit/source_tree.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = HOLDFAST_SOURCE_DIR;

bool IsSource(const fs::path& path) {
  const std::string extension = path.extension();
  return extension == ".cc" || extension == ".h" || extension == ".go";
}

// Blanks text from `begin` to `end`, keeping its lines.
void Blank(std::string& text, size_t begin, size_t end) {
  for (size_t i = begin; i < std::min(end, text.size()); ++i) {
    if (text[i] != '\n') text[i] = ' ';
  }
}

// Where the literal that opens at `quote` closes.
size_t LiteralEnd(const std::string& text, size_t quote) {
  if (quote > 0 && text[quote] == '"' && text[quote - 1] == 'R') {
    const size_t open = text.find('(', quote);
    const std::string close = ")" + text.substr(quote + 1, open - quote - 1) + "\"";
    const size_t at = text.find(close, open);
    return at == std::string::npos ? text.size() : at + close.size() - 1;
  }
  size_t i = quote + 1;
  while (i < text.size() && text[i] != text[quote] && text[i] != '\n') i += text[i] == '\\' ? 2 : 1;
  return i;
}

bool IsDigitSeparator(const std::string& text, size_t i) {
  return text[i] == '\'' && i > 0 && std::isxdigit(static_cast<unsigned char>(text[i - 1]));
}

}  // namespace

std::vector<std::string> ListPaths(const std::vector<std::string>& folders) {
  std::vector<std::string> paths;
  for (const std::string& folder : folders) {
    if (!fs::exists(kRoot / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      paths.push_back(fs::relative(entry.path(), kRoot));
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<SourceFile> ReadSources(const std::vector<std::string>& folders) {
  std::vector<SourceFile> files;
  for (const std::string& path : ListPaths(folders)) {
    if (IsSource(path)) files.push_back({path, ReadSource(path)});
  }
  return files;
}

std::string ReadSource(const std::string& path) {
  std::ifstream file(kRoot / path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string CodeOnly(const std::string& text) {
  std::string code = text;
  for (size_t i = 0; i < code.size(); ++i) {
    size_t end = i;
    if (code.compare(i, 2, "//") == 0) {
      end = std::min(code.find('\n', i), code.size());
      Blank(code, i, end);
    } else if (code.compare(i, 2, "/*") == 0) {
      end = code.find("*/", i);
      end = end == std::string::npos ? code.size() : end + 2;
      Blank(code, i, end);
    } else if (code[i] == '"' || (code[i] == '\'' && !IsDigitSeparator(code, i))) {
      end = LiteralEnd(code, i);
      Blank(code, i + 1, end);
    }
    i = std::max(i, end);
  }
  return code;
}

std::vector<Identifier> Identifiers(const std::string& code) {
  const auto in_name = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  };
  std::vector<Identifier> all;
  int line = 1;
  for (size_t i = 0; i < code.size();) {
    if (code[i] == '\n') ++line;
    size_t end = i;
    while (end < code.size() && in_name(code[end])) ++end;
    if (end > i) all.push_back({code.substr(i, end - i), line, i, end});
    i = std::max(end, i + 1);
  }
  return all;
}

std::string Joined(const Violations& violations) {
  std::string text;
  for (const std::string& violation : violations) text += violation + "\n";
  return text;
}

}  // namespace holdfast::test
