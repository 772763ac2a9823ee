// What a FakeHost's mkfs leaves in an image: one block that says everything the fake needs to know
// of the filesystem. It lies in the image's own blocks, so reflink copies carry it and a change to
// one of them is no change to the other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "volume/root_attributes.h"
#include "volume/volume.h"

namespace holdfast {

struct FakeSuperblock {
  Content content = Content::kExt4;
  std::string uuid;
  uint64_t size_bytes = 0;
  bool dirty = false;    // mounted read-write, or never unmounted since
  bool errors = false;   // the kernel recorded an error
  bool damaged = false;  // a full check finds something
  RootAttributes root;

  // One block, with a checksum.
  std::string Encode() const;
  // nullopt when it is not intact.
  static std::optional<FakeSuperblock> Decode(std::string_view block);
  // Where it lies in an image: as with the real ones, block 0, and 64 KiB in for btrfs.
  static uint64_t Offset(Content content);
};

// The inode number of a fresh filesystem's root directory.
uint64_t RootInode(Content content);

}  // namespace holdfast
