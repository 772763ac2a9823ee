// Requests off the wire, one after another, against the whole driver on a simulated machine: only
// lawful codes, a sentence with each, and the same answer to a repeated question.
//
// An input is a list of requests: a method's number, two bytes of length, the message's bytes. The
// strings "$volume", "$snapshot", "$staging", "$target", "$pool" in it become real ones: ids have
// digests in them, which no fuzzer finds.
#include <google/protobuf/message.h>

#include <map>
#include <set>
#include <string>

#include "tests/fuzz/property.h"
#include "tests/rig/rig.h"
#include "volume/ids.h"

namespace holdfast {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using grpc::StatusCode;
using Words = std::map<std::string, std::string>;

void Substitute(Message& message, const Words& words);

void SubstituteField(Message& message, const FieldDescriptor& field, const Words& words) {
  const auto& reflection = *message.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    if (!field.is_repeated())
      return Substitute(*reflection.MutableMessage(&message, &field), words);
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      Substitute(*reflection.MutableRepeatedMessage(&message, &field, i), words);
    }
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING && !field.is_repeated()) {
    const auto word = words.find(reflection.GetString(message, &field));
    if (word != words.end()) reflection.SetString(&message, &field, word->second);
  }
}

void Substitute(Message& message, const Words& words) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) SubstituteField(message, *field, words);
}

struct Seat {
  Rig rig{{.pool_bytes = uint64_t{1} << 50}};
  Words words;
};

void CheckStatus(const grpc::Status& status, const std::set<StatusCode>& lawful) {
  if (status.ok()) return;
  Require(lawful.contains(status.error_code()), "a code that this method may answer, found " +
                                                    std::to_string(status.error_code()) + " " +
                                                    status.error_message());
  Require(!status.error_message().empty() && status.error_message().size() <= 4096 &&
              IsOneLine(status.error_message()),
          "a refusal is one sentence");
}

// `again`: what asks only, or is idempotent, is answered with the same code twice.
template <typename Request, typename Response, typename Service>
void Play(Seat& seat, Service& service,
          grpc::Status (Service::*method)(grpc::ServerContext*, const Request*, Response*),
          const std::string& bytes, const std::set<StatusCode>& lawful) {
  Request request;
  if (!request.ParseFromString(bytes)) return;
  Substitute(request, seat.words);
  Response response, repeated;
  const grpc::Status status = (service.*method)(nullptr, &request, &response);
  CheckStatus(status, lawful);
  const grpc::Status again = (service.*method)(nullptr, &request, &repeated);
  CheckStatus(again, lawful);
  if (status.ok()) {
    Require(again.ok(), "what was done can be asked for again: " + again.error_message());
    if constexpr (std::is_same_v<Response, csi::v1::CreateVolumeResponse>) {
      const auto& volume = response.volume();
      Require(ParseId(volume.volume_id()).has_value(), "a volume has an id of the grammar");
      Require(volume.capacity_bytes() >= request.capacity_range().required_bytes(),
              "a volume is as large as asked for");
      Require(volume.volume_id() == repeated.volume().volume_id(),
              "the same name, the same volume");
    }
  } else {
    Require(again.error_code() == status.error_code(), "a refusal repeats itself");
  }
}

void PlayController(Seat& seat, unsigned method, const std::string& bytes) {
  using S = ControllerService;
  S& s = *seat.rig.controller;
  const auto invalid = StatusCode::INVALID_ARGUMENT, missing = StatusCode::NOT_FOUND;
  const auto exists = StatusCode::ALREADY_EXISTS, range = StatusCode::OUT_OF_RANGE;
  const auto state = StatusCode::FAILED_PRECONDITION, full = StatusCode::RESOURCE_EXHAUSTED;
  switch (method) {
    case 0:
      return Play(seat, s, &S::CreateVolume, bytes, {invalid, missing, exists, range, full});
    case 1:
      return Play(seat, s, &S::DeleteVolume, bytes, {invalid, state});
    case 2:
      return Play(seat, s, &S::ValidateVolumeCapabilities, bytes, {invalid, missing});
    case 3:
      return Play(seat, s, &S::ListVolumes, bytes, {invalid, StatusCode::ABORTED});
    case 4:
      return Play(seat, s, &S::ControllerGetVolume, bytes, {invalid, missing});
    case 5:
      return Play(seat, s, &S::GetCapacity, bytes, {invalid});
    case 6:
      return Play(seat, s, &S::CreateSnapshot, bytes, {invalid, missing, exists, full});
    case 7:
      return Play(seat, s, &S::DeleteSnapshot, bytes, {invalid});
    case 8:
      return Play(seat, s, &S::ListSnapshots, bytes, {invalid, StatusCode::ABORTED});
    case 9:
      return Play(seat, s, &S::GetSnapshot, bytes, {invalid, missing});
    default:
      return Play(seat, s, &S::ControllerExpandVolume, bytes, {invalid, missing, range});
  }
}

void PlayNode(Seat& seat, unsigned method, const std::string& bytes) {
  using S = NodeService;
  S& s = *seat.rig.node;
  const auto invalid = StatusCode::INVALID_ARGUMENT, missing = StatusCode::NOT_FOUND;
  const auto exists = StatusCode::ALREADY_EXISTS, range = StatusCode::OUT_OF_RANGE;
  const auto state = StatusCode::FAILED_PRECONDITION;
  switch (method) {
    case 0:
      return Play(seat, s, &S::NodeStageVolume, bytes, {invalid, missing, exists, state});
    case 1:
      return Play(seat, s, &S::NodeUnstageVolume, bytes, {invalid, missing, state});
    case 2:
      return Play(seat, s, &S::NodePublishVolume, bytes, {invalid, missing, exists, state});
    case 3:
      return Play(seat, s, &S::NodeUnpublishVolume, bytes, {invalid, missing, state});
    case 4:
      return Play(seat, s, &S::NodeGetVolumeStats, bytes, {invalid, missing});
    default:
      return Play(seat, s, &S::NodeExpandVolume, bytes, {invalid, missing, range, state});
  }
}

// A machine with a volume that is put away and a snapshot of it.
std::unique_ptr<Seat> MakeSeat() {
  auto seat = std::make_unique<Seat>();
  const std::string volume = seat->rig.MustCreate("volume");
  csi::v1::Snapshot snapshot;
  Require(seat->rig.Snapshot("snapshot", volume, &snapshot).ok(), "the snapshot is made");
  seat->rig.machine.MakeFolders(seat->rig.StagingPath(volume));
  seat->words = {{"$volume", volume},
                 {"$snapshot", snapshot.snapshot_id()},
                 {"$staging", seat->rig.StagingPath(volume)},
                 {"$target", seat->rig.TargetPath("pod")},
                 {"$pool", "default"}};
  return seat;
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  constexpr int kMostRequests = 8;
  constexpr unsigned kControllerMethods = 11, kMethods = 17;
  if (size < 3) return 0;
  const std::unique_ptr<Seat> seat = MakeSeat();
  for (int i = 0; i < kMostRequests && size >= 3; ++i) {
    const unsigned method = data[0] % kMethods;
    const size_t length = std::min<size_t>(data[1] << 8 | data[2], size - 3);
    const std::string bytes(reinterpret_cast<const char*>(data + 3), length);
    data += 3 + length;
    size -= 3 + length;
    if (method < kControllerMethods) {
      PlayController(*seat, method, bytes);
    } else {
      PlayNode(*seat, method - kControllerMethods, bytes);
    }
  }
  return 0;
}
