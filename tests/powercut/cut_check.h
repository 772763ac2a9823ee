// What a power cut left: brought up again by the real driver, and held against the ledger.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/powercut/cells.h"
#include "tests/powercut/recording.h"

namespace holdfast::powercut {

inline std::string Text(const absl::Status& status) { return std::string(status.message()); }

class CutCheck {
 public:
  // The ledger is read as of `cut`; `pages` is what the disk had then. Everything lies below
  // `folder`, which is emptied again.
  CutCheck(const Recording& recording, std::string folder, LoggedDisk::Pages pages, size_t cut,
           uint64_t seed);
  ~CutCheck();
  CutCheck(const CutCheck&) = delete;
  CutCheck& operator=(const CutCheck&) = delete;

  // One sentence for each thing that is not as it was promised; empty: all is well.
  std::vector<std::string> Run();
  // What was compared.
  size_t objects() const { return objects_; }
  size_t cells() const { return cells_; }

 private:
  struct Found {
    uint64_t size_bytes = 0;
    std::vector<const Facts*> candidates;  // the states of the ledger that it may be in
    const Facts* facts = nullptr;          // the one that it is in
    std::string name, image;
  };

  void CompareAll();
  absl::Status BringUp();
  // False: there is no sense in going on.
  bool AskTheDriver();
  void CompareObjects();
  void CompareObject(const Object& object);
  void CompareCatalogAndPool();
  void CompareRows(const std::string& noun, const char* size);
  void CompareImages();
  void CompareDigest(const std::string& id, Found& found);
  void ShowWriters();
  void ShowAnother();
  void CreateAnother();
  void ShowAndCompare(const std::string& name, const std::string& id, Content content,
                      const std::optional<Origin>& origin);
  void CompareCells(const std::string& name, const Cells& cells, const Origin& origin);
  void TakeDown();
  void Violation(std::string sentence) { violations_.push_back(std::move(sentence)); }

  const Recording& recording_;
  const std::string folder_;
  const size_t cut_;
  std::mt19937_64 random_;
  LoggedDisk disk_;
  std::unique_ptr<PoolDisk> pool_;
  std::unique_ptr<DriverProcess> driver_;
  std::unique_ptr<Calls> calls_;
  std::map<std::string, Found> found_;  // ready, by id
  std::vector<std::string> violations_;
  size_t objects_ = 0, cells_ = 0;
};

}  // namespace holdfast::powercut
