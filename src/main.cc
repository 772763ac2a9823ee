// holdfast: the command line, and then the mode that it names.
#include <cstdio>

#include "agent/tls.h"
#include "config.h"
#include "fmt/format.h"
#include "launch.h"
#include "os/process.h"

int main(int argc, char** argv) {
  holdfast::BlockTerminationSignals();
  holdfast::KeepFreedMemory();
  holdfast::RequireTls13();
  const holdfast::CommandLine line = holdfast::ParseCommandLine(
      {argv + 1, argv + argc}, holdfast::Environment(), holdfast::HostName());
  if (!line.config) {
    fmt::print(line.exit_code == 0 ? stdout : stderr, "{}\n", line.text);
    return line.exit_code;
  }
  return line.config->mode == holdfast::Config::Mode::kController
             ? holdfast::ServeController(*line.config)
             : holdfast::ServeNode(*line.config);
}
