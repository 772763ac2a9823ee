#include "tests/integration/pool_space.h"

#include <filesystem>

#include "base/sizes.h"
#include "nlohmann/json.hpp"
#include "tests/integration/bytes.h"
#include "tests/integration/driver_process.h"

namespace holdfast {

PoolSpace SpaceOf(const std::string& pool) {
  MustRun({"sync", "--file-system", pool});
  const std::string text = MustRun({ProgramPath("holdfastctl"), "--json", "pool", "status", pool});
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  PoolSpace space;
  if (json.is_discarded()) {
    ADD_FAILURE() << "no JSON: " << text;
    return space;
  }
  const auto& status = json["pools"][0];
  EXPECT_EQ(status["refusal"], "");
  space.size_bytes = status["size_bytes"];
  space.free_bytes = status["free_bytes"];
  space.owed_bytes = status["owed_bytes"];
  space.floor_bytes = status["floor_bytes"];
  return space;
}

uint64_t CountOwed(const std::string& pool) {
  uint64_t owed = 0;
  for (const auto& image : std::filesystem::directory_iterator(pool + "/volumes")) {
    const Blocks blocks = BlocksOf(image.path());
    owed += SaturatingSubtract(SizeOf(image.path()), blocks.allocated) + blocks.shared;
  }
  return owed;
}

::testing::AssertionResult KeepsItsPromises(const std::string& pool) {
  const PoolSpace space = SpaceOf(pool);
  const uint64_t promised = space.owed_bytes + space.floor_bytes;
  const uint64_t taken_by_metadata = space.floor_bytes / 8;
  if (space.floor_bytes == 0) return ::testing::AssertionFailure() << "no floor at all";
  if (space.free_bytes + taken_by_metadata >= promised) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "free " << FormatBytes(space.free_bytes) << " < owed " << FormatBytes(space.owed_bytes)
         << " + floor " << FormatBytes(space.floor_bytes);
}

}  // namespace holdfast
