// A mount that nobody but the engine ever sees: for the first look at a new filesystem, to replay
// a clone's log, and to grow what only grows mounted.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "engine/image/pool.h"
#include "os/host.h"

namespace holdfast {

struct PrivateMountOptions {
  Content content = Content::kExt4;
  bool discard = false;  // as GivesBack (volume/space.h)
  bool own_uuid = true;  // false: a clone that still carries its source's
  // Read-only for a look: neither mount nor unmount then writes and waits for the disk.
  Access access = Access::kReadWrite;
};

// Undone at scope end; Release says whether it was. The image's loop device is gone afterwards, so
// that the next one who looks for attachments finds none.
class PrivateMount {
 public:
  static absl::StatusOr<PrivateMount> Open(Host& host, const UniqueFd& image,
                                           const PrivateMountOptions& options);
  PrivateMount(PrivateMount&& other) noexcept;
  PrivateMount& operator=(PrivateMount&&) = delete;
  ~PrivateMount();

  const UniqueFd& root() const { return mount_; }
  // Unmounts, detaches, and waits until the kernel has let go of the image (WaitUntilDetached).
  absl::Status Release();

 private:
  explicit PrivateMount(Host& host) : host_(&host) {}

  Host* host_;  // null when released or moved from
  AttachedLoop loop_;
  UniqueFd mount_;
};

// Waits until the loop device has its image no more. UNAVAILABLE after 5 s, naming who holds it.
absl::Status WaitUntilDetached(Host& host, const Loop& loop);

}  // namespace holdfast
