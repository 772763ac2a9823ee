#include "tests/crash/tracer/mutating_calls.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>

namespace holdfast {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

// A call that is reported always, or when an argument has one of `bits`, or is one of `values`.
struct Rule {
  const char* name;
  uint32_t number;
  int argument = -1;
  uint32_t bits = 0;
  std::vector<uint32_t> values = {};
};

struct IoctlName {
  uint32_t request;
  const char* name;
};

struct XfsGrowData {  // xfs_growfs_data of xfs_fs.h
  uint64_t new_blocks;
  uint32_t max_inode_percent;
};

const std::vector<IoctlName>& MutatingIoctls() {
  static const std::vector<IoctlName> all = {
      {FICLONE, "FICLONE"},
      {FICLONERANGE, "FICLONERANGE"},
      {FIDEDUPERANGE, "FIDEDUPERANGE"},
      {FIFREEZE, "FIFREEZE"},
      {FITHAW, "FITHAW"},
      {FITRIM, "FITRIM"},
      {FS_IOC_SETFLAGS, "FS_IOC_SETFLAGS"},
      {FS_IOC_FSSETXATTR, "FS_IOC_FSSETXATTR"},
      {static_cast<uint32_t>(_IOR('X', 125, uint32_t)), "FS_IOC_SHUTDOWN"},
      {static_cast<uint32_t>(_IOW('X', 110, XfsGrowData)), "XFS_IOC_FSGROWFSDATA"},
      {static_cast<uint32_t>(_IOW('f', 16, uint64_t)), "EXT4_IOC_RESIZE_FS"},
      {static_cast<uint32_t>(BTRFS_IOC_RESIZE), "BTRFS_IOC_RESIZE"},
      {LOOP_CONFIGURE, "LOOP_CONFIGURE"},
      {LOOP_SET_FD, "LOOP_SET_FD"},
      {LOOP_CLR_FD, "LOOP_CLR_FD"},
      {LOOP_SET_STATUS64, "LOOP_SET_STATUS64"},
      {LOOP_SET_CAPACITY, "LOOP_SET_CAPACITY"},
      {LOOP_SET_DIRECT_IO, "LOOP_SET_DIRECT_IO"},
      {LOOP_SET_BLOCK_SIZE, "LOOP_SET_BLOCK_SIZE"},
      {LOOP_CHANGE_FD, "LOOP_CHANGE_FD"},
      {LOOP_CTL_ADD, "LOOP_CTL_ADD"},
      {LOOP_CTL_REMOVE, "LOOP_CTL_REMOVE"},
      {LOOP_CTL_GET_FREE, "LOOP_CTL_GET_FREE"},
      {BLKDISCARD, "BLKDISCARD"},
      {BLKZEROOUT, "BLKZEROOUT"},
  };
  return all;
}

std::vector<uint32_t> IoctlRequests() {
  std::vector<uint32_t> requests;
  for (const IoctlName& known : MutatingIoctls()) requests.push_back(known.request);
  return requests;
}

#define CALL(name) #name, SYS_##name

std::vector<Rule> Rules() {
  constexpr uint32_t kMakes = O_CREAT | O_TRUNC;
  constexpr uint32_t kClonesTree = 1;  // OPEN_TREE_CLONE
  std::vector<Rule> rules = {
      // what files hold
      {CALL(write)},
      {CALL(writev)},
      {CALL(pwrite64)},
      {CALL(pwritev)},
      {CALL(pwritev2)},
      {CALL(truncate)},
      {CALL(ftruncate)},
      {CALL(fallocate)},
      {CALL(copy_file_range)},
      // what is on disk
      {CALL(fsync)},
      {CALL(fdatasync)},
      {CALL(sync_file_range)},
      {CALL(syncfs)},
      {CALL(sync)},
      {CALL(msync)},
      // names
      {CALL(openat), 2, kMakes},
      {CALL(mkdirat)},
      {CALL(unlinkat)},
      {CALL(renameat2)},
      {CALL(linkat)},
      {CALL(symlinkat)},
      {CALL(mknodat)},
      {CALL(bind)},
      // attributes
      {CALL(fchmod)},
      {CALL(fchmodat)},
      {CALL(fchown)},
      {CALL(fchownat)},
      {CALL(utimensat)},
      {CALL(setxattr)},
      {CALL(lsetxattr)},
      {CALL(fsetxattr)},
      {CALL(removexattr)},
      {CALL(lremovexattr)},
      {CALL(fremovexattr)},
      // mounts
      {CALL(fsconfig), 1, 0, {6, 7, 8}},  // create, reconfigure, create exclusively
      {CALL(fsmount)},
      {CALL(open_tree), 2, kClonesTree},
      {CALL(move_mount)},
      {CALL(mount_setattr)},
      {CALL(mount)},
      {CALL(umount2)},
      // devices and the rest of ioctl; children
      {CALL(ioctl), 1, 0, IoctlRequests()},
      {CALL(clone)},
      {CALL(clone3)},
  };
#if defined(__x86_64__)
  for (Rule& rule : std::vector<Rule>{{CALL(open), 1, kMakes},
                                      {CALL(creat)},
                                      {CALL(mkdir)},
                                      {CALL(rmdir)},
                                      {CALL(unlink)},
                                      {CALL(rename)},
                                      {CALL(renameat)},
                                      {CALL(link)},
                                      {CALL(symlink)},
                                      {CALL(mknod)},
                                      {CALL(chmod)},
                                      {CALL(chown)},
                                      {CALL(lchown)},
                                      {CALL(fork)},
                                      {CALL(vfork)}}) {
    rules.push_back(std::move(rule));
  }
#endif
  return rules;
}

#undef CALL

const std::vector<Rule>& AllRules() {
  static const std::vector<Rule> rules = Rules();
  return rules;
}

sock_filter Load(uint32_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset); }
sock_filter Return(uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }
// Goes on with the next instruction when it is so, else skips `skipped`.
sock_filter UnlessEqualSkip(uint32_t value, uint8_t skipped) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skipped);
}

// The low half of an argument: flags and requests are no longer.
uint32_t ArgumentOffset(int argument) {
  return static_cast<uint32_t>(offsetof(seccomp_data, args) + 8 * static_cast<size_t>(argument));
}

std::vector<sock_filter> Condition(const Rule& rule) {
  if (rule.argument < 0) return {Return(SECCOMP_RET_TRACE)};
  std::vector<sock_filter> code = {Load(ArgumentOffset(rule.argument))};
  if (rule.bits != 0) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, rule.bits, 0, 1));
    code.push_back(Return(SECCOMP_RET_TRACE));
  }
  for (const uint32_t value : rule.values) {
    code.push_back(UnlessEqualSkip(value, 1));
    code.push_back(Return(SECCOMP_RET_TRACE));
  }
  code.push_back(Return(SECCOMP_RET_ALLOW));
  return code;
}

std::string LinkOf(pid_t thread, int fd) {
  char name[PATH_MAX];
  const std::string link = "/proc/" + std::to_string(thread) + "/fd/" + std::to_string(fd);
  const ssize_t length = readlink(link.c_str(), name, sizeof(name));
  return length < 0 ? "" : std::string(name, static_cast<size_t>(length));
}

// Files and devices, but for memory files and the two streams that the log goes to.
bool IsStored(pid_t thread, int fd) {
  if (fd == STDOUT_FILENO || fd == STDERR_FILENO) return false;
  struct stat facts;
  const std::string link = "/proc/" + std::to_string(thread) + "/fd/" + std::to_string(fd);
  if (stat(link.c_str(), &facts) != 0) return true;  // counted rather than missed
  if (!S_ISREG(facts.st_mode) && !S_ISBLK(facts.st_mode)) return false;
  return !LinkOf(thread, fd).starts_with("/memfd:");
}

bool MakesThread(pid_t thread, uint64_t number, uint64_t argument) {
  uint64_t flags = number == SYS_clone ? argument : 0;
  if (number == SYS_clone3) {  // flags are the first member of what the argument points to
    const iovec local = {&flags, sizeof(flags)};
    const iovec remote = {reinterpret_cast<void*>(argument), sizeof(flags)};
    if (process_vm_readv(thread, &local, 1, &remote, 1, 0) < 0) return false;
  }
  return (flags & CLONE_THREAD) != 0;
}

// The text at an address of the traced process; what lies behind the page that ends it is cut off.
std::string TextAt(pid_t thread, uint64_t address) {
  char text[256] = {};
  const uint64_t page_left = 4096 - address % 4096;
  const iovec local = {text, std::min<uint64_t>(sizeof(text) - 1, page_left)};
  const iovec remote = {reinterpret_cast<void*>(address), local.iov_len};
  if (process_vm_readv(thread, &local, 1, &remote, 1, 0) < 0) return "";
  return text;
}

std::string LastComponent(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

std::vector<sock_filter> MutatingCallFilter() {
  std::vector<sock_filter> code = {Load(offsetof(seccomp_data, arch)),
                                   UnlessEqualSkip(kArchitecture, 1), BPF_STMT(BPF_JMP | BPF_JA, 1),
                                   Return(SECCOMP_RET_ALLOW), Load(offsetof(seccomp_data, nr))};
  for (const Rule& rule : AllRules()) {
    const std::vector<sock_filter> condition = Condition(rule);
    code.push_back(UnlessEqualSkip(rule.number, static_cast<uint8_t>(condition.size())));
    code.insert(code.end(), condition.begin(), condition.end());
  }
  code.push_back(Return(SECCOMP_RET_ALLOW));
  return code;
}

std::optional<std::string> Mutates(pid_t thread, uint64_t number, const uint64_t (&arguments)[6]) {
  const auto fd = static_cast<int>(arguments[0]);
  std::string name = "call " + std::to_string(number);
  for (const Rule& rule : AllRules()) {
    if (rule.number == number) name = rule.name;
  }
  switch (number) {
    case SYS_write:
    case SYS_writev:
    case SYS_pwrite64:
    case SYS_pwritev:
    case SYS_pwritev2:
    case SYS_ftruncate:
    case SYS_fallocate:
    case SYS_fsync:
    case SYS_fdatasync:
    case SYS_fchmod:
    case SYS_fchown:
      if (!IsStored(thread, fd) && number != SYS_fsync) return std::nullopt;
      return name + " " + LastComponent(LinkOf(thread, fd));
    case SYS_clone:
    case SYS_clone3:
      if (MakesThread(thread, number, arguments[0])) return std::nullopt;
      return name;
    case SYS_ioctl:
      for (const IoctlName& known : MutatingIoctls()) {
        if (known.request == static_cast<uint32_t>(arguments[1])) name = known.name;
      }
      return name + " " + LastComponent(LinkOf(thread, fd));
    case SYS_openat:
    case SYS_mkdirat:
    case SYS_unlinkat:
    case SYS_renameat2:
      return name + " " + LastComponent(TextAt(thread, arguments[1]));
    case SYS_symlinkat:
      return name + " " + LastComponent(TextAt(thread, arguments[2]));
#if defined(__x86_64__)
    case SYS_open:
    case SYS_mkdir:
    case SYS_rmdir:
    case SYS_unlink:
    case SYS_rename:
      return name + " " + LastComponent(TextAt(thread, arguments[0]));
    case SYS_symlink:
      return name + " " + LastComponent(TextAt(thread, arguments[1]));
#endif
    default:
      return name;
  }
}

}  // namespace holdfast
