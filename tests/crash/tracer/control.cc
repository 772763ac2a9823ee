#include "tests/crash/tracer/control.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace holdfast {

TracerControl* MapControl(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return nullptr;
  void* memory = MAP_FAILED;
  if (ftruncate(fd, sizeof(TracerControl)) == 0) {
    memory = mmap(nullptr, sizeof(TracerControl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  close(fd);
  // A new file is all zeroes, which is what the members begin with: nothing need be constructed,
  // and what the other side already wrote is kept.
  return memory == MAP_FAILED ? nullptr : static_cast<TracerControl*>(memory);
}

void UnmapControl(TracerControl* control) {
  if (control != nullptr) munmap(control, sizeof(TracerControl));
}

}  // namespace holdfast
