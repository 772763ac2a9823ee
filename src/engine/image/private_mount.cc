#include "engine/image/private_mount.h"

#include <chrono>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/status_macros.h"

namespace holdfast {

absl::Status WaitUntilDetached(Host& host, const Loop& loop) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  auto pause = std::chrono::microseconds(100);
  while (true) {
    ASSIGN_OR_RETURN(const bool attached, host.IsAttached(loop));
    if (!attached) return absl::OkStatus();
    if (std::chrono::steady_clock::now() > deadline) {
      return absl::InternalError(
          fmt::format("{}: still attached 5 s after its last use ended", loop.path));
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(20000));
  }
}

absl::StatusOr<PrivateMount> PrivateMount::Open(Host& host, const UniqueFd& image,
                                                const PrivateMountOptions& options) {
  PrivateMount result(host);
  ASSIGN_OR_RETURN(result.loop_,
                   host.Attach(image, {.access = options.access, .discard = !options.thick}));
  ASSIGN_OR_RETURN(
      result.mount_,
      host.MountDetached(result.loop_.loop, {.flags = {},
                                             .content = options.content,
                                             .thick = options.thick,
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
