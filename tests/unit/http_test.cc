// The HTTP server as a client sees it, and the socket's path.
#include "rpc/http.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "fmt/format.h"

namespace holdfast {
namespace {

// The whole answer, head and body.
std::string Ask(int port, const std::string& method, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    const std::string request = fmt::format("{} {} HTTP/1.0\r\n\r\n", method, path);
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

TEST(Http, Metrics_AreWhatTheProviderSaysAtThatMoment) {
  PoolGauges pool{.pool = "fast", .served = true, .size_bytes = 1000, .used_bytes = 400};
  pool.owed_bytes = 77;
  pool.snapshot_extents = 5;
  const PoolGauges refused{.pool = "/broken"};
  Metrics metrics([&] { return std::vector{pool, refused}; });
  auto server = HttpServer::Start({"127.0.0.1", 0}, metrics, [] { return absl::OkStatus(); });
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string first = Ask((*server)->port(), "GET", "/metrics");
  EXPECT_TRUE(StartsWith(first, "HTTP/1.1 200 OK\r\n")) << first;
  EXPECT_NE(first.find("holdfast_pool_size_bytes{pool=\"fast\"} 1000\n"), std::string::npos);
  EXPECT_NE(first.find("holdfast_pool_used_bytes{pool=\"fast\"} 400\n"), std::string::npos);
  EXPECT_NE(first.find("holdfast_pool_owed_bytes{pool=\"fast\"} 77\n"), std::string::npos);
  EXPECT_NE(first.find("holdfast_snapshot_extents{pool=\"fast\"} 5\n"), std::string::npos);
  EXPECT_NE(first.find("holdfast_pool_served{pool=\"/broken\"} 0\n"), std::string::npos);
  EXPECT_EQ(first.find("holdfast_pool_size_bytes{pool=\"/broken\"}"), std::string::npos);
  pool.used_bytes = 500;
  EXPECT_NE(Ask((*server)->port(), "GET", "/metrics")
                .find("holdfast_pool_used_bytes{pool=\"fast\"} 500\n"),
            std::string::npos);
}

TEST(Http, Readyz_FollowsTheCallbackAndHealthzDoesNot) {
  absl::Status ready = absl::UnavailableError("the pools are being opened");
  Metrics metrics;
  auto server = HttpServer::Start({"127.0.0.1", 0}, metrics, [&] { return ready; });
  ASSERT_TRUE(server.ok());
  const std::string starting = Ask((*server)->port(), "GET", "/readyz");
  EXPECT_TRUE(StartsWith(starting, "HTTP/1.1 503 ")) << starting;
  EXPECT_NE(starting.find("the pools are being opened"), std::string::npos);
  EXPECT_TRUE(StartsWith(Ask((*server)->port(), "GET", "/healthz"), "HTTP/1.1 200 "));
  ready = absl::OkStatus();
  EXPECT_TRUE(StartsWith(Ask((*server)->port(), "GET", "/readyz"), "HTTP/1.1 200 "));
}

TEST(Http, OtherPathsAndMethods_AreRefused) {
  Metrics metrics;
  auto server = HttpServer::Start({"127.0.0.1", 0}, metrics, [] { return absl::OkStatus(); });
  ASSERT_TRUE(server.ok());
  for (const char* path : {"/", "/metrics/x", "/etc/passwd", "/../../etc/passwd"}) {
    const std::string answer = Ask((*server)->port(), "GET", path);
    EXPECT_TRUE(StartsWith(answer, "HTTP/1.1 40")) << path << ": " << answer;
  }
  EXPECT_TRUE(StartsWith(Ask((*server)->port(), "POST", "/metrics"), "HTTP/1.1 405"));
  const std::string head = Ask((*server)->port(), "HEAD", "/healthz");
  EXPECT_TRUE(StartsWith(head, "HTTP/1.1 200 ")) << head;
  EXPECT_EQ(head.substr(head.size() - 4), "\r\n\r\n");
}

TEST(Http, AnAddressThatIsTaken_IsOneSentence) {
  Metrics metrics;
  const auto ready = [] { return absl::OkStatus(); };
  auto first = HttpServer::Start({"127.0.0.1", 0}, metrics, ready);
  ASSERT_TRUE(first.ok());
  auto second = HttpServer::Start({"127.0.0.1", (*first)->port()}, metrics, ready);
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
