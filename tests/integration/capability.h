// What the kernel lets this process do, and so the driver that it starts.
#pragma once

namespace holdfast {

// CAP_SYS_RESOURCE: a mounted ext4 grows.
bool HasResourceCapability();

}  // namespace holdfast
