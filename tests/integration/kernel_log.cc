#include "tests/integration/kernel_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

bool TellsOfError(const std::string& line) {
  for (const char* word : {"error", "rror:", "lost", "orrupt", "shut", "No space"}) {
    if (line.find(word) != line.npos) return true;
  }
  return false;
}

// "loop1" is not in "loop12".
bool Names(const std::string& line, const std::string& device) {
  const std::string name = device.substr(device.rfind('/') + 1);
  for (size_t at = line.find(name); at != line.npos; at = line.find(name, at + 1)) {
    const size_t end = at + name.size();
    if (end == line.size() || line[end] < '0' || line[end] > '9') return true;
  }
  return false;
}

}  // namespace

KernelLog::KernelLog() : log_(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
  EXPECT_TRUE(log_.valid()) << "/dev/kmsg cannot be opened";
  lseek(log_.get(), 0, SEEK_END);
}

std::vector<std::string> KernelLog::ErrorsOf(const std::vector<std::string>& devices) {
  std::vector<std::string> errors;
  char buffer[8192];
  while (true) {
    const ssize_t got = read(log_.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EPIPE) continue;  // older lines were overwritten
    if (got <= 0) return errors;
    const std::string line(buffer, static_cast<size_t>(got));
    for (const std::string& device : devices) {
      if (TellsOfError(line) && Names(line, device)) errors.push_back(line);
    }
  }
}

}  // namespace holdfast
