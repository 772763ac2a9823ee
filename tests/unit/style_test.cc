// The rules of style that a machine can check: names, lengths, a file for each RPC, and that a
// comment which sends the reader to a section of a document sends him to one that is there.
#include <algorithm>
#include <functional>
#include <map>
#include <regex>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/source_tree.h"

namespace holdfast::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr size_t kMaxLines = 400;
constexpr size_t kMaxHandlerLines = 60;
const std::vector<std::string> kAllFolders = {"src", "tests", "bench", "tools"};

bool IsBannedWord(const std::string& word) {
  static const std::set<std::string> banned = {"util",      "utils",   "utility",
                                               "utilities", "common",  "helper",
                                               "helpers",   "manager", "managers"};
  return banned.contains(word);
}

// "PoolManager" and "pool_manager.cc" have the words "pool" and "manager"; "Uncommon" is one word.
std::vector<std::string> Words(const std::string& name) {
  std::vector<std::string> words(1);
  for (size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    const bool new_word = std::isupper(c) && i > 0 && std::islower(name[i - 1]);
    if (!std::isalnum(c) || new_word) words.emplace_back();
    if (std::isalnum(c)) words.back() += static_cast<char>(std::tolower(c));
  }
  return words;
}

bool HasBannedWord(const std::string& name) {
  const std::vector<std::string> words = Words(name);
  return std::any_of(words.begin(), words.end(), IsBannedWord);
}

Violations CheckPathName(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  if (!HasBannedWord(name)) return {};
  return {path + ": name it after what it is or does"};
}

Violations CheckTypeNames(const SourceFile& file) {
  static const std::set<std::string> keywords = {"class",     "struct",  "union", "enum",
                                                 "namespace", "concept", "type",  "package"};
  Violations violations;
  std::string before;
  for (const Identifier& at : Identifiers(CodeOnly(file.text))) {
    if (keywords.contains(before) && HasBannedWord(at.name)) {
      violations.push_back(file.path + ":" + std::to_string(at.line) + ": " + at.name +
                           ": name it after what it is or does");
    }
    before = at.name;
  }
  return violations;
}

Violations CheckLength(const SourceFile& file) {
  const size_t lines = Lines(file.text).size();
  if (lines <= kMaxLines) return {};
  return {file.path + ": " + std::to_string(lines) + " lines, at most " +
          std::to_string(kMaxLines) + "; cut it by what it does"};
}

Violations CheckBannedCalls(const SourceFile& file) {
  Violations violations;
  if (file.text.find("ErrnoToStatus") == std::string::npos) return violations;
  int number = 0;
  for (const std::string& line : Lines(CodeOnly(file.text))) {
    ++number;
    if (line.find("ErrnoToStatus") == std::string::npos || line.find("absl") == std::string::npos) {
      continue;
    }
    violations.push_back(file.path + ":" + std::to_string(number) +
                         ": absl::ErrnoToStatus turns an internal ENOENT into NOT_FOUND");
  }
  return violations;
}

std::string SnakeCase(const std::string& name) {
  std::string snake;
  for (const char c : name) {
    if (std::isupper(static_cast<unsigned char>(c)) && !snake.empty()) snake += '_';
    snake += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return snake;
}

std::set<std::string> RpcsOf(const std::string& proto) {
  static const std::regex rpc(R"(^\s+rpc (\w+)\()");
  std::set<std::string> names;
  for (const std::string& line : Lines(proto)) {
    std::smatch match;
    if (std::regex_search(line, match, rpc)) names.insert(match[1]);
  }
  return names;
}

// RPCs that a service's header declares a handler for.
std::set<std::string> HandledRpcs(const std::string& header) {
  static const std::regex handler(R"(\bHandle\(const csi::v1::(\w+)Request&)");
  const std::string code = CodeOnly(header);
  std::set<std::string> names;
  for (std::sregex_iterator at(code.begin(), code.end(), handler), end; at != end; ++at) {
    names.insert((*at)[1]);
  }
  return names;
}

// Lines of the definition of the handler, its signature included; 0: there is none.
size_t HandlerLines(const std::string& text, const std::string& rpc) {
  const std::vector<std::string> lines = Lines(CodeOnly(text));
  const std::string signature = "::Handle(const csi::v1::" + rpc + "Request&";
  for (size_t first = 0; first < lines.size(); ++first) {
    if (lines[first].find(signature) == std::string::npos) continue;
    for (size_t last = first; last < lines.size(); ++last) {
      if (lines[last] == "}") return last - first + 1;
    }
  }
  return 0;
}

// `folder` is one of src/, `header` its service's, `files` the sources by path.
Violations CheckRpcFiles(const std::string& folder, const std::string& header,
                         const std::set<std::string>& rpcs,
                         const std::map<std::string, std::string>& files) {
  Violations violations;
  for (const std::string& rpc : HandledRpcs(header)) {
    const std::string path = "src/" + folder + "/" + SnakeCase(rpc) + ".cc";
    if (!rpcs.contains(rpc)) {
      violations.push_back(folder + ": handles " + rpc + ", which csi.proto does not have");
    } else if (!files.contains(path)) {
      violations.push_back(rpc + ": expected in " + path + ", found no such file");
    } else if (HandlerLines(files.at(path), rpc) == 0) {
      violations.push_back(path + ": does not define the handler of " + rpc);
    }
  }
  return violations;
}

Violations CheckHandlerLength(const SourceFile& file, const std::string& rpc) {
  const size_t lines = HandlerLines(file.text, rpc);
  if (lines >= 1 && lines <= kMaxHandlerLines) return {};
  return {file.path + ": the handler of " + rpc + " has " + std::to_string(lines) +
          " lines, expected 1 to " + std::to_string(kMaxHandlerLines)};
}

// A comment may send the reader to words in quotes behind a document's name: they are in it.
Violations CheckNamedSections(const SourceFile& file,
                              const std::function<std::string(const std::string&)>& read) {
  static const std::regex reference(R"re((docs/[\w/-]+\.md), "([^"\n]+)")re");
  Violations violations;
  for (std::sregex_iterator at(file.text.begin(), file.text.end(), reference), end; at != end;
       ++at) {
    if (read(at->str(1)).find(at->str(2)) != std::string::npos) continue;
    violations.push_back(file.path + ": " + at->str() + ": there is no such section");
  }
  return violations;
}

template <typename Item, typename Check>
Violations OverAll(const std::vector<Item>& items, const Check& check) {
  EXPECT_GT(items.size(), 50u) << "found too few files to be the tree";
  Violations all;
  for (const Item& item : items) {
    for (std::string& violation : check(item)) all.push_back(std::move(violation));
  }
  return all;
}

TEST(Style, NoFileOrFolderHasABannedName) {
  const Violations violations = OverAll(ListPaths(kAllFolders), CheckPathName);
  EXPECT_THAT(violations, IsEmpty()) << Joined(violations);
}

TEST(Style, NoTypeOrNamespaceHasABannedName) {
  const Violations violations = OverAll(ReadSources(kAllFolders), CheckTypeNames);
  EXPECT_THAT(violations, IsEmpty()) << Joined(violations);
}

TEST(Style, NoSourceFileIsTooLong) {
  const Violations violations = OverAll(ReadSources(kAllFolders), CheckLength);
  EXPECT_THAT(violations, IsEmpty()) << Joined(violations);
}

TEST(Style, EverySectionThatACommentNamesIsThere) {
  const auto check = [](const SourceFile& file) { return CheckNamedSections(file, ReadSource); };
  const Violations violations = OverAll(ReadSources(kAllFolders), check);
  EXPECT_THAT(violations, IsEmpty()) << Joined(violations);
}

TEST(Style, NobodyLetsAbseilGuessACodeFromErrno) {
  const Violations violations = OverAll(ReadSources(kAllFolders), CheckBannedCalls);
  EXPECT_THAT(violations, IsEmpty()) << Joined(violations);
}

TEST(Style, EveryRpcHasAFileNamedAfterIt) {
  const std::set<std::string> rpcs = RpcsOf(ReadSource("proto/csi/csi.proto"));
  std::map<std::string, std::string> files;
  for (const SourceFile& file : ReadSources({"src"})) files[file.path] = file.text;
  size_t handled = 0;
  for (const std::string folder : {"identity", "controller", "node"}) {
    const std::string header = files.at("src/" + folder + "/" + folder + "_service.h");
    handled += HandledRpcs(header).size();
    const Violations violations = CheckRpcFiles(folder, header, rpcs, files);
    EXPECT_THAT(violations, IsEmpty()) << Joined(violations);
  }
  EXPECT_EQ(handled, 3u + 12u + 8u) << "RPCs were added or lost: say how many there are now";
}

TEST(Style, EveryRpcOfTheAdministratorHasAFileNamedAfterIt) {
  const std::set<std::string> rpcs = RpcsOf(ReadSource("proto/admin/admin.proto"));
  EXPECT_EQ(rpcs.size(), 6u) << "RPCs were added or lost: say how many there are now";
  for (const std::string& rpc : rpcs) {
    const std::string path = "src/admin/" + SnakeCase(rpc) + ".cc";
    EXPECT_THAT(ReadSource(path),
                HasSubstr("AdminService::Handle(const admin::v1::" + rpc + "Request&"))
        << path;
  }
}

TEST(Style, TheTwoLongHandlersStayShort) {
  for (const auto& [path, rpc] : {std::pair{"src/controller/create_volume.cc", "CreateVolume"},
                                  std::pair{"src/node/node_stage_volume.cc", "NodeStageVolume"}}) {
    const Violations violations = CheckHandlerLength({path, ReadSource(path)}, rpc);
    EXPECT_THAT(violations, IsEmpty()) << Joined(violations);
  }
}

// --- Controls: each check finds what it is for
// ----------------------------------------------------

TEST(Style, BannedName_IsFound) {
  for (const char* path : {"src/os/file_util.cc", "src/common", "tests/helpers",
                           "tools/LoopManager.go", "bench/utils.h"}) {
    EXPECT_THAT(CheckPathName(path), SizeIs(1)) << path;
  }
  for (const char* path : {"src/os/uncommon.cc", "src/utilization.h", "tests/unit/ids_test.cc"}) {
    EXPECT_THAT(CheckPathName(path), IsEmpty()) << path;
  }
}

TEST(Style, BannedTypeName_IsFound) {
  for (const char* text : {"class LoopManager {", "struct MountHelper;", "namespace util {",
                           "enum class CommonKind {", "type poolManager struct {"}) {
    EXPECT_THAT(CheckTypeNames({"src/a.cc", text}), SizeIs(1)) << text;
  }
  for (const char* text : {"// class LoopManager", "struct Pool {", "Log(\"struct Helper\");"}) {
    EXPECT_THAT(CheckTypeNames({"src/a.cc", text}), IsEmpty()) << text;
  }
}

TEST(Style, FileOfOneLineTooMany_IsFound) {
  std::string text;
  for (size_t i = 0; i < kMaxLines; ++i) text += "x\n";
  EXPECT_THAT(CheckLength({"src/a.cc", text}), IsEmpty());
  EXPECT_THAT(CheckLength({"src/a.cc", text + "x\n"}), SizeIs(1));
}

TEST(Style, SectionThatIsNotThere_IsFound) {
  const auto read = [](const std::string& path) {
    return path == "docs/a.md" ? std::string("# Pools\n## The floor\n") : std::string();
  };
  const std::string a = "docs/a.md";  // not to be found in this file
  EXPECT_THAT(CheckNamedSections({"src/a.cc", "// (" + a + ", \"The floor\")"}, read), IsEmpty());
  EXPECT_THAT(CheckNamedSections({"src/a.cc", "// " + a + ", \"The roof\"."}, read), SizeIs(1));
}

TEST(Style, GuessedCode_IsFound) {
  const std::string call =
      "return absl::Errno"
      "ToStatus(errno, text);";
  EXPECT_THAT(CheckBannedCalls({"src/os/a.cc", call}), SizeIs(1));
  EXPECT_THAT(CheckBannedCalls({"src/os/a.cc", "// " + call}), IsEmpty());
}

TEST(Style, RpcWithoutItsFile_IsFound) {
  const std::string header = "absl::Status Handle(const csi::v1::NodeStageVolumeRequest& request,";
  const std::string code =
      "absl::Status N::Handle(const csi::v1::NodeStageVolumeRequest& r,\n  Response&) {\n}\n";
  const std::set<std::string> rpcs = RpcsOf("  rpc NodeStageVolume(NodeStageVolumeRequest)\n");
  const std::string path = "src/node/node_stage_volume.cc";
  EXPECT_THAT(CheckRpcFiles("node", header, rpcs, {{path, code}}), IsEmpty());
  EXPECT_THAT(CheckRpcFiles("node", header, rpcs, {{"src/node/stage.cc", code}}), SizeIs(1));
  EXPECT_THAT(CheckRpcFiles("node", header, rpcs, {{path, "// Handle\n"}}), SizeIs(1));
  EXPECT_THAT(CheckRpcFiles("node", header, {}, {{path, code}}), SizeIs(1));
}

TEST(Style, HandlerOfOneLineTooMany_IsFound) {
  const auto handler = [](size_t lines) {
    std::string text = "absl::Status S::Handle(const csi::v1::CreateVolumeRequest& request,\n";
    while (lines-- > 2) text += "  Step();\n";
    return SourceFile{"src/controller/create_volume.cc", text + "}\n"};
  };
  EXPECT_THAT(CheckHandlerLength(handler(kMaxHandlerLines), "CreateVolume"), IsEmpty());
  EXPECT_THAT(CheckHandlerLength(handler(kMaxHandlerLines + 1), "CreateVolume"), SizeIs(1));
  const Violations none =
      CheckHandlerLength({"src/controller/create_volume.cc", ""}, "CreateVolume");
  ASSERT_THAT(none, SizeIs(1));
  EXPECT_THAT(none[0], HasSubstr("has 0 lines"));
}

}  // namespace
}  // namespace holdfast::test
