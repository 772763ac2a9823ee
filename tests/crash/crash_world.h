// A pool, a traced driver on it, and one operation that is interrupted again and again.
#pragma once

#include <random>
#include <string>

#include "tests/crash/operation.h"
#include "tests/crash/traced_driver.h"
#include "tests/integration/integration_test.h"

namespace holdfast {

// kCall: the driver is killed in the operation. kRecovery: it was killed there, and is killed again
// while it starts and recovers.
enum class Victim { kCall, kRecovery };

struct CrashCase {
  OperationKind kind;
  Ground ground;
  Victim victim = Victim::kCall;
};
void PrintTo(const CrashCase& crash, std::ostream* out);
std::string CrashCaseName(const ::testing::TestParamInfo<CrashCase>& info);

class CrashWorld : public IntegrationTest, public ::testing::WithParamInterface<CrashCase> {
 public:
  static constexpr uint64_t kKnownBytes = 2 * kMiB;
  static constexpr uint64_t kSeedOfSource = 77;

  CrashWorld() : IntegrationTest(GetParam().ground.pool) {}

  // --- What operations call
  // ---------------------------------------------------------------------------------------
  using IntegrationTest::Create;
  using IntegrationTest::Delete;
  using IntegrationTest::DeleteSnapshot;
  using IntegrationTest::Expand;
  using IntegrationTest::ExpandOnNode;
  using IntegrationTest::Mounted;
  using IntegrationTest::pool;
  using IntegrationTest::Publish;
  using IntegrationTest::PutAway;
  using IntegrationTest::Row;
  using IntegrationTest::Show;
  using IntegrationTest::Snapshot;
  using IntegrationTest::Stage;
  using IntegrationTest::StagingPath;
  using IntegrationTest::TargetPath;
  using IntegrationTest::Unpublish;
  using IntegrationTest::Unstage;

  static Content content() { return GetParam().ground.content; }
  static bool block() { return content() == Content::kBlock; }
  CsiClient& client() { return csi(); }

  // Makes `source`, a volume that holds known bytes, published when `shown`.
  void MakeSource(bool shown);
  // New dirty pages, so that a freeze has something to flush.
  void Dirty(const std::string& target);
  // The known bytes are there, through a stage and publish of their own or where it is shown.
  void ExpectKnown(const Claim& claim);
  void ExpectKnownAt(const Claim& claim, const std::string& target);
  // A write and its fsync end within a deadline: nothing is frozen.
  void ExpectWritable(const Claim& claim, const std::string& target,
                      std::chrono::seconds deadline = std::chrono::seconds(10));
  // Rows in the trash, by the catalog.
  size_t TrashEntries() const;
  bool WaitForEmptyTrash();
  // The trash is empty, or the driver was killed. False: neither within the deadline.
  bool PurgedOrKilled();

  Claim source;
  std::string target;  // where source is shown; empty: nowhere

 protected:
  std::unique_ptr<DriverProcess> MakeDriver(const std::string& folder,
                                            const std::vector<std::string>& pools) override;
  TracedDriver& traced() { return static_cast<TracedDriver&>(driver()); }

  // One interrupted operation (or, for Victim::kRecovery, one interrupted recovery from it), from
  // Prepare to Clean. False: it ended without a kill, because it made fewer calls than the point;
  // calls_made tells how many.
  bool KillOnce(Operation& operation, const KillPoint& point);
  uint32_t calls_made() const { return calls_made_; }
  // How many mutating calls there are.
  uint32_t CountCalls(Operation& operation);
  // For Victim::kRecovery: where the operation is interrupted before the recovery that is tested.
  static KillPoint InterruptionOf(const Operation& operation);

  // Arms, calls. True when the driver was killed and is gone.
  bool Interrupt(Operation& operation, const KillPoint& point);
  // From the repeated call to Clean.
  void FinishAndCheck(Operation& operation);
  // Catalog against folders, kernel, and what an administrator is told.
  void Audit();

 private:
  // Starts it with the tracer armed. False: it was killed meanwhile.
  bool StartArmed(const KillPoint& point);
  bool InterruptRecovery(Operation& operation, const KillPoint& point);
  void AuditByAdminProgram();
  void AuditLoopsAndMounts();

  uint32_t calls_made_ = 0;
};

}  // namespace holdfast
