package deploy

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// assemble makes the root filesystem of an image from this machine's files.
func assemble(t *testing.T, role string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), role)
	command := exec.Command(deployFolder+"/image/assemble", role, folder)
	command.Env = append(os.Environ(), "BIN="+binaries(t))
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("assemble %s: %v: %s", role, err, output)
	}
	return folder
}

// listed are the programs of an image, as paths in it.
func listed(t *testing.T, role string) []string {
	t.Helper()
	var programs []string
	for line := range strings.Lines(read(t, deployFolder+"/image/"+role+".files")) {
		switch line = strings.TrimSpace(line); {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "/"):
			programs = append(programs, line)
		default:
			programs = append(programs, "/usr/bin/"+line)
		}
	}
	return programs
}

// How each says its version, and ends; some have no way to, and say that.
func versionFlag(program string) string {
	switch filepath.Base(program) {
	case "mke2fs", "e2fsck", "mkfs.xfs", "xfs_db", "xfs_repair", "mkfs.btrfs":
		return "-V"
	}
	return "--version"
}

const loaderFailed = 127 // a library that is not there

// In a root of its own, a program finds only what the image has.
func TestImages_EveryProgramRuns(t *testing.T) {
	for _, role := range []string{"controller", "node"} {
		folder := assemble(t, role)
		for _, program := range listed(t, role) {
			t.Run(role+program, func(t *testing.T) {
				command := exec.Command(program, versionFlag(program))
				command.Env = []string{"LC_ALL=C"}
				command.Dir = "/"
				command.SysProcAttr = &syscall.SysProcAttr{Chroot: folder}
				output, _ := command.CombinedOutput()
				t.Logf("%s", output)
				if command.ProcessState == nil || !command.ProcessState.Exited() || len(output) == 0 ||
					command.ProcessState.ExitCode() == loaderFailed {
					t.Errorf("expected its version, found %v: %s", command.ProcessState, output)
				}
			})
		}
	}
}

// Beside the listed programs an image has the libraries of them and the loader: no shell, no
// configuration, nothing that can be run by mistake.
func TestImages_HaveNothingElse(t *testing.T) {
	library := regexp.MustCompile(`^/usr/lib(64)?/(.*/)?[^/]+\.so(\.[0-9.]+)?$`)
	for _, role := range []string{"controller", "node"} {
		t.Run(role, func(t *testing.T) {
			folder, wanted, bytes := assemble(t, role), listed(t, role), int64(0)
			must(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
				must(t, err)
				name := strings.TrimPrefix(path, folder)
				facts, err := entry.Info()
				must(t, err)
				switch {
				case entry.IsDir():
				case entry.Type() == fs.ModeSymlink && strings.Count(name, "/") == 1: // /lib to usr/lib
				case !entry.Type().IsRegular() || !slices.Contains(wanted, name) && !library.MatchString(name):
					t.Errorf("%s: expected only what is listed, found it too", name)
				case facts.Mode() != 0o755:
					t.Errorf("%s: expected the mode 0755, found %v", name, facts.Mode())
				}
				bytes += facts.Size()
				return nil
			}))
			t.Logf("%d MB", bytes>>20)
			if bytes > 100<<20 {
				t.Errorf("expected at most 100 MB, found %d", bytes>>20)
			}
		})
	}
}

// The node's list is what the driver looks for before it starts.
func TestNodeImage_HasWhatTheDriverRuns(t *testing.T) {
	source := read(t, "../../src/os/linux_host.cc")
	found := regexp.MustCompile(`\{"([\w.]+)",\s+&found\.`).FindAllStringSubmatch(source, -1)
	if len(found) < 10 {
		t.Fatalf("expected ten programs in src/os/linux_host.cc, found %v", found)
	}
	var wanted []string
	for _, match := range found {
		wanted = append(wanted, match[1])
	}
	wanted = append(wanted, "holdfast", "holdfastctl")
	var has []string
	for _, program := range listed(t, "node") {
		has = append(has, filepath.Base(program))
	}
	slices.Sort(wanted)
	slices.Sort(has)
	if !slices.Equal(has, wanted) {
		t.Errorf("expected %v, found %v", wanted, has)
	}
}

// What the Dockerfile installs is what tools/setup does to build the driver and to run a node.
func TestDockerfile_InstallsWhatTheDriverNeeds(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "../../tools/setup"), "# the compiler and the libraries of the driver\n")
	section, _, _ = strings.Cut(section, "# tests and benchmarks\n")
	section = regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(section, "")
	beyond := []string{"git", "ca-certificates", "util-linux", "mount"} // of people and of tests
	wanted := slices.DeleteFunc(strings.Fields(section), func(name string) bool { return slices.Contains(beyond, name) })
	_, has, _ := strings.Cut(read(t, "../../Dockerfile"), "--no-install-recommends \\\n")
	has, _, _ = strings.Cut(has, "&& rm")
	found := strings.Fields(strings.ReplaceAll(has, "\\", ""))
	slices.Sort(wanted)
	slices.Sort(found)
	if len(wanted) < 20 || !slices.Equal(found, wanted) {
		t.Errorf("expected %v of tools/setup, found %v", wanted, found)
	}
}
