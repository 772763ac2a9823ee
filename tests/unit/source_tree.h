// The repository's own sources as a test sees them: what layers_test.cc and style_test.cc judge.
#pragma once

#include <string>
#include <vector>

namespace holdfast::test {

struct SourceFile {
  std::string path;  // from the repository's root: "src/os/host.h"
  std::string text;
};

// One sentence each, "path:line: what is wrong"; empty when all is well.
using Violations = std::vector<std::string>;

// All .cc, .h and .go files below these folders of the repository, in order of their paths.
std::vector<SourceFile> ReadSources(const std::vector<std::string>& folders);

// Every file and folder below these folders, whatever it is, as paths from the root.
std::vector<std::string> ListPaths(const std::vector<std::string>& folders);

std::string ReadSource(const std::string& path);

std::vector<std::string> Lines(const std::string& text);

// The same lines with comments and the insides of literals blanked, so that prose is not code.
std::string CodeOnly(const std::string& text);

struct Identifier {
  std::string name;
  int line = 1;
  size_t begin = 0;  // where it stands in the code
  size_t end = 0;
};

std::vector<Identifier> Identifiers(const std::string& code);

std::string Joined(const Violations& violations);

}  // namespace holdfast::test
