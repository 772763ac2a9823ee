#include "catalog/database.h"

#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "base/status_macros.h"

namespace holdfast {
namespace {

absl::Status ToStatus(int code, int system_errno, const std::string& message) {
  if (code == SQLITE_FULL || system_errno == ENOSPC || system_errno == EDQUOT) {
    return absl::ResourceExhaustedError(message + "; the pool is full, free some space");
  }
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(message + "; another process keeps it locked, try again");
    case SQLITE_NOMEM:
      return absl::UnavailableError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      // SQLite says so too of a disk that went away under it.
      return absl::DataLossError(
          message +
          "; see first that the pool's disk is there and can be read (the kernel's log), and start "
          "the driver again; if it says the same, restore catalog.db, or stop the driver and see "
          "'sqlite3 catalog.db .recover'");
    default:
      return absl::InternalError(message);
  }
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      statement_(std::exchange(other.statement_, nullptr)),
      bind_error_(other.bind_error_) {}

Statement::~Statement() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);  // repeats the error that Step has already returned
  sqlite3_clear_bindings(statement_);
}

Statement& Statement::Bind(int index, std::string_view text) {
  // A null pointer would bind NULL; an empty view may have one.
  const char* data = text.data() == nullptr ? "" : text.data();
  const int code =
      sqlite3_bind_text64(statement_, index, data, text.size(), SQLITE_STATIC, SQLITE_UTF8);
  if (bind_error_ == SQLITE_OK) bind_error_ = code;
  return *this;
}

Statement& Statement::BindInt(int index, int64_t value) {
  const int code = sqlite3_bind_int64(statement_, index, value);
  if (bind_error_ == SQLITE_OK) bind_error_ = code;
  return *this;
}

absl::StatusOr<bool> Statement::Step() {
  const char* sql = sqlite3_sql(statement_);
  if (bind_error_ != SQLITE_OK) return database_->Error(bind_error_, sql);
  if (!sqlite3_stmt_busy(statement_)) RETURN_IF_ERROR(database_->CallHook(sql));
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return database_->Error(code, sql);
}

absl::Status Statement::Run() {
  bool more = true;
  while (more) {
    ASSIGN_OR_RETURN(more, Step());
  }
  return absl::OkStatus();
}

std::string Statement::Text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_, column);
  if (text == nullptr) return "";
  return std::string(reinterpret_cast<const char*>(text),
                     static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_, column); }

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path, Mode mode,
                                                         CatalogFaultHook hook,
                                                         std::chrono::milliseconds busy_timeout) {
  auto database = std::unique_ptr<Database>(new Database(path, std::move(hook)));
  RETURN_IF_ERROR(database->CallHook("open"));
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  flags |= mode == Mode::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  if (mode == Mode::kCreate) flags |= SQLITE_OPEN_CREATE;
  const int code = sqlite3_open_v2(path.c_str(), &database->connection_, flags, nullptr);
  if (code != SQLITE_OK) {
    const bool absent = (code & 0xff) == SQLITE_CANTOPEN && database->connection_ != nullptr &&
                        sqlite3_system_errno(database->connection_) == ENOENT;
    if (absent) return absl::NotFoundError(fmt::format("catalog {}: no such file", path));
    return database->Error(code, "open");
  }
  sqlite3_busy_timeout(database->connection_, static_cast<int>(busy_timeout.count()));
  // The file may come from another machine: nothing stored in it is run or trusted.
  sqlite3_db_config(database->connection_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  RETURN_IF_ERROR(
      database->Execute("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; "
                        "PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL"));
  return database;
}

Database::~Database() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  // Cannot fail: nothing of the connection is in use any more.
  sqlite3_close(connection_);
}

absl::Status Database::CallHook(std::string_view sql) const {
  return hook_ ? hook_(sql) : absl::OkStatus();
}

absl::Status Database::Error(int code, std::string_view sql) const {
  const char* text = connection_ == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(connection_);
  // SQLite keeps the errno of earlier calls; it explains only errors of input and output.
  const bool has_errno = (code & 0xff) == SQLITE_IOERR && connection_ != nullptr;
  return ToStatus(code, has_errno ? sqlite3_system_errno(connection_) : 0,
                  fmt::format("catalog {}: {} (SQLite error {}) in {}", path_, text, code,
                              sql.substr(0, sql.find('\n'))));
}

absl::StatusOr<Statement> Database::Prepare(std::string_view sql) {
  const auto [entry, is_new] = statements_.try_emplace(std::string(sql), nullptr);
  if (is_new) {
    const int code = sqlite3_prepare_v3(connection_, entry->first.c_str(), -1,
                                        SQLITE_PREPARE_PERSISTENT, &entry->second, nullptr);
    if (code != SQLITE_OK) {
      statements_.erase(entry);
      return Error(code, sql);
    }
  }
  return Statement(this, entry->second);
}

absl::Status Database::Execute(const std::string& sql) {
  RETURN_IF_ERROR(CallHook(sql));
  const int code = sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code, sql);
}

absl::StatusOr<int64_t> Database::ReadInt(const std::string& sql) {
  ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  ASSIGN_OR_RETURN(const bool found, statement.Step());
  if (!found) return absl::InternalError(fmt::format("catalog {}: {} is empty", path_, sql));
  return statement.Int(0);
}

// In WAL mode NORMAL leaves a commit to the page cache, until the next FULL one or a checkpoint
// (https://sqlite.org/pragma.html#pragma_synchronous).
absl::Status Database::SetSynchronous(Outlives outlives) {
  if (outlives == synchronous_) return absl::OkStatus();
  const bool full = outlives == Outlives::kPowerCut;
  RETURN_IF_ERROR(Execute(full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"));
  synchronous_ = outlives;
  return absl::OkStatus();
}

absl::Status Database::Write(const std::function<absl::Status()>& body, Outlives outlives) {
  const auto run = [this](const char* sql) -> absl::Status {
    ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
    return statement.Run();
  };
  RETURN_IF_ERROR(SetSynchronous(outlives));
  RETURN_IF_ERROR(run("BEGIN IMMEDIATE"));
  absl::Status status = body();
  if (status.ok()) status = run("COMMIT");
  // Some errors roll back by themselves; a failed COMMIT does not.
  if (!status.ok() && sqlite3_get_autocommit(connection_) == 0) {
    const int code = sqlite3_exec(connection_, "ROLLBACK", nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) {
      return absl::Status(status.code(),
                          fmt::format("{}; and then {}", std::string(status.message()),
                                      std::string(Error(code, "ROLLBACK").message())));
    }
  }
  return status;
}

absl::Status Database::Checkpoint() {
  RETURN_IF_ERROR(CallHook("PRAGMA wal_checkpoint(TRUNCATE)"));
  const int code =
      sqlite3_wal_checkpoint_v2(connection_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code, "PRAGMA wal_checkpoint(TRUNCATE)");
}

}  // namespace holdfast
