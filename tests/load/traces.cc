#include "tests/load/traces.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/integration/child.h"
#include "tests/integration/driver_process.h"

namespace holdfast::load {
namespace {

namespace fs = std::filesystem;

uint64_t StatusNumber(pid_t pid, const std::string& key) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key + ":")) return std::stoull(line.substr(key.size() + 1));
  }
  return 0;
}

}  // namespace

Traces TracesOf(pid_t pid) {
  Traces traces;
  traces.files = DescriptorsOf(pid);
  traces.descriptors = traces.files.size();
  std::erase_if(traces.files, [](const std::string& name) { return !name.starts_with('/'); });
  traces.memory_bytes = StatusNumber(pid, "RssAnon") * 1024;
  traces.threads = StatusNumber(pid, "Threads");
  return traces;
}

std::vector<std::string> NamesIn(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  return names;
}

uint64_t FreeBytes(const std::string& path, uint64_t enough) {
  uint64_t most = 0;
  for (int look = 0; look < 50 && most < enough; ++look) {
    if (look > 0) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    MustRun({"sync", "--file-system", path});
    struct statvfs facts = {};
    if (statvfs(path.c_str(), &facts) == 0)
      most = std::max<uint64_t>(most, facts.f_bfree * facts.f_bsize);
  }
  return most;
}

}  // namespace holdfast::load
