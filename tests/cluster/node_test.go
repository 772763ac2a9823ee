package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	image      = "docker.io/library/busybox:1.35"
	pauseImage = "registry.k8s.io/pause:3.10.2" // kubelet names it, nothing depends on the name
)

// startNode starts what a boot of a real node starts by itself. kubelet starts when containerd does
// or does not answer: it waits for it.
func (w *world) startNode(t *testing.T) {
	t.Helper()
	w.startContainerd(t)
	w.startKubelet(t)
	w.awaitNodeReady(t)
}

func (w *world) startContainerd(t *testing.T) {
	t.Helper()
	folder := w.node.folder
	must(t, os.MkdirAll(filepath.Join(folder, "cni"), 0o700))
	// Every pod here uses the node's network; containerd only wants to have one configured.
	write(t, filepath.Join(folder, "cni", "10-none.conflist"),
		`{"cniVersion":"0.4.0","name":"none","plugins":[{"type":"loopback"}]}`)
	write(t, filepath.Join(folder, "containerd.toml"), fmt.Sprintf(`version = 2
root = "%[1]s/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "%[2]s"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "%[3]s"
  # Without CAP_SYS_RESOURCE no process may lower its oom_score_adj, and no sandbox would start.
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    conf_dir = "%[1]s/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`, folder, w.containerdSocket(), pauseImage))
	if w.containerd == nil || w.containerd.running() == 0 {
		w.containerd = w.onNode("containerd", "containerd", "-c", filepath.Join(folder, "containerd.toml"))
		w.containerd.start(t)
	}
	await(t, 60*time.Second, "containerd to answer", func() (bool, string) {
		output, err := w.ctr("version")
		return err == nil, output
	})
	archive := filepath.Join(w.folder, "busybox.tar")
	if _, err := os.Stat(archive); err != nil {
		makeImage(t, archive)
		if output, err := w.ctr("-n", "k8s.io", "images", "import", archive); err != nil {
			t.Fatalf("images import: %v: %s", err, output)
		}
	}
}

// On the node's disk, which is the same path in the world.
func (w *world) containerdSocket() string { return filepath.Join(w.node.folder, "containerd.sock") }

func (w *world) ctr(arguments ...string) (string, error) {
	return w.node.run(append([]string{"ctr", "--address", w.containerdSocket()}, arguments...)...)
}

func (w *world) startKubelet(t *testing.T) {
	t.Helper()
	w.makeCgroups(t)
	folder, path := w.node.folder, w.authority.path
	write(t, filepath.Join(folder, "kubelet.yaml"), fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]s
containerRuntimeEndpoint: unix://%[2]s
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupRoot: /%[3]s
enforceNodeAllocatable: [pods]
# For a root without CAP_SYS_RESOURCE: what it may not set is not an error.
featureGates: {KubeletInUserNamespace: true}
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %[4]s}}
authorization: {mode: Webhook}
tlsCertFile: %[5]s
tlsPrivateKeyFile: %[6]s
podLogsDir: %[7]s/pods
healthzBindAddress: 127.0.0.1
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
evictionHard: {memory.available: "100Mi", nodefs.available: "1%%", imagefs.available: "1%%", nodefs.inodesFree: "1%%"}
resolvConf: ""
clusterDNS: []
syncFrequency: 10s
imageGCHighThresholdPercent: 100
`, address, w.containerdSocket(), w.cgroup(), path("ca.crt"), path(nodeName+".crt"), path(nodeName+".key"), folder))
	w.kubelet = w.onNode("kubelet", w.kubernetes, "kubelet", "--config="+filepath.Join(folder, "kubelet.yaml"),
		"--kubeconfig="+w.authority.kubeconfig(nodeName), "--hostname-override="+nodeName,
		"--node-ip="+address, "--root-dir="+kubeletRoot, "--cert-dir="+path("certificates"), "--v=2")
	w.kubelet.start(t)
}

// awaitNodeReady waits until the kubelet of this boot has said so, not one before it.
func (w *world) awaitNodeReady(t *testing.T) {
	t.Helper()
	await(t, 90*time.Second, "the node to be Ready", func() (bool, string) {
		if w.kubelet.running() == 0 {
			t.Fatalf("kubelet ended: %s", tail(w.kubelet.log, 1))
		}
		node, err := w.client.CoreV1().Nodes().Get(context.Background(), nodeName, metav1.GetOptions{})
		if err != nil {
			return false, fmt.Sprint(err, "\n", tail(w.kubelet.log, 5))
		}
		booted := node.Status.NodeInfo.BootID == w.node.bootID()
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady {
				return booted && condition.Status == corev1.ConditionTrue,
					fmt.Sprintf("boot %s, %s", node.Status.NodeInfo.BootID, condition.Message)
			}
		}
		return false, "no condition Ready"
	})
}

// --- Cgroups: the only thing beside loop devices that namespaces do not take with them -------------

// Its own for each world, because other suites may run on this machine.
func (w *world) cgroup() string { return filepath.Base(w.folder) }

func (w *world) cgroupFolders() []string {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return []string{filepath.Join("/sys/fs/cgroup", w.cgroup())}
	}
	controllers, _ := os.ReadDir("/sys/fs/cgroup")
	var folders []string
	for _, controller := range controllers {
		if controller.IsDir() { // some have a symbolic link as another name
			folders = append(folders, filepath.Join("/sys/fs/cgroup", controller.Name(), w.cgroup()))
		}
	}
	return folders
}

func (w *world) makeCgroups(t *testing.T) {
	t.Helper()
	for _, folder := range w.cgroupFolders() {
		must(t, os.MkdirAll(folder, 0o755))
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			// Version 1 leaves them empty, and nothing may enter an empty cpuset.
			if value, err := os.ReadFile(filepath.Join(folder, "..", name)); err == nil {
				_ = os.WriteFile(filepath.Join(folder, name), value, 0o644)
			}
		}
	}
}

func (w *world) removeCgroups(t *testing.T) {
	t.Helper()
	await(t, 20*time.Second, "the cgroups to be empty", func() (bool, string) {
		left := ""
		for _, folder := range w.cgroupFolders() {
			_ = exec.Command("find", folder, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";").Run()
			if _, err := os.Stat(folder); err == nil {
				left += " " + folder
			}
		}
		return left == "", left
	})
}

// --- The image of every container: busybox, under two names ---------------------------------------

// makeImage writes a docker-archive.
func makeImage(t *testing.T, path string) {
	t.Helper()
	var layer bytes.Buffer
	out := tar.NewWriter(&layer)
	for _, folder := range []string{"bin", "tmp", "etc", "proc", "sys", "dev", "data"} {
		must(t, out.WriteHeader(&tar.Header{Name: folder + "/", Typeflag: tar.TypeDir, Mode: 0o755}))
	}
	busybox, err := os.ReadFile("/bin/busybox")
	must(t, err)
	addFile(t, out, "bin/busybox", busybox)
	applets, err := exec.Command("/bin/busybox", "--list").Output()
	must(t, err)
	for _, applet := range strings.Fields(string(applets)) {
		if applet != "busybox" {
			must(t, out.WriteHeader(&tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink,
				Linkname: "busybox", Mode: 0o777}))
		}
	}
	must(t, out.Close())

	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux",
		"config": map[string]any{"Env": []string{"PATH=/bin"}, "Cmd": []string{"sleep", "2000000000"}},
		"rootfs": map[string]any{"type": "layers",
			"diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer.Bytes()))}},
	})
	must(t, err)
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json",
		"RepoTags": []string{image, pauseImage}, "Layers": []string{"layer.tar"}}})
	must(t, err)
	file, err := os.Create(path)
	must(t, err)
	defer file.Close()
	archive := tar.NewWriter(io.Writer(file))
	addFile(t, archive, "manifest.json", manifest)
	addFile(t, archive, "config.json", config)
	addFile(t, archive, "layer.tar", layer.Bytes())
	must(t, archive.Close())
}

func addFile(t *testing.T, out *tar.Writer, name string, content []byte) {
	t.Helper()
	must(t, out.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755,
		Size: int64(len(content))}))
	_, err := out.Write(content)
	must(t, err)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}
