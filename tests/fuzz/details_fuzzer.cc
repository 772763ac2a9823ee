// Catalog details: what was written is read the same; what is read was written, or is refused.
#include <fuzzer/FuzzedDataProvider.h>

#include <string>

#include "catalog/details.h"
#include "tests/fuzz/property.h"

namespace holdfast {
namespace {

// JSON is UTF-8; other bytes become U+FFFD, so they cannot come back.
std::string Text(FuzzedDataProvider& input) {
  std::string text = input.ConsumeRandomLengthString(24);
  return IsUtf8Text(text) ? text : "not UTF-8";
}

RootAttributes Root(FuzzedDataProvider& input) {
  return {.inode = input.ConsumeIntegral<uint64_t>(),
          .generation = input.ConsumeIntegral<uint32_t>(),
          .birth_time = {input.ConsumeIntegral<int64_t>(), input.ConsumeIntegral<uint32_t>()},
          .change_time = {input.ConsumeIntegral<int64_t>(), input.ConsumeIntegral<uint32_t>()},
          .mode = input.ConsumeIntegral<uint32_t>(),
          .owner = input.ConsumeIntegral<uint32_t>(),
          .group = input.ConsumeIntegral<uint32_t>(),
          .access_acl = Text(input),
          .default_acl = Text(input)};
}

template <typename Make>
auto Maybe(FuzzedDataProvider& input, const Make& make) {
  std::optional<decltype(make())> value;
  if (input.ConsumeBool()) value = make();
  return value;
}

Volume MakeVolume(FuzzedDataProvider& input) {
  Volume volume;
  volume.parameters.pool = Text(input);
  volume.parameters.reserve_percent = input.ConsumeIntegral<uint32_t>();
  volume.parameters.root_mode = Maybe(input, [&] { return input.ConsumeIntegral<uint32_t>(); });
  volume.parameters.root_owner = Maybe(input, [&] {
    return Owner{input.ConsumeIntegral<uint32_t>(), input.ConsumeIntegral<uint32_t>()};
  });
  for (int i = input.ConsumeIntegralInRange(0, 3); i > 0; --i) {
    volume.labels[Text(input)] = Text(input);
  }
  volume.source = {
      input.PickValueInArray({Source::Kind::kNone, Source::Kind::kSnapshot, Source::Kind::kVolume}),
      Text(input)};
  volume.copy_of = Text(input);
  if (!volume.copy_of.empty()) volume.copied_bytes = input.ConsumeIntegral<uint64_t>();
  StageRecord& stage = volume.stage;
  stage.last_end =
      input.PickValueInArray({LastEnd::kNeverStaged, LastEnd::kStaged, LastEnd::kClean});
  stage.boot_id = Text(input);
  stage.driver_version = Text(input);
  stage.root = Maybe(input, [&] { return Root(input); });
  stage.terms = Maybe(input, [&] {
    return StageTerms{Text(input), input.ConsumeBool(), Text(input)};
  });
  stage.published = input.ConsumeBool();
  stage.verdict = Maybe(input, [&] {
    return Verdict{Text(input), Maybe(input, [&] { return Root(input); })};
  });
  return volume;
}

bool Same(const Volume& a, const Volume& b) {
  const StageRecord &x = a.stage, &y = b.stage;
  const bool same_verdict = x.verdict.has_value() == y.verdict.has_value() &&
                            (!x.verdict || (x.verdict->sentence == y.verdict->sentence &&
                                            x.verdict->found == y.verdict->found));
  return a.parameters == b.parameters && a.labels == b.labels && a.source == b.source &&
         a.copy_of == b.copy_of && a.copied_bytes == b.copied_bytes && x.last_end == y.last_end &&
         x.boot_id == y.boot_id && x.driver_version == y.driver_version && x.root == y.root &&
         x.terms == y.terms && x.published == y.published && same_verdict;
}

void CheckWritten(FuzzedDataProvider& input) {
  const Volume volume = MakeVolume(input);
  Volume read;
  Require(ParseVolumeDetails(VolumeDetails(volume), read).ok(), "what was written can be read");
  Require(Same(volume, read), "a volume's details come back as they were");
  const Snapshot snapshot{.root = volume.stage.root};
  Snapshot read_snapshot;
  Require(ParseSnapshotDetails(SnapshotDetails(snapshot), read_snapshot).ok() &&
              read_snapshot.root == snapshot.root,
          "a snapshot's details come back as they were");
}

// Text that somebody else wrote: a refusal, or a volume that is written and read the same again.
void CheckRead(const std::string& text) {
  Volume volume, again;
  if (const absl::Status status = ParseVolumeDetails(text, volume); !status.ok()) {
    Require(absl::IsInvalidArgument(status), "a refusal is INVALID_ARGUMENT");
    Require(!status.message().empty(), "a refusal says why");
  } else {
    Require(ParseVolumeDetails(VolumeDetails(volume), again).ok() && Same(volume, again),
            "what was read is written and read the same");
  }
  Snapshot snapshot, snapshot_again;
  if (ParseSnapshotDetails(text, snapshot).ok()) {
    Require(ParseSnapshotDetails(SnapshotDetails(snapshot), snapshot_again).ok() &&
                snapshot.root == snapshot_again.root,
            "what was read of a snapshot is written and read the same");
  }
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  if (size == 0) return 0;
  if (data[0] == '{') {
    CheckRead(std::string(reinterpret_cast<const char*>(data), size));
  } else {
    FuzzedDataProvider input(data, size);
    CheckWritten(input);
  }
  return 0;
}
