#include "engine/image/private_mount.h"

#include <chrono>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/refusal.h"
#include "base/status_macros.h"

namespace holdfast {

namespace {

// Somebody opened the device while it was ours, or the number before that: no call takes an image
// from a device that is open.
absl::Status StillHeld(Host& host, const Loop& loop) {
  ASSIGN_OR_RETURN(auto holders, host.HoldersOf(loop));
  ASSIGN_OR_RETURN(const auto mounts, host.MountsOf(loop));
  for (const MountEntry& mount : mounts) holders.push_back("a mount at " + mount.target);
  return absl::UnavailableError(
      Refusal{"loop device " + loop.path, "free 5 s after its last use",
              holders.empty() ? "it held by somebody who cannot be found"
                              : fmt::format("it held by {}", fmt::join(holders, ", ")),
              "end that; the call can be repeated"}
          .Sentence());
}

}  // namespace

absl::Status WaitUntilDetached(Host& host, const Loop& loop) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  auto pause = std::chrono::microseconds(100);
  while (true) {
    ASSIGN_OR_RETURN(const bool attached, host.IsAttached(loop));
    if (!attached) return absl::OkStatus();
    if (std::chrono::steady_clock::now() > deadline) return StillHeld(host, loop);
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(20000));
  }
}

absl::StatusOr<PrivateMount> PrivateMount::Open(Host& host, const UniqueFd& image,
                                                const PrivateMountOptions& options) {
  PrivateMount result(host);
  ASSIGN_OR_RETURN(result.loop_,
                   host.Attach(image, {.access = options.access, .discard = options.discard}));
  ASSIGN_OR_RETURN(
      result.mount_,
      host.MountDetached(result.loop_.loop, {.flags = {},
                                             .content = options.content,
                                             .discard = options.discard,
                                             .private_clone = !options.own_uuid,
                                             .without_log = options.access == Access::kReadOnly}));
  return result;
}

PrivateMount::PrivateMount(PrivateMount&& other) noexcept
    : host_(std::exchange(other.host_, nullptr)),
      loop_(std::move(other.loop_)),
      mount_(std::move(other.mount_)) {}

PrivateMount::~PrivateMount() {
  // Whoever needs to know calls Release; on an error path the kernel lets go by itself.
  Release().IgnoreError();
}

absl::Status PrivateMount::Release() {
  Host* host = std::exchange(host_, nullptr);
  if (host == nullptr) return absl::OkStatus();
  mount_.Close();
  loop_.fd.Close();
  // Nothing was attached: Open failed before.
  return loop_.loop.number < 0 ? absl::OkStatus() : WaitUntilDetached(*host, loop_.loop);
}

}  // namespace holdfast
