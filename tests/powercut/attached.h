// Mounts and loop devices of a test's folder.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace holdfast::powercut {

struct Attached {
  std::string device, file;
};

std::vector<std::string> MountsBelow(const std::string& folder);
// The kernel lets go of a loop device a moment after its last user: asks again until there are at
// most `expected`, for up to two seconds.
std::vector<Attached> SettledLoopsBelow(const std::string& folder, size_t expected);
// Unmounts and detaches what is there, but for what is named.
void ReleaseBelow(const std::string& folder, const std::set<std::string>& kept_mounts,
                  const std::string& kept_loop);

}  // namespace holdfast::powercut
