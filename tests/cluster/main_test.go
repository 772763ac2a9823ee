// Package cluster lets a real Kubernetes of one node use the driver: etcd, API server, controller
// manager, scheduler, containerd and kubelet, the official sidecars, and `holdfast all`.
//
// Needs root, Debian's containerd and busybox-static, and three folders in the environment:
// HOLDFAST_BIN (holdfast, holdfastctl), HOLDFAST_CLUSTER_PROGRAMS (what ./kubernetes and the tools
// of go.mod build to) and HOLDFAST_CLUSTER_CRDS (the snapshot CRDs). tools/test builds them all.
//
// Where things run:
//
//	the caller       go test
//	the world        mount, network, pid, uts and ipc namespaces; its pid 1 is this test, so that
//	                 the test's end is everything's end. etcd, control plane, sidecars
//	the node         in the world: mount, pid, uts and ipc namespaces; its pid 1 is this program as
//	                 well, and its death is the node's power cut. containerd, kubelet, holdfast
package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// What this process is to be; set by the one that starts it.
const roleVariable = "CLUSTER_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "world":
		os.Exit(runWorld(m))
	case "node":
		runNode()
	default:
		fmt.Fprintln(os.Stderr, enterWorld())
		os.Exit(1)
	}
}

// enterWorld replaces this process by unshare, whose only child is the same test in the world.
// Whatever ends unshare kills that child, and with a pid 1 all others of its namespace end.
func enterWorld() error {
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	arguments := append([]string{unshare, "--mount", "--net", "--pid", "--uts", "--ipc", "--fork",
		"--kill-child", "--mount-proc", "--propagation", "private", self}, os.Args[1:]...)
	return syscall.Exec(unshare, arguments, append(os.Environ(), roleVariable+"=world"))
}

func runWorld(m *testing.M) int {
	if err := settleWorld(); err != nil {
		fmt.Fprintln(os.Stderr, "the world:", err)
		return 1
	}
	return m.Run()
}
