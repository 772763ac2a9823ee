// Loop devices of the simulated machine.
#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include "base/sizes.h"
#include "base/status_macros.h"
#include "tests/fakes/fake_host.h"

namespace holdfast {
namespace {

constexpr uint64_t kLoopDevices = 7ull << 8;  // makedev(7, number)

absl::Status Gone(const Loop& loop) {
  return absl::FailedPreconditionError(
      fmt::format("{}: expected inode {} behind it, found it free or backing another file",
                  loop.path, loop.backing_inode));
}

}  // namespace

std::vector<FakeHost::LoopPtr> FakeHost::LiveLoops() {
  std::vector<LoopPtr> loops;
  for (auto it = loops_.begin(); it != loops_.end();) {
    if (LoopPtr loop = it->second.lock()) {
      loops.push_back(std::move(loop));
      ++it;
    } else {
      it = loops_.erase(it);  // autoclear fired
    }
  }
  return loops;
}

FakeHost::LoopPtr FakeHost::LoopNumber(int number) {
  const auto entry = loops_.find(number);
  return entry == loops_.end() ? nullptr : entry->second.lock();
}

FakeHost::LoopPtr FakeHost::FindLoop(const Loop& loop) {
  LoopPtr found = LoopNumber(loop.number);
  if (!found || found->image->number != loop.backing_inode ||
      found->image->pool->device != loop.backing_device) {
    return nullptr;
  }
  return found;
}

Loop FakeHost::Facts(const FakeLoop& loop) {
  return Loop{.number = loop.number,
              .path = fmt::format("/dev/loop{}", loop.number),
              .device = kLoopDevices + static_cast<uint64_t>(loop.number),
              .backing_device = loop.image->pool->device,
              .backing_inode = loop.image->number,
              .size_bytes = loop.size_bytes,
              .read_only = loop.read_only,
              .direct_io = true,
              .autoclear = loop.autoclear,
              .disk_sequence = loop.sequence};
}

absl::StatusOr<FakeHost::LoopPtr> FakeHost::AttachLocked(const InodePtr& image, bool read_only,
                                                         bool discard) {
  LiveLoops();  // forgets the numbers that are free again
  int number = 0;
  while (loops_.count(number) > 0) ++number;
  auto loop = std::make_shared<FakeLoop>();
  loop->number = number;
  loop->image = image;
  loop->size_bytes = image->pool->disk.Size(image->file) / kBlockBytes * kBlockBytes;
  loop->read_only = read_only;
  loop->discard = discard;
  loop->sequence = ++attachments_;
  loops_[number] = loop;
  return loop;
}

absl::StatusOr<AttachedLoop> FakeHost::Attach(const UniqueFd& image, const LoopOptions& options) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(FakeHandle * handle, FileOf("LOOP_CONFIGURE", image));
  const bool read_only = options.access == Access::kReadOnly;
  if (!read_only && handle->access == Access::kReadOnly) {
    return KernelError("LOOP_CONFIGURE", "a read-only file", EBADF);
  }
  ASSIGN_OR_RETURN(LoopPtr loop, AttachLocked(handle->inode, read_only, options.discard));
  if (!read_only && options.discard) spoilt_.erase(loop->number);  // taken anew
  if (!read_only && !options.discard) spoilt_.insert(loop->number);
  ASSIGN_OR_RETURN(UniqueFd fd, HandOut({.loop = loop}));
  return AttachedLoop{Facts(*loop), std::move(fd)};
}

absl::Status FakeHost::PinLoop(const Loop& loop) {
  const auto lock = Enter();
  const LoopPtr found = FindLoop(loop);
  if (!found) return Gone(loop);
  found->autoclear = false;
  pinned_.insert(found);
  return absl::OkStatus();
}

absl::Status FakeHost::LimitDirty(const Loop& loop, uint64_t bytes) {
  const auto lock = Enter();
  const LoopPtr found = FindLoop(loop);
  if (!found) return Gone(loop);
  found->dirty_limit_bytes = bytes;
  if (bytes > 0) spoilt_.insert(loop.number);
  return absl::OkStatus();
}

absl::Status FakeHost::CutOff(const Loop& loop) {
  const auto lock = Enter();
  const LoopPtr found = FindLoop(loop);
  if (!found) return Gone(loop);
  found->size_bytes = 512;
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> FakeHost::DirtyBytes(const std::vector<Loop>& loops) {
  const auto lock = Enter();
  uint64_t bytes = 0;
  for (const Loop& loop : loops) {
    const LoopPtr found = FindLoop(loop);
    if (found) bytes += found->dirty_bytes;
  }
  return bytes;
}

absl::StatusOr<uint64_t> FakeHost::MachineDirtyBytes() {
  const auto lock = Enter();
  uint64_t bytes = dirty_elsewhere_;
  for (const LoopPtr& loop : LiveLoops()) bytes += loop->dirty_bytes;
  return bytes;
}

void FakeHost::SetDirtyBytes(uint64_t each_loop, uint64_t rest_of_the_machine) {
  const auto lock = Enter();
  for (const LoopPtr& loop : LiveLoops()) loop->dirty_bytes = each_loop;
  dirty_elsewhere_ = rest_of_the_machine;
}

void FakeHost::SetFlushesNeverEnd(bool never) {
  const auto lock = Enter();
  flushes_never_end_ = never;
}

bool FakeHost::IsHeld(const LoopPtr& loop) {
  return !loop->super.expired() || !loop->foreign_openers.empty() ||
         std::any_of(handles_.begin(), handles_.end(),
                     [&](const auto& entry) { return entry.second.loop == loop; });
}

absl::Status FakeHost::Detach(const Loop& loop) {
  const auto lock = Enter();
  LoopPtr found = FindLoop(loop);
  if (!found) return absl::OkStatus();
  const bool pinned = pinned_.erase(found) != 0;
  if (IsHeld(found)) {
    // LOOP_CLR_FD with users left: the kernel clears it when the last one closes.
    if (pinned) pinned_.insert(found);
    found->autoclear = !pinned;
    const std::string who = !found->foreign_openers.empty() ? found->foreign_openers.front()
                            : !found->super.expired()       ? "a mounted filesystem"
                                                            : "this process";
    return absl::FailedPreconditionError(
        fmt::format("detach {}: it is held by {}; end that and try again", loop.path, who));
  }
  loops_.erase(loop.number);
  if (pinned) spoilt_.erase(loop.number);
  return absl::OkStatus();
}

void FakeHost::RemoveSpoilt() {
  const auto lock = Enter();
  LiveLoops();  // forgets those that nobody holds
  std::erase_if(spoilt_, [&](int number) { return loops_.count(number) == 0; });
}

std::vector<int> FakeHost::SpoiltLoops() {
  const auto lock = Enter();
  LiveLoops();
  std::vector<int> numbers;
  for (const int number : spoilt_) {
    if (loops_.count(number) == 0) numbers.push_back(number);
  }
  return numbers;
}

absl::StatusOr<std::vector<Loop>> FakeHost::Attachments(const FileFacts& image) {
  const auto lock = Enter();
  std::vector<Loop> attachments;
  for (const LoopPtr& loop : LiveLoops()) {
    if (loop->image->number == image.inode && loop->image->pool->device == image.device) {
      attachments.push_back(Facts(*loop));
    }
  }
  return attachments;
}

absl::StatusOr<bool> FakeHost::IsAttached(const Loop& loop) {
  const auto lock = Enter();
  LiveLoops();  // forgets those that nobody holds
  return FindLoop(loop) != nullptr;
}

absl::StatusOr<std::vector<Loop>> FakeHost::AllLoops() {
  const auto lock = Enter();
  std::vector<Loop> all;
  for (const LoopPtr& loop : LiveLoops()) {
    all.push_back(Facts(*loop));
    all.back().backing_path = PathOf(loop->image.get());
    // Where it lay is forgotten with its name.
    if (all.back().backing_path.empty()) all.back().backing_path = "/gone (deleted)";
  }
  return all;
}

absl::Status FakeHost::UpdateLoopSize(const Loop& loop) {
  const auto lock = Enter();
  const LoopPtr found = FindLoop(loop);
  if (!found) return Gone(loop);
  if (found->IsCutOff()) return absl::OkStatus();
  found->size_bytes = found->image->pool->disk.Size(found->image->file) / kBlockBytes * kBlockBytes;
  return absl::OkStatus();
}

absl::Status FakeHost::SyncLoop(const Loop& loop) {
  const auto lock = Enter();
  if (!FindLoop(loop)) return Gone(loop);
  return absl::OkStatus();
}

}  // namespace holdfast
