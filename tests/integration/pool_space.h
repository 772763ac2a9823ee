// What a pool says of its space, and the same counted by us.
#pragma once

#include <string>

#include "gtest/gtest.h"
#include "volume/space.h"

namespace holdfast {

// `holdfastctl pool status --json`, after the pool's filesystem committed what is pending.
PoolSpace SpaceOf(const std::string& pool);
// Holes and shared blocks of every image in volumes/, by FIEMAP.
uint64_t CountOwed(const std::string& pool);
// free >= owed + floor, but for the little of the floor that the pool's metadata took since it was
// last admitted something: that is what the floor is for.
::testing::AssertionResult KeepsItsPromises(const std::string& pool);

}  // namespace holdfast
