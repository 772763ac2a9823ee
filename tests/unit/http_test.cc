// The HTTP server as a client sees it.
#include "rpc/http.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fmt/format.h"

namespace holdfast {
namespace {

// A connection, or -1.
int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return fd;
  close(fd);
  return -1;
}

// The whole answer, head and body.
std::string Ask(int port, const std::string& method, const std::string& path) {
  const int fd = Connect(port);
  std::string answer;
  if (fd >= 0) {
    const std::string request = fmt::format(
        "{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
        "Connection: close\r\n\r\n",
        method, path);
    if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
      char buffer[4096];
      for (ssize_t got; (got = recv(fd, buffer, sizeof(buffer), 0)) > 0;) {
        answer.append(buffer, static_cast<size_t>(got));
      }
    }
  }
  close(fd);
  return answer;
}

bool StartsWith(const std::string& text, const std::string& prefix) {
  return text.rfind(prefix, 0) == 0;
}

// One server for all tests: civetweb takes up to two seconds to stop.
class HttpTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    metrics_ = std::make_unique<Metrics>([] {
      if (while_scraped_) while_scraped_();
      return pools_;
    });
    auto server = HttpServer::Start({"127.0.0.1", 0}, *metrics_, [] { return ready_; });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  static void TearDownTestSuite() {
    server_.reset();
    metrics_.reset();
  }

  static std::string Get(const std::string& path) { return Ask(server_->port(), "GET", path); }

  static inline std::vector<PoolGauges> pools_;
  static inline std::function<void()> while_scraped_;
  static inline absl::Status ready_;
  static inline std::unique_ptr<Metrics> metrics_;
  static inline std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpTest, Metrics_AreWhatTheProviderSaysAtThatMoment) {
  PoolGauges pool;
  pool.pool = "fast";
  pool.served = true;
  pool.size_bytes = 1000;
  pool.used_bytes = 400;
  pool.owed_bytes = 77;
  pool.snapshot_extents = 5;
  PoolGauges refused;
  refused.pool = "/broken";
  pools_ = {pool, refused};
  const std::string first = Get("/metrics");
  EXPECT_TRUE(StartsWith(first, "HTTP/1.1 200 OK\r\n")) << first;
  EXPECT_NE(first.find("holdfast_pool_size_bytes{pool=\"fast\"} 1000\n"), std::string::npos);
  EXPECT_NE(first.find("holdfast_pool_used_bytes{pool=\"fast\"} 400\n"), std::string::npos);
  EXPECT_NE(first.find("holdfast_pool_owed_bytes{pool=\"fast\"} 77\n"), std::string::npos);
  EXPECT_NE(first.find("holdfast_snapshot_extents{pool=\"fast\"} 5\n"), std::string::npos);
  EXPECT_NE(first.find("holdfast_pool_served{pool=\"/broken\"} 0\n"), std::string::npos);
  EXPECT_EQ(first.find("holdfast_pool_size_bytes{pool=\"/broken\"}"), std::string::npos);
  pools_[0].used_bytes = 500;
  EXPECT_NE(Get("/metrics").find("holdfast_pool_used_bytes{pool=\"fast\"} 500\n"),
            std::string::npos);
}

// Or scrapes that wait for a dead disk would have a probe restart the driver.
TEST_F(HttpTest, OneScrapeAtATime_AndProbesBesideIt) {
  std::string second, health;
  while_scraped_ = [&] {
    while_scraped_ = nullptr;
    second = Get("/metrics");
    health = Get("/healthz");
  };
  EXPECT_TRUE(StartsWith(Get("/metrics"), "HTTP/1.1 200 "));
  EXPECT_TRUE(StartsWith(second, "HTTP/1.1 503 ")) << second;
  EXPECT_TRUE(StartsWith(health, "HTTP/1.1 200 ")) << health;
  EXPECT_TRUE(StartsWith(Get("/metrics"), "HTTP/1.1 200 "));
}

TEST_F(HttpTest, Readyz_FollowsTheCallbackAndHealthzDoesNot) {
  ready_ = absl::UnavailableError("the pools are being opened");
  const std::string starting = Get("/readyz");
  EXPECT_TRUE(StartsWith(starting, "HTTP/1.1 503 ")) << starting;
  EXPECT_NE(starting.find("the pools are being opened"), std::string::npos);
  EXPECT_TRUE(StartsWith(Get("/healthz"), "HTTP/1.1 200 "));
  ready_ = absl::OkStatus();
  EXPECT_TRUE(StartsWith(Get("/readyz"), "HTTP/1.1 200 "));
}

TEST_F(HttpTest, OtherPathsAndMethods_AreRefused) {
  for (const char* path : {"/", "/metrics/x", "/etc/passwd", "/../../etc/passwd"}) {
    const std::string answer = Get(path);
    EXPECT_TRUE(StartsWith(answer, "HTTP/1.1 40")) << path << ": " << answer;
  }
  const std::string post = Ask(server_->port(), "POST", "/metrics");
  EXPECT_TRUE(StartsWith(post, "HTTP/1.1 40")) << post;
  const std::string head = Ask(server_->port(), "HEAD", "/healthz");
  EXPECT_TRUE(StartsWith(head, "HTTP/1.1 200 ")) << head;
  EXPECT_EQ(head.substr(head.size() - 4), "\r\n\r\n");
}

// Else whoever opens a few connections and says nothing has a probe restart the driver.
TEST_F(HttpTest, ConnectionsThatSayNothing_DoNotKeepAProbeFromItsAnswer) {
  std::vector<int> idle(40);
  for (int& fd : idle) fd = Connect(server_->port());
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(StartsWith(Get("/healthz"), "HTTP/1.1 200 "));
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
  for (const int fd : idle) close(fd);
}

TEST_F(HttpTest, AnAddressThatIsTaken_IsOneSentence) {
  const auto second =
      HttpServer::Start({"127.0.0.1", server_->port()}, *metrics_, [] { return absl::OkStatus(); });
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(std::string(second.status().message()).find("already in use"), std::string::npos);
}

TEST(Http, ParseHostPort_TakesWhatPeopleWrite) {
  EXPECT_EQ(ParseHostPort("127.0.0.1:9808")->host, "127.0.0.1");
  EXPECT_EQ(ParseHostPort(":9808")->port, 9808);
  EXPECT_EQ(ParseHostPort("[::1]:80")->host, "[::1]");
  for (const char* wrong : {"", "9808", "host:", "host:x", "host:99999", "host:-1", "::1:80",
                            "a b:80", "a,b:80", "host:80x"}) {
    EXPECT_FALSE(ParseHostPort(wrong).ok()) << wrong;
  }
}

}  // namespace
}  // namespace holdfast
