// Who may include whom, and who may speak to the machine (docs/architecture.md, "Layers").
#include <algorithm>
#include <map>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/source_tree.h"

namespace holdfast::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A folder of src/ and the folders that it may include besides itself.
const std::map<std::string, std::set<std::string>>& Layers() {
  static const std::map<std::string, std::set<std::string>> layers = {
      {"base", {}},
      {"volume", {"base"}},
      {"os", {"base", "volume"}},
      {"catalog", {"base", "volume"}},
      {"engine", {"base", "volume", "os", "catalog"}},
      {"integrity", {"base", "volume", "os", "engine", "catalog"}},
      {"pki", {"base"}},
      {"kubernetes", {"base", "pki"}},
      {"rpc", {"base", "volume", "proto"}},
      {"agent", {"base", "volume", "catalog", "engine", "pki", "rpc", "proto"}},
      {"identity", {"base", "rpc", "proto"}},
      {"registration", {"base", "os", "rpc", "proto"}},
      {"controller", {"base", "volume", "catalog", "engine", "integrity", "rpc", "proto"}},
      {"admin", {"base", "volume", "catalog", "engine", "integrity", "rpc", "proto"}},
      {"node", {"base", "volume", "os", "catalog", "engine", "integrity", "rpc", "proto"}},
  };
  return layers;
}

// Libraries that belong to some folders alone, by the beginning of what is included.
const std::map<std::string, std::set<std::string>>& Libraries() {
  static const std::set<std::string> edge = {"rpc",        "agent", "identity", "registration",
                                             "controller", "node",  "admin"};
  static const std::map<std::string, std::set<std::string>> libraries = {
      {"grpc", edge},
      {"google/protobuf", edge},
      {"prometheus/", {"rpc"}},
      {"Civet", {"rpc"}},
      {"sqlite3", {"catalog"}},
      {"libmount", {"os"}},
      {"openssl/", {"pki", "volume"}},
      {"curl/", {"kubernetes"}},
      {"blkid", {"os"}},
      {"sys/", {"os"}},
      {"linux/", {"os"}},
      {"fcntl.h", {"os"}},
      {"unistd.h", {"os"}},
      {"dirent.h", {"os"}},
      {"spawn.h", {"os"}},
      {"poll.h", {"os"}},
      {"sched.h", {"os"}},
      {"signal.h", {"os"}},
      {"csignal", {"os"}},
      {"filesystem", {"os"}},
      {"fstream", {"os"}},
      {"pwd.h", {"os"}},
      {"grp.h", {"os"}},
      {"netdb.h", {"os"}},
      {"arpa/", {"os"}},
      {"netinet/", {"os"}}};
  return libraries;
}

// "src/engine/image/cut.cc" is of "engine", "src/main.cc" of "".
std::string FolderOf(const std::string& path) {
  const size_t slash = path.find('/', 4);
  return slash == std::string::npos ? "" : path.substr(4, slash - 4);
}

std::string CheckInclude(const std::string& folder, const std::string& included) {
  const std::string first = included.substr(0, included.find('/'));
  if (first != folder && (Layers().contains(first) || first == "proto") &&
      included.find('/') != std::string::npos && !Layers().at(folder).contains(first)) {
    return folder + " may not include " + first;
  }
  for (const auto& [beginning, owners] : Libraries()) {
    if (included.starts_with(beginning) && !owners.contains(folder)) {
      return "<" + included + "> is not for " + folder;
    }
  }
  return "";
}

// What an #include line includes; empty: it is another line.
std::string Included(const std::string& line) {
  if (!line.starts_with("#include")) return "";
  const size_t open = line.find_first_of("<\"");
  const size_t close = open == std::string::npos ? open : line.find_first_of(">\"", open + 1);
  return close == std::string::npos ? "" : line.substr(open + 1, close - open - 1);
}

Violations CheckIncludes(const SourceFile& file) {
  Violations violations;
  const std::string folder = FolderOf(file.path);
  if (folder.empty()) return violations;  // main.cc and what it wires together: everything
  if (!Layers().contains(folder)) return {file.path + ": folder " + folder + " is not in a layer"};
  int number = 0;
  for (const std::string& line : Lines(file.text)) {
    ++number;
    const std::string included = Included(line);
    const std::string wrong = included.empty() ? "" : CheckInclude(folder, included);
    if (!wrong.empty()) {
      violations.push_back(file.path + ":" + std::to_string(number) + ": " + wrong);
    }
  }
  return violations;
}

// Calls that reach the kernel or start a program. A member (x.open(…), T::open(…)) is none of them.
const std::set<std::string>& SystemCalls() {
  static const std::set<std::string> calls = {
      "open",      "openat",       "openat2",        "creat",
      "close",     "read",         "write",          "pread",
      "pwrite",    "readv",        "writev",         "lseek",
      "ioctl",     "fcntl",        "flock",          "mount",
      "umount",    "umount2",      "fsopen",         "fsconfig",
      "fsmount",   "move_mount",   "open_tree",      "fork",
      "vfork",     "clone",        "unshare",        "setns",
      "system",    "popen",        "syscall",        "posix_spawn",
      "stat",      "lstat",        "fstat",          "fstatat",
      "statx",     "statfs",       "fstatfs",        "statvfs",
      "fstatvfs",  "mkdir",        "mkdirat",        "rmdir",
      "unlink",    "unlinkat",     "rename",         "renameat",
      "renameat2", "link",         "linkat",         "symlink",
      "symlinkat", "readlink",     "readlinkat",     "chmod",
      "fchmod",    "fchmodat",     "chown",          "fchown",
      "fchownat",  "lchown",       "truncate",       "ftruncate",
      "fallocate", "fsync",        "fdatasync",      "sync",
      "syncfs",    "utimensat",    "setxattr",       "fsetxattr",
      "getxattr",  "fgetxattr",    "listxattr",      "flistxattr",
      "socket",    "bind",         "listen",         "accept",
      "connect",   "kill",         "waitpid",        "wait4",
      "signal",    "sigaction",    "prctl",          "mmap",
      "munmap",    "opendir",      "fdopendir",      "readdir",
      "fopen",     "fdopen",       "mkstemp",        "mkdtemp",
      "mknod",     "mknodat",      "getpid",         "gethostname",
      "execv",     "execve",       "execvp",         "execvpe",
      "execl",     "execlp",       "execle",         "fexecve",
      "umask",     "pipe",         "pipe2",          "dup",
      "dup2",      "dup3",         "memfd_create",   "copy_file_range",
      "sendfile",  "posix_spawnp", "posix_fallocate"};
  return calls;
}

// What stands right before a name, blanks aside.
std::string Before(const std::string& code, size_t begin) {
  const size_t last = begin == 0 ? std::string::npos : code.find_last_not_of(" \n", begin - 1);
  if (last == std::string::npos) return "";
  return code.substr(last < 4 ? 0 : last - 4, last < 4 ? last + 1 : 5);
}

// "auto open = …", "(*read)(…)" and "const Binder& bind": the file's own.
bool DeclaresName(const std::string& code, const std::string& name) {
  const std::vector<std::string> declarations = {"auto " + name + " =", "(*" + name + ")(",
                                                 "& " + name + ",", "& " + name + ")"};
  return std::any_of(declarations.begin(), declarations.end(), [&code](const std::string& text) {
    return code.find(text) != std::string::npos;
  });
}

bool EndsName(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '>';
}

// open(…), ::open(…) and std::rename(…), but no member and no declaration.
bool IsCall(const std::string& code, const Identifier& at) {
  const size_t next = code.find_first_not_of(" \n", at.end);
  if (next == std::string::npos || code[next] != '(') return false;
  const std::string before = Before(code, at.begin);
  if (before.ends_with("std::")) return true;
  if (before.ends_with("::")) return before.size() < 3 || !EndsName(before[before.size() - 3]);
  if (before.ends_with(".") || before.ends_with(">")) return false;
  return before.empty() || !EndsName(before.back()) || before.ends_with("eturn") ||
         before.ends_with("else") || before.ends_with("throw");
}

Violations CheckSystemCalls(const SourceFile& file) {
  static const std::set<std::string> streams = {"filesystem", "ifstream", "ofstream", "fstream"};
  Violations violations;
  if (FolderOf(file.path) == "os") return violations;
  const std::string code = CodeOnly(file.text);
  for (const Identifier& at : Identifiers(code)) {
    const std::string where = file.path + ":" + std::to_string(at.line) + ": " + at.name;
    if (streams.contains(at.name) && Before(code, at.begin).ends_with("std::")) {
      violations.push_back(where + " belongs to os/");
    } else if (SystemCalls().contains(at.name) && IsCall(code, at) &&
               !DeclaresName(code, at.name)) {
      violations.push_back(where + "() belongs to os/");
    }
  }
  return violations;
}

template <typename Check>
Violations OverAllSources(const Check& check) {
  Violations all;
  const std::vector<SourceFile> files = ReadSources({"src"});
  EXPECT_GT(files.size(), 50u) << "found too few files to be the tree";
  for (const SourceFile& file : files) {
    for (std::string& violation : check(file)) all.push_back(std::move(violation));
  }
  return all;
}

TEST(Layers, NoFolderIncludesWhatItMayNot) {
  const Violations violations = OverAllSources(CheckIncludes);
  EXPECT_THAT(violations, IsEmpty()) << Joined(violations);
}

TEST(Layers, NoFileOutsideOsMakesASystemCall) {
  const Violations violations = OverAllSources(CheckSystemCalls);
  EXPECT_THAT(violations, IsEmpty()) << Joined(violations);
}

TEST(Layers, IncludeOfAHigherFolder_IsFound) {
  const SourceFile file{"src/volume/ids.cc", "#include \"base/uuid.h\"\n#include \"os/host.h\"\n"};
  EXPECT_THAT(CheckIncludes(file), testing::ElementsAre("src/volume/ids.cc:2: volume may not "
                                                        "include os"));
}

TEST(Layers, ControllerThatIncludesTheMachine_IsFound) {
  const SourceFile file{"src/controller/create_volume.cc", "#include \"os/host.h\"\n"};
  EXPECT_THAT(CheckIncludes(file), SizeIs(1));
  EXPECT_THAT(CheckIncludes({"src/node/create_volume.cc", file.text}), IsEmpty());
}

TEST(Layers, ProtobufBelowTheEdge_IsFound) {
  const SourceFile file{"src/engine/image/cut.cc",
                        "#include \"proto/csi/csi.pb.h\"\n#include <grpcpp/grpcpp.h>\n"};
  EXPECT_THAT(CheckIncludes(file), SizeIs(2));
  EXPECT_THAT(CheckIncludes({"src/rpc/parse.cc", file.text}), IsEmpty());
}

TEST(Layers, FolderWithoutALayer_IsFound) {
  EXPECT_THAT(CheckIncludes({"src/misc/things.cc", ""}), SizeIs(1));
}

TEST(Layers, SystemHeaderOutsideOs_IsFound) {
  for (const char* header : {"<sys/stat.h>", "<linux/loop.h>", "<libmount/libmount.h>",
                             "<blkid/blkid.h>", "<fcntl.h>", "<unistd.h>", "<filesystem>"}) {
    const std::string text = std::string("#include ") + header + "\n";
    EXPECT_THAT(CheckIncludes({"src/node/presence.cc", text}), SizeIs(1)) << header;
    EXPECT_THAT(CheckIncludes({"src/os/linux_loops.cc", text}), IsEmpty()) << header;
  }
}

TEST(Layers, SystemCallOutsideOs_IsFound) {
  for (const char* call : {"int fd = open(path, 0);", "::ioctl(fd, 1);", "if (mount(a, b)) {",
                           "std::rename(a, b);", "return syscall(437);", "execve(a, b, c);",
                           "std::ifstream file(path);", "std::filesystem::remove(path);"}) {
    EXPECT_THAT(CheckSystemCalls({"src/engine/image/pool.cc", call}), SizeIs(1)) << call;
    EXPECT_THAT(CheckSystemCalls({"src/os/linux_host.cc", call}), IsEmpty()) << call;
  }
}

TEST(Layers, MembersAndProse_AreNoSystemCalls) {
  for (const char* call :
       {"host_.open(path);", "guard->close();", "// mount(2) is made there",
        "Log(\"cannot open(it)\");", "Stream::read(x);", "/* fork() */", "Reopen(path);",
        "R\"(umount(x))\";", "auto open = [] {};\nopen();",
        "void F(const Binder& bind) { bind(x); }", "std::unique_ptr<formatter> clone() const;"}) {
    EXPECT_THAT(CheckSystemCalls({"src/engine/image/pool.cc", call}), IsEmpty()) << call;
  }
}

TEST(Layers, ViolationsSayWhere) {
  const Violations violations = CheckSystemCalls({"src/node/presence.cc", "\n\n  fsync(fd);\n"});
  ASSERT_THAT(violations, SizeIs(1));
  EXPECT_THAT(violations[0], HasSubstr("src/node/presence.cc:3: fsync()"));
}

}  // namespace
}  // namespace holdfast::test
