#include "tests/load/state.h"

#include "absl/strings/string_view.h"
#include "fmt/format.h"

namespace holdfast::load {

using AccessMode = csi::v1::VolumeCapability::AccessMode;

const char* MethodName(Method method) {
  constexpr const char* kNames[kMethods] = {"CreateVolume",
                                            "DeleteVolume",
                                            "ControllerExpandVolume",
                                            "ValidateVolumeCapabilities",
                                            "ControllerGetVolume",
                                            "CreateSnapshot",
                                            "DeleteSnapshot",
                                            "GetSnapshot",
                                            "NodeStageVolume",
                                            "NodeUnstageVolume",
                                            "NodePublishVolume",
                                            "NodeUnpublishVolume",
                                            "NodeGetVolumeStats",
                                            "NodeExpandVolume",
                                            "ListVolumes",
                                            "ListSnapshots",
                                            "GetCapacity",
                                            "(write a tag)",
                                            "(read a tag)"};
  return kNames[static_cast<int>(method)];
}

bool Terms::read_only() const {
  return flag == "ro" || mode == AccessMode::SINGLE_NODE_READER_ONLY ||
         mode == AccessMode::MULTI_NODE_READER_ONLY;
}

bool AllowsTwoTargets(Mode mode) {
  return mode == AccessMode::MULTI_NODE_READER_ONLY || mode == AccessMode::SINGLE_NODE_MULTI_WRITER;
}

std::string Describe(const Call& call) {
  std::string text = MethodName(call.method);
  if (call.volume != kNone) text += fmt::format(" volume {}", call.volume);
  if (call.snapshot != kNone) text += fmt::format(" snapshot {}", call.snapshot);
  if (call.source_volume != kNone) text += fmt::format(" from volume {}", call.source_volume);
  if (call.source_snapshot != kNone) text += fmt::format(" from snapshot {}", call.source_snapshot);
  if (call.required_bytes != 0) text += fmt::format(" required {}", call.required_bytes);
  if (call.limit_bytes != 0) text += fmt::format(" limit {}", call.limit_bytes);
  text += fmt::format(" {} {} {}{}", call.content ? ContentName(*call.content) : "any",
                      call.thick ? "thick" : "thin", AccessMode::Mode_Name(call.terms.mode),
                      call.terms.flag.empty() ? "" : " flag " + call.terms.flag);
  if (call.other_pool) text += " other pool";
  if (call.pod != kNone) text += fmt::format(" pod {}", call.pod);
  if (call.read_only) text += " read-only";
  if (call.tag != 0) text += fmt::format(" tag {}", call.tag);
  return text;
}

std::string Describe(const Answer& answer) {
  std::string text = absl::StatusCodeToString(answer.code);
  if (!answer.message.empty()) text += " \"" + answer.message + "\"";
  if (!answer.wrong.empty()) text += " WRONG: " + answer.wrong;
  if (answer.code != absl::StatusCode::kOk) return text;
  return text +
         fmt::format(" capacity {} source {}/{} total {} tag {} node_expansion {} confirmed {}",
                     answer.capacity_bytes, answer.source_volume, answer.source_snapshot,
                     answer.total_bytes, answer.tag, answer.node_expansion, answer.confirmed);
}

}  // namespace holdfast::load
