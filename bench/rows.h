// The rows: each measures its figures and adds them to the report. An error is what kept it from
// measuring, not a figure that missed its must.
#pragma once

#include "absl/status/status.h"
#include "bench/site.h"

namespace holdfast::bench {

absl::Status MeasureD1(Bench& bench);  // d1_d2_paths.cc
absl::Status MeasureD2(Bench& bench);
absl::Status MeasureD3(Bench& bench);  // d3_first_write.cc
absl::Status MeasureS1(Bench& bench);  // s1_cut.cc
absl::Status MeasureS2(Bench& bench);  // s2_stall.cc
absl::Status MeasureS3(Bench& bench);  // s3_overwrite.cc
absl::Status MeasureS4(Bench& bench);  // s4_space.cc
absl::Status MeasureM1(Bench& bench);  // m1_stage.cc
absl::Status MeasureM4(Bench& bench);  // m4_create.cc
absl::Status MeasureC1(Bench& bench);  // c1_rates.cc
absl::Status MeasureC1b(Bench& bench);
absl::Status MeasureC2(Bench& bench);  // c2_c3_many_volumes.cc
absl::Status MeasureC3(Bench& bench);
absl::Status MeasureC4(Bench& bench);  // c4_r1_server.cc
absl::Status MeasureR1(Bench& bench);

}  // namespace holdfast::bench
