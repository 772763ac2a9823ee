// What the kernel says from now on (/dev/kmsg).
#pragma once

#include <string>
#include <vector>

#include "os/unique_fd.h"

namespace holdfast {

class KernelLog {
 public:
  KernelLog();
  // Lines since the construction that tell of an error on one of the devices ("/dev/loop3").
  std::vector<std::string> ErrorsOf(const std::vector<std::string>& devices);

 private:
  UniqueFd log_;
};

}  // namespace holdfast
