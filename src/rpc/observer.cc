#include "rpc/observer.h"

#include <chrono>
#include <string>
#include <string_view>

#include "fmt/format.h"
#include "google/protobuf/message.h"
#include "rpc/redact.h"

namespace holdfast {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageLite;
using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerRpcInfo;

// A name may have 4 MiB before it is refused; a line stays readable.
constexpr size_t kMaxFieldBytes = 256;
constexpr size_t kMaxRequestBytes = 8192;

constexpr const char* kCodeNames[] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

std::string CodeName(grpc::StatusCode code) {
  const auto index = static_cast<size_t>(code);
  return index < std::size(kCodeNames) ? kCodeNames[index] : fmt::format("CODE_{}", index);
}

// "/csi.v1.Node/NodeStageVolume" is "NodeStageVolume".
std::string MethodName(const char* full) {
  const std::string_view name = full == nullptr ? "" : full;
  return std::string(name.substr(name.rfind('/') + 1));
}

// gRPC hands messages over as the MessageLite they are. nullptr when there is none.
const Message* AsMessage(const void* message) {
  return dynamic_cast<const Message*>(static_cast<const MessageLite*>(message));
}

std::string Shortened(std::string value) {
  if (value.size() > kMaxFieldBytes) {
    value.resize(kMaxFieldBytes);
    value += "...";
  }
  return value;
}

void AddString(const Message& message, const char* field_name, const char* key, LogFields& fields) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(field_name);
  if (field == nullptr || field->is_repeated() || field->type() != FieldDescriptor::TYPE_STRING) {
    return;
  }
  std::string value = message.GetReflection()->GetString(message, field);
  if (!value.empty()) fields.push_back({key, Shortened(std::move(value))});
}

void AddSubject(const Message& request, LogFields& fields) {
  AddString(request, "name", "name", fields);
  AddString(request, "volume_id", "volume", fields);
  AddString(request, "source_volume_id", "volume", fields);
  AddString(request, "snapshot_id", "snapshot", fields);
  AddString(request, "target_path", "target", fields);
}

// The id that a Create gave to the name it was asked for.
void AddCreated(const Message& response, LogFields& fields) {
  for (const char* kind : {"volume", "snapshot"}) {
    const FieldDescriptor* field = response.GetDescriptor()->FindFieldByName(kind);
    if (field == nullptr || field->is_repeated() ||
        field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      continue;
    }
    const Message& made = response.GetReflection()->GetMessage(response, field);
    AddString(made, fmt::format("{}_id", kind).c_str(), kind, fields);
  }
}

class CallObserver final : public Interceptor {
 public:
  CallObserver(spdlog::logger& logger, LogFormat format, Metrics& metrics, std::string method)
      : logger_(logger), format_(format), metrics_(metrics), method_(std::move(method)) {}

  // A call that ended without a status of ours: its client went away, or sent too much.
  ~CallObserver() override {
    if (!ended_) {
      End({grpc::StatusCode::CANCELLED, "the call ended before its request was read"});
    }
  }

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_MESSAGE)) {
      if (const Message* request = AsMessage(methods->GetRecvMessage())) SeeRequest(*request);
    }
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_MESSAGE)) {
      const Message* response = AsMessage(methods->GetSendMessage());
      if (response != nullptr && method_.rfind("Create", 0) == 0) AddCreated(*response, subject_);
    }
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      End(methods->GetSendStatus());
    }
    methods->Proceed();
  }

 private:
  void SeeRequest(const Message& request) {
    AddSubject(request, subject_);
    if (logger_.should_log(spdlog::level::debug)) {
      request_ = LoggableText(request, kMaxRequestBytes);
    }
  }

  void End(const grpc::Status& status) {
    ended_ = true;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start_;
    const std::string code = CodeName(status.error_code());
    metrics_.CallEnded(method_, code, took.count());
    LogFields fields = std::move(subject_);
    fields.push_back({"code", code});
    fields.push_back({"ms", fmt::format("{:.2f}", took.count() * 1000), true});
    if (!status.ok()) fields.push_back({"error", status.error_message()});
    if (!request_.empty()) fields.push_back({"request", std::move(request_)});
    LogEvent(logger_, format_, status.ok() ? spdlog::level::info : spdlog::level::warn, method_,
             fields);
  }

  spdlog::logger& logger_;
  const LogFormat format_;
  Metrics& metrics_;
  const std::string method_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  LogFields subject_;
  std::string request_;
  bool ended_ = false;
};

}  // namespace

Interceptor* CallObserverFactory::CreateServerInterceptor(ServerRpcInfo* info) {
  return new CallObserver(logger_, format_, metrics_, MethodName(info->method()));
}

}  // namespace holdfast
