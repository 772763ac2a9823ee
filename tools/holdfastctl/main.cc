#include <unistd.h>

#include <iostream>

#include "ctl.h"
#include "os/linux_host.h"

int main(int argc, char** argv) {
  holdfast::LinuxHost host;
  holdfast::ctl::Surroundings surroundings{host, {}, std::cout, std::cerr};
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const size_t equals = text.find('=');
    if (equals != text.npos)
      surroundings.environment[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return holdfast::ctl::Run(std::vector<std::string>(argv + 1, argv + argc), surroundings);
}
