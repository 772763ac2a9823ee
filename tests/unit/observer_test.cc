// The observer on a real server over an in-process channel, with a log that is kept.
#include "rpc/observer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "fmt/format.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "proto/agent/agent.pb.h"
#include "proto/csi/csi.grpc.pb.h"
#include "rpc/redact.h"
#include "rpc/server.h"
#include "spdlog/sinks/ostream_sink.h"

namespace holdfast {
namespace {

class ScriptedController final : public csi::v1::Controller::Service {
 public:
  grpc::Status answer = grpc::Status::OK;
  std::function<void()> during = [] {};

  grpc::Status CreateVolume(grpc::ServerContext*, const csi::v1::CreateVolumeRequest*,
                            csi::v1::CreateVolumeResponse* response) override {
    during();
    response->mutable_volume()->set_volume_id("vol-made");
    return answer;
  }
  grpc::Status CreateSnapshot(grpc::ServerContext*, const csi::v1::CreateSnapshotRequest*,
                              csi::v1::CreateSnapshotResponse*) override {
    return answer;
  }
};

class ObserverTest : public testing::Test {
 protected:
  void Start(LogFormat format, spdlog::level::level_enum level, ServerOptions options = {}) {
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(log_);
    logger_ = std::make_unique<spdlog::logger>("", sink);
    logger_->set_formatter(MakeFormatter(format));
    logger_->set_level(level);
    Server::Interceptors observers;
    observers.push_back(std::make_unique<CallObserverFactory>(*logger_, format, metrics_));
    auto server = Server::Start(options, {&controller_}, std::move(observers));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = csi::v1::Controller::NewStub(
        options.endpoint.empty()
            ? server_->InProcessChannel()
            : grpc::CreateChannel(options.endpoint, grpc::InsecureChannelCredentials()));
  }

  static ServerOptions OnSocket() {
    ServerOptions options;
    options.endpoint = fmt::format("unix:///tmp/holdfast-observer-{}.sock", getpid());
    return options;
  }

  grpc::Status Create(const csi::v1::CreateVolumeRequest& request) {
    grpc::ClientContext context;
    csi::v1::CreateVolumeResponse response;
    return stub_->CreateVolume(&context, request, &response);
  }

  // Everything logged; the server is gone afterwards, so that nothing can come late.
  std::vector<std::string> Lines() {
    stub_.reset();
    server_.reset();
    std::vector<std::string> lines;
    std::istringstream text(log_.str());
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
  }

  std::ostringstream log_;
  std::unique_ptr<spdlog::logger> logger_;
  Metrics metrics_;
  ScriptedController controller_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<csi::v1::Controller::Stub> stub_;
};

csi::v1::CreateVolumeRequest RequestWithSecrets() {
  csi::v1::CreateVolumeRequest request;
  request.set_name("pvc-1");
  (*request.mutable_secrets())["user"] = "hunter2";
  (*request.mutable_parameters())["pool"] = "fast";
  (*request.mutable_parameters())["csi.storage.k8s.io/serviceAccount.Tokens"] = "hunter3";
  (*request.mutable_mutable_parameters())["dbPASSWORD"] = "hunter4";
  return request;
}

TEST_F(ObserverTest, ACall_IsOneLineWithItsNameItsIdItsCodeAndItsDuration) {
  Start(LogFormat::kText, spdlog::level::info);
  ASSERT_TRUE(Create(RequestWithSecrets()).ok());
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("CreateVolume name=pvc-1 volume=vol-made code=OK ms="), std::string::npos)
      << lines[0];
  EXPECT_EQ(lines[0].find("request="), std::string::npos);
}

TEST_F(ObserverTest, AtDebug_TheRequestIsThereAndItsSecretsAreNot) {
  Start(LogFormat::kText, spdlog::level::debug);
  ASSERT_TRUE(Create(RequestWithSecrets()).ok());
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("fast"), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find("serviceAccount.Tokens"), std::string::npos);
  EXPECT_NE(lines[0].find("***"), std::string::npos);
  EXPECT_EQ(lines[0].find("hunter"), std::string::npos) << lines[0];
}

// Found by the fuzzer of "parse": they were printed as numbers and bytes.
TEST(LoggableText, FieldsOfANewerCsi_AreNotPrinted_ForTheyMayBeSecrets) {
  csi::v1::CreateVolumeRequest request = RequestWithSecrets();
  constexpr int kNewer = 4000;
  request.GetReflection()->MutableUnknownFields(&request)->AddLengthDelimited(kNewer, "hunter5");
  csi::v1::VolumeCapability& nested = *request.add_volume_capabilities();
  nested.mutable_mount()->set_fs_type("xfs");
  nested.GetReflection()->MutableUnknownFields(&nested)->AddLengthDelimited(kNewer, "hunter6");
  const std::string text = LoggableText(request, 4096);
  EXPECT_NE(text.find("xfs"), std::string::npos) << text;
  EXPECT_EQ(text.find("hunter"), std::string::npos) << text;
  EXPECT_EQ(text.find("4000"), std::string::npos) << text;
}

TEST(LoggableText, TokenOfANodeThatEnrols_IsNotPrinted) {
  agent::v1::EnrolRequest request;
  request.set_service_account_token("hunter7");
  request.set_signing_request("wish");
  const std::string text = LoggableText(request, 4096);
  EXPECT_NE(text.find("wish"), std::string::npos) << text;
  EXPECT_EQ(text.find("hunter"), std::string::npos) << text;
}

TEST_F(ObserverTest, AFailure_IsAWarningWithItsMessage) {
  controller_.answer = {grpc::StatusCode::RESOURCE_EXHAUSTED, "pool \"fast\" is full"};
  Start(LogFormat::kText, spdlog::level::info);
  EXPECT_EQ(Create(RequestWithSecrets()).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find(" warning CreateVolume name=pvc-1 code=RESOURCE_EXHAUSTED ms="),
            std::string::npos)
      << lines[0];
  EXPECT_NE(lines[0].find("error=\"pool \\\"fast\\\" is full\""), std::string::npos) << lines[0];
}

TEST_F(ObserverTest, Json_IsParsedBackFieldByField) {
  controller_.answer = {grpc::StatusCode::ABORTED, "line one\nline \"two\"\x01"};
  Start(LogFormat::kJson, spdlog::level::debug);
  csi::v1::CreateVolumeRequest request = RequestWithSecrets();
  request.set_name("new\nline \x1b[31m \u00e4 {\"}");
  EXPECT_EQ(Create(request).error_code(), grpc::StatusCode::ABORTED);
  logger_->warn("plain\x1e line");
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 2u);
  const auto call = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(call["message"], "CreateVolume");
  EXPECT_EQ(call["level"], "warning");
  EXPECT_EQ(call["name"], request.name());
  EXPECT_EQ(call["code"], "ABORTED");
  EXPECT_EQ(call["error"], "line one\nline \"two\"\x01");
  EXPECT_TRUE(call["ms"].is_number());
  EXPECT_EQ(call["time"].get<std::string>().size(), std::string("2026-01-01T00:00:00.000Z").size());
  EXPECT_EQ(lines[0].find("hunter"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(lines[1])["message"], "plain\x1e line");
}

TEST_F(ObserverTest, ControlCharactersInANameOrMessage_NeverMakeASecondLine) {
  controller_.answer = {grpc::StatusCode::INTERNAL, "first\r\nsecond"};
  Start(LogFormat::kText, spdlog::level::debug);
  csi::v1::CreateVolumeRequest request;
  request.set_name("a\nb\x1b[0m");
  Create(request);
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  for (const char c : lines[0]) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << lines[0];
  EXPECT_NE(lines[0].find("a\\nb\\x1b[0m"), std::string::npos) << lines[0];
}

TEST_F(ObserverTest, ACallThatTheServiceDoesNotHave_IsLoggedAndHasAMessage) {
  Start(LogFormat::kText, spdlog::level::info);
  grpc::ClientContext context;
  csi::v1::ControllerPublishVolumeResponse response;
  const grpc::Status status = stub_->ControllerPublishVolume(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_FALSE(status.error_message().empty());
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("ControllerPublishVolume code=UNIMPLEMENTED"), std::string::npos);
}

TEST_F(ObserverTest, ANameOfTenMegabytes_GetsACleanErrorAndTheServerGoesOn) {
  Start(LogFormat::kText, spdlog::level::info);
  csi::v1::CreateVolumeRequest request;
  request.set_name(std::string(10'000'000, 'x'));
  const grpc::Status status = Create(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_NE(status.error_message().find("larger than max"), std::string::npos);
  request.set_name(std::string(3'000'000, 'x'));
  EXPECT_TRUE(Create(request).ok());
  for (const std::string& line : Lines()) EXPECT_LT(line.size(), 1000u);
}

TEST_F(ObserverTest, AThousandCallsAtOnce_AreAllAnsweredByAFewThreads) {
  ServerOptions options;
  options.max_threads = 8;
  std::atomic<int> running = 0, most = 0;
  controller_.during = [&] {
    const int now = ++running;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    --running;
  };
  Start(LogFormat::kText, spdlog::level::info, options);
  csi::v1::CreateVolumeRequest request;
  request.set_name("pvc");
  grpc::CompletionQueue queue;
  struct Call {
    grpc::ClientContext context;
    csi::v1::CreateVolumeResponse response;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<csi::v1::CreateVolumeResponse>> reader;
  };
  std::vector<Call> calls(1000);
  for (Call& call : calls) {
    call.reader = stub_->AsyncCreateVolume(&call.context, request, &queue);
    call.reader->Finish(&call.response, &call.status, &call);
  }
  for (size_t i = 0; i < calls.size(); ++i) {
    void* tag = nullptr;
    bool ok = false;
    ASSERT_TRUE(queue.Next(&tag, &ok));
  }
  int good = 0;
  for (const Call& call : calls) {
    good += call.status.ok();
    if (!call.status.ok()) {
      EXPECT_EQ(call.status.error_code(), grpc::StatusCode::UNAVAILABLE)
          << call.status.error_message();
    }
  }
  EXPECT_GT(good, 0);
  EXPECT_LE(most, options.max_threads);
  EXPECT_EQ(Lines().size(), calls.size());
}

TEST_F(ObserverTest, Metrics_CountCallsByMethodAndCode) {
  Start(LogFormat::kText, spdlog::level::info);
  Create({});
  Create({});
  controller_.answer = {grpc::StatusCode::NOT_FOUND, "no"};
  Create({});
  grpc::ClientContext context;
  csi::v1::CreateSnapshotResponse response;
  controller_.answer = grpc::Status::OK;
  ASSERT_TRUE(stub_->CreateSnapshot(&context, {}, &response).ok());
  Lines();
  const std::string text = metrics_.Text();
  const auto has = [&text](const std::string& line) {
    return text.find(line + "\n") != std::string::npos;
  };
  EXPECT_TRUE(has("holdfast_csi_calls_total{code=\"OK\",method=\"CreateVolume\"} 2")) << text;
  EXPECT_TRUE(has("holdfast_csi_calls_total{code=\"NOT_FOUND\",method=\"CreateVolume\"} 1"));
  EXPECT_TRUE(has("holdfast_csi_call_seconds_count{method=\"CreateVolume\"} 3"));
  EXPECT_TRUE(has("holdfast_snapshot_seconds_count 1"));
}

TEST_F(ObserverTest, Stop_LetsACallInFlightEnd) {
  std::promise<void> entered;
  controller_.during = [&] {
    entered.set_value();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  };
  // The in-process transport cuts its calls when the server stops; a socket does not.
  Start(LogFormat::kText, spdlog::level::info, OnSocket());
  auto call = std::async(std::launch::async, [this] { return Create({}); });
  entered.get_future().wait();
  EXPECT_TRUE(server_->Stop().ok());
  EXPECT_TRUE(call.get().ok());
}

TEST_F(ObserverTest, Stop_SaysSoWhenACallDoesNotEnd) {
  std::promise<void> entered, released;
  controller_.during = [&, release = released.get_future().share()] {
    entered.set_value();
    release.wait();
  };
  ServerOptions options = OnSocket();
  options.shutdown_timeout = options.cancel_grace = std::chrono::milliseconds(10);
  Start(LogFormat::kText, spdlog::level::info, options);
  auto call = std::async(std::launch::async, [this] { return Create({}); });
  entered.get_future().wait();
  EXPECT_EQ(server_->Stop().code(), absl::StatusCode::kDeadlineExceeded);
  released.set_value();
  call.wait();
}

}  // namespace
}  // namespace holdfast
