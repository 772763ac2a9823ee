// os/mounts.h: who holds a mount, where it is not a process with an open file
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>

#include "tests/contract/host_contract.h"

namespace holdfast {
namespace {

class MountHoldersContract : public KernelContract {
 protected:
  // A filesystem shown at target("a") while `hold` holds it: what the refusal says. It can be
  // unmounted once `let_go` was called.
  std::string RefusalWhile(const std::function<void(const std::string&)>& hold,
                           const std::function<void(const std::string&)>& let_go) {
    const auto image = NewImage("image", Content::kExt4, NewUuid());
    EXPECT_OK(image);
    EXPECT_OK(Show(*image, Content::kExt4, "a"));
    hold(target("a"));
    const absl::Status refused = host().Unmount(target("a"));
    EXPECT_CODE(refused, kFailedPrecondition);
    let_go(target("a"));
    EXPECT_OK(host().Unmount(target("a")));
    return std::string(refused.message());
  }

  std::string Sentence(const std::string& holder) const {
    return "umount " + target("a") + ": is held by " + holder + "; end that and try again";
  }
};

INSTANTIATE_TEST_SUITE_P(, MountHoldersContract, ::testing::ValuesIn(RealMachineKinds()),
                         [](const auto& tested) { return tested.param.name; });

void WriteAll(const std::string& path, const std::string& data) {
  const UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(write(file.get(), data.data(), data.size()), static_cast<ssize_t>(data.size()));
  ASSERT_EQ(fsync(file.get()), 0);
}

TEST_P(MountHoldersContract, Unmount_WithMountsBeneath_NamesTheFirstAndCountsTheRest) {
  const auto mount_tmpfs = [](const std::string& path) {
    ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
    ASSERT_EQ(mount("tmpfs", path.c_str(), "tmpfs", 0, nullptr), 0) << std::strerror(errno);
  };
  const std::string one = RefusalWhile(
      [&](const std::string& volume) { mount_tmpfs(volume + "/only"); },
      [](const std::string& volume) { EXPECT_EQ(umount((volume + "/only").c_str()), 0); });
  EXPECT_EQ(one, Sentence("a mount at " + target("a") + "/only"));
  machine().RemovePath(folder_path() + "/image");
  const std::string many = RefusalWhile(
      [&](const std::string& volume) {
        for (const char* name : {"/first", "/second", "/third"}) mount_tmpfs(volume + name);
      },
      [](const std::string& volume) {
        for (const char* name : {"/first", "/second", "/third"}) {
          EXPECT_EQ(umount((volume + name).c_str()), 0);
        }
      });
  EXPECT_EQ(many, Sentence("a mount at " + target("a") + "/first and 2 more beneath"));
}

TEST_P(MountHoldersContract, Unmount_WithALoopDeviceOnAFileInside_NamesIt) {
  AttachedLoop inner;
  const std::string said = RefusalWhile(
      [&](const std::string& volume) {
        WriteAll(volume + "/disk.img", std::string(kMiB, 'x'));
        const UniqueFd file(open((volume + "/disk.img").c_str(), O_RDWR | O_CLOEXEC));
        ASSERT_OK_AND_ASSIGN(inner, host().Attach(file, {}));
      },
      [&](const std::string&) {
        inner.fd.Close();
        EXPECT_TRUE(Eventually([&] { return !host().IsAttached(inner.loop).value_or(true); }));
      });
  EXPECT_EQ(said, Sentence("loop device " + inner.loop.path + " on " + target("a") + "/disk.img"));
}

TEST_P(MountHoldersContract, Unmount_WithASwapFileInside_NamesIt) {
  // mkswap: version 1 and the number of the last page at 1024, the word at the first page's end.
  std::string swap(kMiB, '\0');
  const uint32_t header[] = {1, static_cast<uint32_t>(swap.size() / 4096 - 1), 0};
  std::memcpy(swap.data() + 1024, header, sizeof(header));
  std::memcpy(swap.data() + 4096 - 10, "SWAPSPACE2", 10);
  const std::string said = RefusalWhile(
      [&](const std::string& volume) {
        WriteAll(volume + "/a swap", swap);
        // The lowest priority: used by nobody while there is memory.
        ASSERT_EQ(swapon((volume + "/a swap").c_str(), SWAP_FLAG_PREFER), 0)
            << std::strerror(errno);
      },
      [](const std::string& volume) { EXPECT_EQ(swapoff((volume + "/a swap").c_str()), 0); });
  EXPECT_EQ(said, Sentence("swap on " + target("a") + "/a swap"));
}

TEST_P(MountHoldersContract, Unmount_WithABoundSocketInside_NamesItsProcess) {
  UniqueFd bound;
  const std::string said = RefusalWhile(
      [&](const std::string& volume) {
        bound = UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address = {};
        address.sun_family = AF_UNIX;
        const std::string path = volume + "/s";
        ASSERT_LT(path.size(), sizeof(address.sun_path));
        std::memcpy(address.sun_path, path.c_str(), path.size());
        ASSERT_EQ(bind(bound.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
      },
      [&](const std::string&) { bound.Close(); });
  EXPECT_NE(
      said.find("(pid " + std::to_string(getpid()) + ") with its socket " + target("a") + "/s"),
      std::string::npos)
      << said;
}

}  // namespace
}  // namespace holdfast
