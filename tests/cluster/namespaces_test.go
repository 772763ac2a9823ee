package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// Of the node and of the API server; on the loopback device of the world's network.
	address = "10.99.0.1"
	// kubelet's and the driver's, as on any node.
	kubeletRoot = "/var/lib/kubelet"
	runFolder   = "/run/holdfast"
	nodeName    = "node1"
)

// What programs write in fixed places stays in memory and goes with the namespace.
var privateFolders = []string{"/run", "/var/lib", "/var/log", "/opt", "/usr/libexec"}

func mountPrivateFolders() error {
	for _, folder := range privateFolders {
		if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("tmpfs on %s: %w", folder, err)
		}
	}
	return nil
}

func settleWorld() error {
	for _, variable := range []string{"HOLDFAST_BIN", "HOLDFAST_CLUSTER_PROGRAMS", "HOLDFAST_CLUSTER_CRDS", "TMPDIR"} {
		for _, folder := range privateFolders {
			if path, err := filepath.Abs(os.Getenv(variable)); err == nil && strings.HasPrefix(path, folder+"/") {
				return fmt.Errorf("%s: expected a folder outside of %s, which the cluster has for itself, found %s",
					variable, folder, path)
			}
		}
	}
	if err := mountPrivateFolders(); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte("world")); err != nil {
		return err
	}
	for _, command := range [][]string{
		{"ip", "link", "set", "lo", "up"},
		{"ip", "address", "add", address + "/32", "dev", "lo"},
	} {
		if output, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", command, err, output)
		}
	}
	return nil
}

// --- The node -------------------------------------------------------------------------------------

// What its pid 1 is told, by environment.
const (
	nodeFolderVariable = "CLUSTER_NODE_FOLDER" // persistent: its disk
	bootIDVariable     = "CLUSTER_BOOT_ID"
)

// runNode is pid 1 of the node: settles it, says so by a file, and reaps until it is killed.
func runNode() {
	folder := os.Getenv(nodeFolderVariable)
	if err := settleNode(folder); err != nil {
		fmt.Fprintln(os.Stderr, "the node:", err)
		os.Exit(1)
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD)
	if err := os.WriteFile(filepath.Join(folder, "ready"), nil, 0o600); err != nil {
		fmt.Fprintln(os.Stderr, "the node:", err)
		os.Exit(1)
	}
	for range signals {
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
		}
	}
}

// settleNode makes what a boot makes: an empty /run, the disks mounted, another boot id, and mount
// propagation as systemd sets it up. Only kubelet's folder and the pool survive a reboot.
func settleNode(folder string) error {
	if err := syscall.Sethostname([]byte(nodeName)); err != nil {
		return err
	}
	if err := mountPrivateFolders(); err != nil {
		return err
	}
	bootID := filepath.Join(folder, "boot_id")
	if err := os.WriteFile(bootID, []byte(os.Getenv(bootIDVariable)+"\n"), 0o444); err != nil {
		return err
	}
	kubelet := filepath.Join(folder, "kubelet")
	for _, made := range []string{kubelet, kubeletRoot, poolMount(folder)} {
		if err := os.MkdirAll(made, 0o755); err != nil {
			return err
		}
	}
	for source, target := range map[string]string{
		bootID:  "/proc/sys/kernel/random/boot_id",
		kubelet: kubeletRoot,
	} {
		if err := syscall.Mount(source, target, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s to %s: %w", source, target, err)
		}
	}
	if err := mountPool(folder); err != nil {
		return err
	}
	return syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, "")
}

// node is the namespaces of the one node, from a boot to a power cut.
type node struct {
	folder string // of its disk; the same path in the world and in the node
	log    string
	boots  int
	init   *exec.Cmd
	pid    int // of its pid 1, as the world counts
}

func (n *node) bootID() string {
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", n.boots, os.Getpid())
}

func (n *node) boot(t *testing.T) {
	t.Helper()
	n.boots++
	ready := filepath.Join(n.folder, "ready")
	_ = os.Remove(ready)
	self, err := os.Executable()
	must(t, err)
	n.init = exec.Command("unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
		"--mount-proc", "--propagation", "private", self)
	n.init.Env = append(os.Environ(), roleVariable+"=node", nodeFolderVariable+"="+n.folder,
		bootIDVariable+"="+n.bootID())
	log := openLog(t, n.log)
	defer log.Close()
	n.init.Stdout, n.init.Stderr = log, log
	must(t, n.init.Start())
	await(t, 30*time.Second, "the node to boot", func() (bool, string) {
		_, err := os.Stat(ready)
		return err == nil, tail(n.log, 5)
	})
	n.pid = onlyChild(n.init.Process.Pid)
	if n.pid == 0 {
		t.Fatal("the node's first process is not to be found")
	}
}

// cutPower kills everything of the node at once. Its mounts go with their namespace; what the
// kernel, which is not rebooted, keeps beyond that is taken away here: pinned loop devices.
func (n *node) cutPower(t *testing.T) {
	t.Helper()
	if n.init == nil {
		return
	}
	_ = syscall.Kill(n.pid, syscall.SIGKILL)
	_ = n.init.Wait()
	n.init = nil
	await(t, 30*time.Second, "the node's loop devices to go", func() (bool, string) {
		loops := n.loops()
		for device := range n.imageLoops() {
			// kubelet makes a loop device of its own on that of a raw block volume.
			output, _ := exec.Command("losetup", "--noheadings", "--output", "NAME", "--associated", device).Output()
			for _, above := range strings.Fields(string(output)) {
				_ = exec.Command("losetup", "--detach", above).Run()
			}
			_ = exec.Command("losetup", "--detach", device).Run()
		}
		return len(loops) == 0, fmt.Sprint(loops)
	})
}

// inside is a path of the node as the world reaches it.
func (n *node) inside(path string) string { return fmt.Sprintf("/proc/%d/root%s", n.pid, path) }

// command runs in the node.
func (n *node) command(argv ...string) []string {
	return append([]string{"nsenter", "--target", strconv.Itoa(n.pid), "--mount", "--pid", "--uts",
		"--ipc", "--"}, argv...)
}

func (n *node) run(argv ...string) (string, error) {
	argv = n.command(argv...)
	command := exec.Command(argv[0], argv[1:]...)
	command.Env = programEnvironment()
	output, err := command.CombinedOutput()
	return strings.TrimSpace(string(output)), err
}

// loops are those of the pool's disk and of images in the pool: device to file. Others' pools on this
// machine have the same names in them: an image is known by the device that its file is on.
func (n *node) loops() map[string]string {
	found, images := map[string]string{}, map[string]string{}
	output, err := exec.Command("losetup", "--list", "--noheadings", "--raw", "--output",
		"NAME,BACK-MAJ:MIN,BACK-FILE").Output()
	if err != nil {
		return found
	}
	pool := ""
	for line := range strings.Lines(string(output)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		if strings.HasPrefix(fields[2], poolDisk(n.folder)) {
			found[fields[0]] = fields[2]
			pool = "7:" + strings.TrimPrefix(fields[0], "/dev/loop")
		}
		// losetup pads numbers, and writes a space of a value so.
		images[fields[0]] = strings.ReplaceAll(fields[1], `\x20`, "") + " " + fields[2]
	}
	for device, file := range images {
		if pool != "" && strings.HasPrefix(file, pool+" ") {
			found[device] = file
		}
	}
	return found
}

// imageLoops are those of volumes: device to file.
func (n *node) imageLoops() map[string]string {
	images := n.loops()
	for device, file := range images {
		if strings.HasPrefix(file, poolDisk(n.folder)) {
			delete(images, device)
		}
	}
	return images
}
