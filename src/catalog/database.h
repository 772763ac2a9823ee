// SQLite, as little of it as the catalog needs: one connection, statements, transactions.
#pragma once

#include <sqlite3.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/status/statusor.h"
#include "catalog/catalog.h"

namespace holdfast {

class Database;

// A prepared statement, borrowed from its Database's cache until scope end. Parameters and columns
// count as SQLite's do: parameters from 1, columns from 0. Not thread-safe.
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  // `text` must live until the statement is reset; any bytes, NUL included.
  Statement& Bind(int index, std::string_view text);
  Statement& BindInt(int index, int64_t value);
  // SQLite knows signed numbers only: the same 64 bits; Unsigned() reads them back.
  Statement& BindUnsigned(int index, uint64_t value) {
    return BindInt(index, static_cast<int64_t>(value));
  }

  // true: there is a row to read; false: done.
  absl::StatusOr<bool> Step();
  // For statements that give no rows, or whose rows nobody wants.
  absl::Status Run();

  std::string Text(int column) const;
  int64_t Int(int column) const;
  uint64_t Unsigned(int column) const { return static_cast<uint64_t>(Int(column)); }

 private:
  friend class Database;
  Statement(Database* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}
  Database* database_;
  sqlite3_stmt* statement_;  // owned by the cache; null when moved from
  int bind_error_ = 0;       // the first failed bind's code; Step says it
};

// Thread-compatible: the catalog's mutex guards it.
class Database {
 public:
  enum class Mode { kReadOnly, kReadWrite, kCreate };

  // How long a statement waits for another process's lock before it answers UNAVAILABLE.
  static constexpr std::chrono::milliseconds kBusyTimeout{5000};

  // NOT_FOUND when there is no such file (never in kCreate).
  static absl::StatusOr<std::unique_ptr<Database>> Open(
      const std::string& path, Mode mode, CatalogFaultHook hook,
      std::chrono::milliseconds busy_timeout = kBusyTimeout);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  absl::StatusOr<Statement> Prepare(std::string_view sql);
  // One or several statements without parameters or answers.
  absl::Status Execute(const std::string& sql);
  // The number that a statement without parameters answers first, such as PRAGMA user_version.
  absl::StatusOr<int64_t> ReadInt(const std::string& sql);

  // Runs `body` in a transaction that takes the write lock at once: all of it is as durable as
  // asked, or nothing of it happened and the error is returned.
  absl::Status Write(const std::function<absl::Status()>& body,
                     Outlives outlives = Outlives::kPowerCut);

  // Moves the WAL into the main file and empties it.
  absl::Status Checkpoint();

  // Rows that the last INSERT, UPDATE or DELETE touched.
  int64_t Changes() const { return sqlite3_changes64(connection_); }

  const std::string& path() const { return path_; }

 private:
  friend class Statement;
  Database(std::string path, CatalogFaultHook hook)
      : path_(std::move(path)), hook_(std::move(hook)) {}
  absl::Status CallHook(std::string_view sql) const;
  absl::Status SetSynchronous(Outlives outlives);
  // The connection's last error as a status; `code` is what the failed call returned.
  absl::Status Error(int code, std::string_view sql) const;

  const std::string path_;
  const CatalogFaultHook hook_;
  sqlite3* connection_ = nullptr;
  Outlives synchronous_ = Outlives::kPowerCut;                 // what the connection is set to
  std::unordered_map<std::string, sqlite3_stmt*> statements_;  // by SQL; prepared once
};

}  // namespace holdfast
