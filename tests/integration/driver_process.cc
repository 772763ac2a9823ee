#include "tests/integration/driver_process.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

bool Answers(const std::string& socket_path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  strncpy(address.sun_path, socket_path.c_str(), sizeof(address.sun_path) - 1);
  const bool connected = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return connected;
}

}  // namespace

std::string ProgramPath(const std::string& name) {
  if (const char* folder = std::getenv("HOLDFAST_BIN")) return std::string(folder) + "/" + name;
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  for (const fs::path& candidate : {here / name, here.parent_path() / name}) {
    if (fs::is_regular_file(candidate)) return candidate;
  }
  ADD_FAILURE() << name << ": not beside this program; set HOLDFAST_BIN to its folder";
  return name;
}

DriverProcess::DriverProcess(std::string folder, std::vector<std::string> pools)
    : folder_(std::move(folder)), pools_(std::move(pools)) {
  for (const std::string& made : {kubelet(), run_folder(), temporary()}) fs::create_directory(made);
}

std::vector<std::string> DriverProcess::CommandLine() const {
  std::vector<std::string> line = {program_.empty() ? ProgramPath("holdfast") : program_,
                                   "all",
                                   "--endpoint",
                                   "unix://" + socket(),
                                   "--node-id",
                                   "node-1",
                                   "--kubelet-root",
                                   kubelet(),
                                   "--run-folder",
                                   run_folder(),
                                   "--admin-socket",
                                   admin_socket(),
                                   "--trash-grace",
                                   std::to_string(trash_grace_.count()) + "s"};
  for (const std::string& pool : pools_) line.insert(line.end(), {"--pool", pool});
  line.insert(line.end(), flags_.begin(), flags_.end());
  return line;
}

bool DriverProcess::Start() {
  std::vector<std::string> line = Launcher();
  const std::vector<std::string> driver = CommandLine();
  line.insert(line.end(), driver.begin(), driver.end());
  child_ = Child::Start(
      line, {.output_path = folder_ + "/log", .environment = {"TMPDIR=" + temporary()}});
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (std::chrono::steady_clock::now() < deadline) {
    if (Answers(socket())) return true;
    if (HasEnded(std::chrono::milliseconds(5))) break;
  }
  child_.reset();
  return false;
}

int DriverProcess::Stop() {
  if (child_ == nullptr) return 0;
  child_->Signal(SIGTERM);
  const int code = child_->Wait(std::chrono::minutes(1)).value_or(-1);
  child_.reset();
  return code;
}

void DriverProcess::Kill() { child_.reset(); }

std::string DriverProcess::Log() const {
  std::ifstream file(folder_ + "/log");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> DriverProcess::OpenFiles() const {
  std::vector<std::string> names = DescriptorsOf(pid());
  std::erase_if(names, [](const std::string& name) { return !name.starts_with('/'); });
  return names;
}

std::vector<std::string> DescriptorsOf(pid_t pid) {
  std::vector<std::string> names;
  const auto passes = [](const std::string& name) {
    return name == "/dev/loop-control" || name.starts_with("/sys/");
  };
  for (int look = 0; look < 100; ++look) {
    names.clear();
    std::error_code gone;
    for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd", gone)) {
      const std::string name = fs::read_symlink(entry.path(), gone);
      if (!gone) names.push_back(name);
    }
    if (std::none_of(names.begin(), names.end(), passes)) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace holdfast
