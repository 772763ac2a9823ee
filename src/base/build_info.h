// What this binary is.
#pragma once

namespace holdfast {

inline constexpr char kDriverName[] = "csi.holdfast.dev";
inline constexpr char kNodeTopologyKey[] = "csi.holdfast.dev/node";
inline constexpr char kDriverVersion[] = "0.1.0";

}  // namespace holdfast
