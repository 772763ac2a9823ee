#include "rpc/http.h"

#include <charconv>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "CivetServer.h"
#include "base/status_macros.h"
#include "fmt/format.h"

namespace holdfast {
namespace {

struct Answer {
  int code = 200;
  std::string text;
};

// One path, read-only.
class Page final : public CivetHandler {
 public:
  explicit Page(std::function<Answer()> answer) : answer_(std::move(answer)) {}

  bool handleGet(CivetServer*, mg_connection* connection) override {
    return Send(connection, /*with_body=*/true);
  }
  bool handleHead(CivetServer*, mg_connection* connection) override {
    return Send(connection, /*with_body=*/false);
  }

 private:
  bool Send(mg_connection* connection, bool with_body) {
    const Answer answer = answer_();
    const std::string head = fmt::format(
        "HTTP/1.1 {} {}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
        "Content-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        answer.code, answer.code == 200 ? "OK" : "Service Unavailable", answer.text.size());
    mg_write(connection, head.data(), head.size());
    if (with_body) mg_write(connection, answer.text.data(), answer.text.size());
    return true;
  }

  const std::function<Answer()> answer_;
};

// A scrape reads the pools: one that waits for a dead disk must not take the threads of the probes.
class OneScrape {
 public:
  explicit OneScrape(const Metrics& metrics) : metrics_(metrics) {}
  Answer operator()() {
    const std::unique_lock scraping(mutex_, std::try_to_lock);
    if (!scraping) return {503, "an earlier scrape has not ended; is a pool's disk slow?\n"};
    return {200, metrics_.Text()};
  }

 private:
  const Metrics& metrics_;
  std::mutex mutex_;
};

// Civetweb writes its errors to stderr unless told not to; ours are returned.
int Silence(const mg_connection*, const char*) { return 1; }

}  // namespace

struct HttpServer::Civet {
  Civet(const std::vector<std::string>& options, const CivetCallbacks& callbacks,
        const Metrics& metrics, const std::function<absl::Status()>& ready)
      : scrape(metrics),
        metrics_page([this] { return scrape(); }),
        health_page([] {
          return Answer{200, "ok\n"};
        }),
        ready_page([ready] {
          const absl::Status status = ready();
          if (status.ok()) return Answer{200, "ok\n"};
          return Answer{503, fmt::format("{}\n", std::string(status.message()))};
        }),
        server(options, &callbacks) {
    server.addHandler("/metrics$", metrics_page);
    server.addHandler("/healthz$", health_page);
    server.addHandler("/readyz$", ready_page);
  }

  OneScrape scrape;
  Page metrics_page, health_page, ready_page;
  CivetServer server;  // last: ends before the pages do
};

absl::StatusOr<HostPort> ParseHostPort(const std::string& text) {
  const size_t colon = text.rfind(':');
  std::string_view host = std::string_view(text).substr(0, colon == text.npos ? 0 : colon);
  const std::string_view port = std::string_view(text).substr(colon == text.npos ? 0 : colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  HostPort result;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), result.port);
  if (colon == text.npos || port.empty() || error != std::errc() ||
      end != port.data() + port.size() || result.port < 0 || result.port > 65535 ||
      (!bracketed && host.find_first_of(":,/[] \t") != host.npos)) {
    return absl::InvalidArgumentError(
        fmt::format("expected HOST:PORT, :PORT or [IPV6]:PORT, found '{}'", text.substr(0, 256)));
  }
  result.host = host;
  return result;
}

std::string JoinHostPort(const HostPort& address) {
  if (address.host.empty()) return fmt::format("0.0.0.0:{}", address.port);
  const bool ipv6 = address.host.find(':') != std::string::npos;
  return ipv6 ? fmt::format("[{}]:{}", address.host, address.port)
              : fmt::format("{}:{}", address.host, address.port);
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const HostPort& address,
                                                              const Metrics& metrics,
                                                              std::function<absl::Status()> ready) {
  const std::string where = address.host.empty() ? std::to_string(address.port)
                                                 : fmt::format("{}:{}", address.host, address.port);
  // Probes must be answered while others keep connections open and say nothing.
  const std::vector<std::string> options = {"listening_ports",    where, "num_threads", "16",
                                            "request_timeout_ms", "1000"};
  CivetCallbacks callbacks;
  callbacks.log_message = Silence;
  try {
    return std::unique_ptr<HttpServer>(
        new HttpServer(std::make_unique<Civet>(options, callbacks, metrics, ready)));
  } catch (const CivetException&) {
    return absl::UnavailableError(fmt::format(
        "cannot listen on {}: the address is not this machine's or already in use", where));
  }
}

HttpServer::HttpServer(std::unique_ptr<Civet> civet) : civet_(std::move(civet)) {}
HttpServer::~HttpServer() = default;

int HttpServer::port() const { return civet_->server.getListeningPorts().front(); }

}  // namespace holdfast
