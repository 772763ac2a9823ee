// holdfast_bank: clients of a bank (the tables of pgbench's TPC-B) that never lie about what was
// acknowledged.
//
// Each client commits transactions, and only when PostgreSQL has acknowledged one, writes its id to
// <log folder>/client-<n> and fsyncs that file. The folder lies outside the volume under test, so
// it is the witness of what a snapshot or a crash must have kept. Runs until SIGTERM.
#include <fcntl.h>
#include <libpq-fe.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "fmt/format.h"

namespace {

struct Options {
  std::string database;  // as libpq wants it: "host=/run/x dbname=bank"
  std::string log_folder;
  int clients = 4;
  int accounts = 10000;
  int tellers = 40;
  int first_id = 0;
};

constexpr int kTellersPerBranch = 10;
constexpr int64_t kIdsPerClient = 1'000'000'000;

std::atomic<bool> stopping = false;
std::atomic<int64_t> acknowledged = 0;

struct Finish {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};

// The ids that one client had acknowledged, one a line.
class Witness {
 public:
  explicit Witness(const std::string& path)
      : fd_(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {}
  ~Witness() {
    if (fd_ >= 0) close(fd_);
  }
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;

  bool Record(int64_t id) {
    const std::string line = fmt::format("{}\n", id);
    return write(fd_, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
           fsync(fd_) == 0;
  }

 private:
  const int fd_;
};

std::string Transaction(int64_t id, const Options& options, std::mt19937& random) {
  const auto pick = [&random](int first, int last) {
    return std::uniform_int_distribution<int>(first, last)(random);
  };
  const int account = pick(1, options.accounts);
  const int teller = pick(1, options.tellers);
  const int delta = pick(-5000, 5000);
  return fmt::format(
      "BEGIN;"
      "UPDATE accounts SET balance = balance + {0} WHERE id = {1};"
      "UPDATE tellers SET balance = balance + {0} WHERE id = {2};"
      "UPDATE branches SET balance = balance + {0} WHERE id = {3};"
      "INSERT INTO history VALUES ({4}, {2}, {3}, {1}, {0}, now());"
      "COMMIT;",
      delta, account, teller, (teller - 1) / kTellersPerBranch + 1, id);
}

// Empty, or what ended this client before it was told to stop.
std::string RunClient(int client, const Options& options) {
  const std::unique_ptr<PGconn, Finish> connection(PQconnectdb(options.database.c_str()));
  if (PQstatus(connection.get()) != CONNECTION_OK) return PQerrorMessage(connection.get());
  Witness witness(fmt::format("{}/client-{}", options.log_folder, client));
  std::mt19937 random(static_cast<uint32_t>(client));
  const int64_t first = client * kIdsPerClient + options.first_id;
  for (int64_t id = first; !stopping; ++id) {
    const std::string transaction = Transaction(id, options, random);
    const std::unique_ptr<PGresult, Clear> result(PQexec(connection.get(), transaction.c_str()));
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) return PQerrorMessage(connection.get());
    if (!witness.Record(id)) return "cannot record what was acknowledged";
    ++acknowledged;
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Runs bank transactions until SIGTERM and logs each acknowledged one.");
  app.add_option("--database", options.database, "As libpq wants it")->required();
  app.add_option("--log-folder", options.log_folder, "Outside the volume")->required();
  app.add_option("--clients", options.clients)->capture_default_str();
  app.add_option("--accounts", options.accounts)->capture_default_str();
  app.add_option("--tellers", options.tellers)->capture_default_str();
  app.add_option("--first-id", options.first_id)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGTERM, [](int) { stopping = true; });
  std::signal(SIGINT, [](int) { stopping = true; });

  std::atomic<bool> failed = false;
  {
    std::vector<std::jthread> clients;
    for (int client = 1; client <= options.clients; ++client) {
      clients.emplace_back([client, &options, &failed] {
        const std::string error = RunClient(client, options);
        if (error.empty()) return;
        std::cerr << fmt::format("holdfast_bank: client {}: {}\n", client, error);
        failed = true;
      });
    }
  }
  std::cout << acknowledged << '\n';
  return failed ? 1 : 0;
}
