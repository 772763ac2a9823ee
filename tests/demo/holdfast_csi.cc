// holdfast_csi: one CSI call from the command line, for the demo and for developers.
//
// The request and the answer are JSON with the field names of proto/csi/csi.proto:
//   holdfast_csi --endpoint unix:///run/holdfast/csi.sock CreateVolume '{"name": "a", …}'
#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "proto/csi/csi.pb.h"

namespace {

namespace pb = google::protobuf;

constexpr int kRefused = 1;  // the driver answered with a code
constexpr int kMisused = 2;

const char* CodeName(grpc::StatusCode code) {
  static const char* const names[] = {"OK",
                                      "CANCELLED",
                                      "UNKNOWN",
                                      "INVALID_ARGUMENT",
                                      "DEADLINE_EXCEEDED",
                                      "NOT_FOUND",
                                      "ALREADY_EXISTS",
                                      "PERMISSION_DENIED",
                                      "RESOURCE_EXHAUSTED",
                                      "FAILED_PRECONDITION",
                                      "ABORTED",
                                      "OUT_OF_RANGE",
                                      "UNIMPLEMENTED",
                                      "INTERNAL",
                                      "UNAVAILABLE",
                                      "DATA_LOSS",
                                      "UNAUTHENTICATED"};
  return names[code];
}

const pb::FileDescriptor& Csi() { return *csi::v1::CreateVolumeRequest::descriptor()->file(); }

const pb::MethodDescriptor* FindMethod(const std::string& name) {
  for (int i = 0; i < Csi().service_count(); ++i) {
    if (const pb::MethodDescriptor* method = Csi().service(i)->FindMethodByName(name)) {
      return method;
    }
  }
  return nullptr;
}

std::string MethodList() {
  std::string list = "Calls:";
  for (int i = 0; i < Csi().service_count(); ++i) {
    const pb::ServiceDescriptor& service = *Csi().service(i);
    list += "\n  " + service.name() + ":";
    for (int j = 0; j < service.method_count(); ++j) list += " " + service.method(j)->name();
  }
  return list;
}

grpc::ByteBuffer Packed(const pb::Message& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return {&slice, 1};
}

bool Unpack(const grpc::ByteBuffer& buffer, pb::Message& message) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return false;
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return message.ParseFromString(bytes);
}

grpc::Status Call(const std::string& endpoint, const pb::MethodDescriptor& method,
                  const pb::Message& request, std::chrono::seconds timeout, pb::Message& answer) {
  grpc::ChannelArguments arguments;
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  grpc::GenericStub stub(
      grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  grpc::CompletionQueue queue;
  const std::string path = "/" + method.service()->full_name() + "/" + method.name();
  const auto call = stub.PrepareUnaryCall(&context, path, Packed(request), &queue);
  call->StartCall();
  grpc::ByteBuffer buffer;
  grpc::Status status;
  call->Finish(&buffer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  if (status.ok() && !Unpack(buffer, answer)) {
    return {grpc::StatusCode::INTERNAL, "the answer is no " + answer.GetTypeName()};
  }
  return status;
}

// The whole answer, or with --field what stands at "volume/volume_id" of it.
int Print(const pb::Message& answer, const std::string& field) {
  pb::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!pb::util::MessageToJsonString(answer, &text, options).ok()) return kMisused;
  const auto json = nlohmann::ordered_json::parse(text);
  if (field.empty()) {
    std::cout << json.dump(2) << '\n';
    return 0;
  }
  const nlohmann::ordered_json::json_pointer pointer("/" + field);
  if (!json.contains(pointer)) {
    std::cerr << fmt::format("holdfast_csi: expected {} in the answer, found {}\n", field, text);
    return kMisused;
  }
  const nlohmann::ordered_json& found = json.at(pointer);
  std::cout << (found.is_string() ? found.get<std::string>() : found.dump()) << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::string endpoint = "unix:///run/holdfast/csi.sock", name, request_json = "{}", field;
  int timeout_seconds = 60;
  CLI::App app("Makes one CSI call and prints its answer as JSON.", "holdfast_csi");
  app.footer(MethodList());
  app.add_option("--endpoint", endpoint, "Where the driver listens")->capture_default_str();
  app.add_option("--timeout", timeout_seconds, "Seconds")->capture_default_str();
  app.add_option("--field", field, "Print only this of the answer, such as volume/volume_id");
  app.add_option("call", name, "The call")->required();
  app.add_option("request", request_json, "Its request in JSON")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  const pb::MethodDescriptor* method = FindMethod(name);
  if (method == nullptr) {
    std::cerr << fmt::format("holdfast_csi: there is no call '{}'\n{}\n", name, MethodList());
    return kMisused;
  }
  pb::DynamicMessageFactory factory;
  const std::unique_ptr<pb::Message> request(factory.GetPrototype(method->input_type())->New());
  const std::unique_ptr<pb::Message> answer(factory.GetPrototype(method->output_type())->New());
  const auto parsed = pb::util::JsonStringToMessage(request_json, request.get());
  if (!parsed.ok()) {
    std::cerr << fmt::format("holdfast_csi: {} is no {}: {}\n", request_json,
                             request->GetTypeName(), std::string(parsed.message()));
    return kMisused;
  }
  const grpc::Status status =
      Call(endpoint, *method, *request, std::chrono::seconds(timeout_seconds), *answer);
  if (!status.ok()) {
    std::cerr << fmt::format("{}: {}\n", CodeName(status.error_code()), status.error_message());
    return kRefused;
  }
  return Print(*answer, field);
}
