#include "bench/fio.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/machine.h"

namespace holdfast::bench {
namespace {

void AddJob(const FioJob& job, std::vector<std::string>& arguments) {
  // A job inherits nothing here: each says everything.
  arguments.insert(
      arguments.end(),
      {fmt::format("--name=j{}", arguments.size()), "--stonewall", "--thread", "--direct=1",
       "--filename=" + job.file, "--rw=" + job.pattern, fmt::format("--bs={}", job.block_bytes),
       "--allow_file_create=0", "--randrepeat=0", fmt::format("--iodepth={}", job.depth),
       job.depth > 1 ? "--ioengine=libaio" : "--ioengine=psync"});
  if (job.offset_bytes > 0) arguments.push_back(fmt::format("--offset={}", job.offset_bytes));
  if (job.span_bytes > 0) arguments.push_back(fmt::format("--size={}", job.span_bytes));
  if (job.total_bytes > 0) arguments.push_back(fmt::format("--io_size={}", job.total_bytes));
  if (job.fdatasync) arguments.push_back("--fdatasync=1");
  if (job.runtime_ms > 0) {
    // In milliseconds: fio reads 0.6 as 0.
    arguments.insert(arguments.end(),
                     {"--time_based", fmt::format("--runtime={}ms", job.runtime_ms)});
  }
}

}  // namespace

absl::StatusOr<std::vector<double>> RunFio(const std::vector<FioJob>& jobs) {
  const std::string output = fmt::format("/tmp/holdfast-bench-fio-{}.json", getpid());
  std::vector<std::string> arguments = {"--output-format=json", "--output=" + output};
  for (const FioJob& job : jobs) AddJob(job, arguments);
  RETURN_IF_ERROR(RunProgram("fio", arguments).status());
  std::ifstream file(output);
  // Notes of fio can stand before the object.
  while (file.good() && file.peek() != '{') file.ignore();
  const nlohmann::json json = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  std::remove(output.c_str());
  if (!json.is_object() || json["jobs"].size() != jobs.size()) {
    return absl::InternalError("fio: expected one result for each job, found none that is JSON");
  }
  std::vector<double> rates;
  for (const nlohmann::json& job : json["jobs"]) {
    const int error = job.value("error", 0);
    const double rate = job["read"].value("iops", 0.0) + job["write"].value("iops", 0.0);
    if (error != 0 || rate <= 0) {
      return absl::InternalError(
          fmt::format("fio: job {} of {} did nothing, error {}", rates.size(), jobs.size(), error));
    }
    rates.push_back(rate);
  }
  return rates;
}

}  // namespace holdfast::bench
