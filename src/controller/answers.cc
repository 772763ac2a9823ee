#include "controller/answers.h"

#include <utility>

#include "base/build_info.h"

namespace holdfast {

void AnswerVolume(ListedVolume volume, const std::string& node_id, csi::v1::Volume& answer) {
  answer.set_volume_id(std::move(volume.id));
  answer.set_capacity_bytes(static_cast<int64_t>(volume.capacity_bytes));
  switch (volume.source.kind) {
    case Source::Kind::kNone:
      break;
    case Source::Kind::kSnapshot:
      answer.mutable_content_source()->mutable_snapshot()->set_snapshot_id(volume.source.id);
      break;
    case Source::Kind::kVolume:
      answer.mutable_content_source()->mutable_volume()->set_volume_id(volume.source.id);
      break;
  }
  (*answer.add_accessible_topology()->mutable_segments())[kNodeTopologyKey] = node_id;
}

csi::v1::Volume VolumeAnswer(const Volume& volume, const std::string& node_id) {
  csi::v1::Volume answer;
  AnswerVolume({volume.id, volume.capacity_bytes, volume.source}, node_id, answer);
  return answer;
}

csi::v1::Snapshot SnapshotAnswer(const Snapshot& snapshot) {
  constexpr int64_t kNanosPerSecond = 1'000'000'000;
  csi::v1::Snapshot answer;
  answer.set_snapshot_id(snapshot.id);
  answer.set_source_volume_id(snapshot.volume_id);
  answer.set_size_bytes(static_cast<int64_t>(snapshot.size_bytes));
  answer.mutable_creation_time()->set_seconds(snapshot.created_unix_nanos / kNanosPerSecond);
  answer.mutable_creation_time()->set_nanos(
      static_cast<int32_t>(snapshot.created_unix_nanos % kNanosPerSecond));
  answer.set_ready_to_use(snapshot.state == ObjectState::kReady);
  return answer;
}

}  // namespace holdfast
