// The programs and files that benchmarks are made of. Whatever fails says which program and why.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace holdfast::bench {

// Runs a program of the machine, found in the usual four folders; its output without the last
// newline. INTERNAL when it does not end with 0.
absl::StatusOr<std::string> RunProgram(const std::string& name,
                                       const std::vector<std::string>& arguments);

// Makes a file of that size without blocks, or with all of them allocated.
absl::Status MakeFile(const std::string& path, uint64_t bytes, bool preallocate = false);
// Writes the whole range once, so that later writes meet no first allocation anywhere below.
absl::Status FillFile(const std::string& path, uint64_t bytes);

uint64_t AllocatedBytes(const std::string& path);
// FIEMAP; 0 when it cannot be read.
uint64_t ExtentCount(const std::string& path);
// Of the filesystem that holds the path, after a syncfs.
uint64_t FreeBytes(const std::string& path);
// Milliseconds of FICLONE alone, of `from` to the new file `to`, which is removed again.
absl::StatusOr<double> TimeReflink(const std::string& from, const std::string& to);
// The image behind what is published at `target`: a mount, or a device node.
absl::StatusOr<std::string> ImageBehind(const std::string& target, bool block);

// What was written before to that filesystem is on its disk: the next measurement does not pay for
// it. Not sync(2), which would wait for whatever else the machine does.
void Settle(const std::string& path);

// A loop device by the losetup program, as a careful administrator makes it.
absl::StatusOr<std::string> AttachByHand(const std::string& image);

// A mount made by programs; unmounted and detached at scope end.
class HandMount {
 public:
  // A loop of `image`, mounted at `target`, a folder that is made; after `mkfs` (a program and its
  // arguments; the device comes last) when there is one.
  static absl::StatusOr<HandMount> Make(const std::string& image, const std::string& target,
                                        const std::vector<std::string>& mkfs = {});
  HandMount(HandMount&& other) noexcept;
  HandMount& operator=(HandMount&&) = delete;
  ~HandMount();

 private:
  explicit HandMount(std::string target) : target_(std::move(target)) {}
  std::string target_;  // empty: moved from
};

class Stopwatch {
 public:
  double Milliseconds() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_)
        .count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace holdfast::bench
