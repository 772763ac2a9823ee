// What a pod leaves in a volume: one block that can be told from every other.
#pragma once

#include <cstdint>
#include <string>

#include "tests/load/state.h"

namespace holdfast::load {

// At the beginning of a raw block device, past the page cache; else in the file "tag" below
// `target`. Ends with fsync: what was answered is kept.
Answer WriteTag(const std::string& target, bool block, uint64_t tag);
// Tag 0: nothing was ever written. `wrong` when the block is no whole one.
Answer ReadTag(const std::string& target, bool block);

}  // namespace holdfast::load
