// spdlog for the layers below rpc: the library that the programs link, with the default logger that
// main.cc makes. Header-only it would have a logger of its own, which writes to stdout in its own
// format.
#pragma once

#ifndef SPDLOG_COMPILED_LIB
#define SPDLOG_SHARED_LIB
#define SPDLOG_COMPILED_LIB
#define SPDLOG_FMT_EXTERNAL
#endif
#include <spdlog/spdlog.h>
