#include "tests/integration/capability.h"

#include <linux/capability.h>

#include <fstream>
#include <string>

namespace holdfast {

bool HasResourceCapability() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("CapEff:")) continue;
    return (std::stoull(line.substr(7), nullptr, 16) >> CAP_SYS_RESOURCE & 1) != 0;
  }
  return false;
}

}  // namespace holdfast
