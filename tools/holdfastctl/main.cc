#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "base/status_macros.h"
#include "ctl.h"
#include "os/linux_host.h"

int main(int argc, char** argv) {
  std::unique_ptr<holdfast::LinuxHost> host;
  const auto make_host = [&host]() -> absl::StatusOr<holdfast::Host*> {
    holdfast::LinuxHostOptions options;
    // Where the server keeps what must survive it.
    const char* run_folder = std::getenv("HOLDFAST_RUN_FOLDER");
    if (run_folder != nullptr && *run_folder != '\0') options.run_folder = run_folder;
    ASSIGN_OR_RETURN(host, holdfast::LinuxHost::Create(options));
    return host.get();
  };
  holdfast::ctl::Surroundings surroundings{make_host, {}, std::cout, std::cerr};
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const size_t equals = text.find('=');
    if (equals == text.npos) continue;
    surroundings.environment[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return holdfast::ctl::Run(std::vector<std::string>(argv + 1, argv + argc), surroundings);
}
