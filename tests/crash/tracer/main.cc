// holdfast_tracer CONTROL PROGRAM ARGUMENT…: runs the program as Tracer says, told by the file
// CONTROL. SIGTERM is handed on to the program; its exit code becomes ours.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "tests/crash/tracer/tracer.h"

namespace {

constexpr int kCannotTrace = 125;

volatile pid_t driver_for_signals = 0;

void HandOn(int number) {
  if (driver_for_signals > 0) kill(driver_for_signals, number);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: holdfast_tracer CONTROL PROGRAM ARGUMENT...\n");
    return kCannotTrace;
  }
  holdfast::TracerControl* control = holdfast::MapControl(argv[1]);
  if (control == nullptr) {
    perror(argv[1]);
    return kCannotTrace;
  }
  holdfast::Tracer tracer(*control);
  if (const int error = tracer.Start({argv + 2, argv + argc}); error != 0) {
    fprintf(stderr, "holdfast_tracer: cannot trace: %s\n", strerror(error));
    return kCannotTrace;
  }
  driver_for_signals = control->driver;
  struct sigaction action = {};
  action.sa_handler = HandOn;
  sigaction(SIGTERM, &action, nullptr);
  return tracer.Run();
}
