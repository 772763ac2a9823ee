// The driver is killed before and after its mutating system calls, is started again, and has lost
// nothing, left nothing, and does what it was asked for.
//
// In CI each operation is killed a few times on one ground that the seed chooses; with
// HOLDFAST_TEST_FULL at every call, before and after, on all of them.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>

#include "tests/crash/crash_world.h"
#include "tests/integration/run_options.h"

namespace holdfast {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::seconds kDefaultBudget{75};
constexpr size_t kLeastKills = 60;

struct Totals {
  size_t cases = 0, kills = 0, calls = 0, moved = 0;
  const SteadyClock::time_point began = SteadyClock::now();
};
Totals& TheTotals() {
  static Totals totals;
  return totals;
}

const RunOptions& Options() { return RunOptions::FromEnvironment(kDefaultBudget); }

double SecondsSinceStart() {
  return std::chrono::duration<double>(SteadyClock::now() - TheTotals().began).count();
}

// Says the seed first and the count last, where a failure of any test stands between.
class Report final : public ::testing::Environment {
 public:
  void SetUp() override {
    (void)TheTotals();
    std::printf("crash: seed %lu, %s\n", Options().seed,
                Options().full ? "every call" : "some calls");
  }
  void TearDown() override {
    const Totals& totals = TheTotals();
    std::printf(
        "crash: seed %lu: %zu kills at %zu mutating calls of %zu operations in %.0f s, %zu "
        "of them moved to an earlier call\n",
        Options().seed, totals.kills, totals.calls, totals.cases, SecondsSinceStart(),
        totals.moved);
    if (::testing::GTEST_FLAG(filter) != "*") return;
    EXPECT_GE(totals.kills, kLeastKills) << "too few kills to prove anything";
  }
};
[[maybe_unused]] const auto* const kReport = ::testing::AddGlobalTestEnvironment(new Report);

std::vector<CrashCase> CasesOf(const OperationKind& kind, Victim victim) {
  std::vector<CrashCase> cases;
  for (const Ground& ground : ContentGrounds()) {
    const auto operation = kind.make();
    if (!operation->Fits(ground)) continue;
    if (victim == Victim::kRecovery && operation->interruption(ground.content).empty()) continue;
    cases.push_back({kind, ground, victim});
  }
  return cases;
}

// All operations; in CI each on one of its grounds.
std::vector<CrashCase> Cases() {
  std::mt19937_64 random(Options().seed);
  std::vector<OperationKind> kinds = ControllerOperations();
  for (OperationKind& kind : NodeOperations()) kinds.push_back(std::move(kind));
  for (OperationKind& kind : ConcurrentOperations()) kinds.push_back(std::move(kind));
  std::vector<CrashCase> chosen;
  for (const Victim victim : {Victim::kCall, Victim::kRecovery}) {
    for (const OperationKind& kind : kinds) {
      const std::vector<CrashCase> cases = CasesOf(kind, victim);
      if (cases.empty()) continue;
      if (Options().full) {
        chosen.insert(chosen.end(), cases.begin(), cases.end());
      } else {
        chosen.push_back(cases[random() % cases.size()]);
      }
    }
  }
  return chosen;
}

const std::vector<CrashCase>& AllCases() {
  static const std::vector<CrashCase> cases = Cases();
  return cases;
}

std::vector<KillPoint> AllPoints(uint32_t calls) {
  std::vector<KillPoint> points;
  for (uint32_t call = 1; call <= calls; ++call) {
    points.push_back({call, KillWhen::kBefore});
    points.push_back({call, KillWhen::kAfter});
  }
  return points;
}

class CrashTest : public CrashWorld {
 protected:
  // In CI: enough kills, and time for this test is over.
  static bool Enough(const Operation& operation, size_t kills) {
    if (Options().full || kills < operation.least_kills()) return false;
    const double share = static_cast<double>(TheTotals().cases) / AllCases().size();
    return SecondsSinceStart() > share * static_cast<double>(Options().budget.count());
  }

  // A run without a kill proves nothing. The number of calls is not quite the same in each run (a
  // log that begins anew, a device number that another process took): past the end of a shorter
  // one, another point takes its place, and that one must be met.
  void MustKill(Operation& operation, const KillPoint& point, std::mt19937_64& random) {
    if (KillOnce(operation, point)) return;
    ASSERT_FALSE(HasFailure());
    const uint32_t calls = calls_made();
    ASSERT_GT(calls, 0u) << "no mutating call at all";
    ASSERT_LT(calls, point.call) << "the tracer missed call " << point.call;
    ++TheTotals().moved;
    const KillPoint instead = {static_cast<uint32_t>(1 + random() % calls * 3 / 4), point.when};
    ASSERT_TRUE(KillOnce(operation, instead)) << "no kill at " << instead.call << " either";
  }
};

INSTANTIATE_TEST_SUITE_P(Killed, CrashTest, ::testing::ValuesIn(AllCases()), CrashCaseName);

TEST_P(CrashTest, LosesNothing_LeavesNothing_AndIsDoneWhenAskedAgain) {
  ++TheTotals().cases;
  const auto operation = GetParam().kind.make();
  operation->SetUp(*this);
  ASSERT_FALSE(HasFailure());
  const uint32_t calls = CountCalls(*operation);
  ASSERT_FALSE(HasFailure());
  ASSERT_GT(calls, 0u) << "no mutating call was counted";
  TheTotals().calls += calls;

  std::mt19937_64 random(Options().seed + TheTotals().cases);
  std::vector<KillPoint> points = AllPoints(calls);
  if (!Options().full) std::shuffle(points.begin(), points.end(), random);
  size_t kills = 0;
  for (const KillPoint& point : points) {
    if (Enough(*operation, kills)) break;
    MustKill(*operation, point, random);
    if (HasFailure()) break;
    ++kills;
    ++TheTotals().kills;
  }
  std::printf("[ KILLS    ] %zu at %u mutating calls\n", kills, calls);
}

}  // namespace
}  // namespace holdfast
