// Text for humans and values for JSON.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "catalog/catalog.h"
#include "nlohmann/json.hpp"
#include "volume/root_attributes.h"
#include "volume/volume.h"

namespace holdfast::ctl {

// Rows under a heading, columns as wide as they need.
class Table {
 public:
  explicit Table(std::vector<std::string> heading) : rows_{std::move(heading)} {}
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void Print(std::ostream& out) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// "2026-11-23T09:10:11Z"; "-" for 0.
std::string FormatTime(int64_t unix_nanos);
// "0700".
std::string FormatMode(uint32_t mode);
const char* StateName(ObjectState state);
const char* ProvisioningName(Provisioning provisioning);
const char* LastEndName(LastEnd last_end);
// "-", "snapshot ID", "volume ID".
std::string SourceText(const Source& source);
// Control characters become '?', nothing becomes '-': names are anybody's.
std::string Printable(std::string text);

// "NAMESPACE/CLAIM" of whose volume it is, which the provisioner passes on as labels; "-": nobody's.
template <typename Labels>
std::string ClaimOf(const Labels& labels) {
  const auto label = [&](const char* key) {
    const auto found = labels.find(key);
    return found == labels.end() ? std::string() : found->second;
  };
  const std::string name = label("csi.storage.k8s.io/pvc/name");
  if (name.empty()) return "-";
  return Printable(label("csi.storage.k8s.io/pvc/namespace") + "/" + name);
}

// (name, value) of each attribute of a root directory, in a fixed order.
std::vector<std::pair<std::string, std::string>> RootFields(const RootAttributes& root);

void PrintJson(const nlohmann::ordered_json& json, std::ostream& out);

nlohmann::ordered_json ToJson(const Volume& volume, const PoolIdentity& pool);

}  // namespace holdfast::ctl
