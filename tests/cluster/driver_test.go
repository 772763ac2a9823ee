package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

const (
	driverName = "csi.holdfast.dev"
	poolBytes  = 8 << 30 // sparse
)

// --- The pool: a disk of the node, mounted at each boot -------------------------------------------

func poolMount(nodeFolder string) string { return filepath.Join(nodeFolder, "pool") }
func poolDisk(nodeFolder string) string  { return filepath.Join(nodeFolder, "pool.img") }

func (w *world) pool() string { return poolMount(w.node.folder) }

// makePool makes the filesystem only; it becomes a pool at the first boot.
func makePool(t *testing.T, w *world) {
	t.Helper()
	disk := poolDisk(w.node.folder)
	file, err := os.Create(disk)
	must(t, err)
	must(t, file.Truncate(poolBytes))
	must(t, file.Close())
	if output, err := exec.Command("mkfs.xfs", "-q", "-m", "reflink=1", disk).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.xfs: %v: %s", err, output)
	}
}

// mountPool is part of a boot: the loop device that it makes goes with the mount.
func mountPool(nodeFolder string) error {
	output, err := exec.Command("mount", "-o", "loop", poolDisk(nodeFolder), poolMount(nodeFolder)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mount of the pool: %w: %s", err, output)
	}
	return nil
}

// --- The driver and its sidecars ------------------------------------------------------------------

func (w *world) csiSocket() string { return filepath.Join(w.node.folder, "csi.sock") }

func (w *world) startDriver(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(w.node.inside(w.pool()), "catalog.db")); err != nil {
		if output, err := w.holdfastctl("pool", "init", w.pool(), "--name", "cluster"); err != nil {
			t.Fatalf("pool init: %v: %s", err, output)
		}
	}
	mode, more := "all", []string(nil)
	if w.split {
		mode, more = "node", w.nodeArguments()
	}
	w.driver = w.onNode("driver", append([]string{filepath.Join(w.binaries, "holdfast"), mode,
		"--pool", w.pool(), "--endpoint", "unix://" + w.csiSocket(), "--node-id", nodeName,
		"--kubelet-root", kubeletRoot, "--run-folder", runFolder, "--trash-grace", "0",
		"--kubelet-registration", kubeletRoot + "/plugins_registry"}, more...)...)
	w.driver.start(t)
	await(t, 30*time.Second, "the driver to serve", func() (bool, string) {
		_, err := os.Stat(w.csiSocket())
		return err == nil, tail(w.driver.log, 5)
	})
}

func (w *world) holdfastctl(arguments ...string) (string, error) {
	return w.node.run(append([]string{filepath.Join(w.binaries, "holdfastctl")}, arguments...)...)
}

// As in a Deployment, they end when their driver goes and are started again.
func (w *world) startSidecars(t *testing.T) {
	t.Helper()
	socket, config := "--csi-address="+w.csiSocket(), "--kubeconfig="+w.authority.kubeconfig("admin")
	if w.split {
		socket = "--csi-address=" + w.controllerSocket()
	}
	add := func(name string, arguments ...string) {
		argv := append([]string{filepath.Join(w.programs, name), config, "--v=2"}, arguments...)
		sidecar := w.inWorld(name, argv...)
		sidecar.restarts = true
		sidecar.env = []string{"NAMESPACE=" + namespace} // of its CSIStorageCapacity objects
		sidecar.start(t)
		w.sidecars = append(w.sidecars, sidecar)
	}
	// Retries come soon, so that a scenario need not wait for them.
	add("csi-provisioner", socket, "--timeout=60s", "--extra-create-metadata", "--enable-capacity",
		"--capacity-ownerref-level=-1", "--capacity-poll-interval=5s", "--retry-interval-max=2s")
	add("csi-snapshotter", socket, "--timeout=60s", "--extra-create-metadata", "--retry-interval-max=2s")
	add("csi-resizer", socket, "--timeout=60s", "--retry-interval-max=2s", "--handle-volume-inuse-error=false")
	add("snapshot-controller", "--retry-interval-max=2s")
}

func (w *world) sidecar(t *testing.T, name string) *program {
	t.Helper()
	for _, sidecar := range w.sidecars {
		if sidecar.name == name {
			return sidecar
		}
	}
	t.Fatalf("no sidecar %s", name)
	return nil
}

// awaitRegistration waits until kubelet has told the API server of the driver.
func (w *world) awaitRegistration(t *testing.T) {
	t.Helper()
	await(t, 60*time.Second, "kubelet to register the driver", func() (bool, string) {
		node, err := w.client.StorageV1().CSINodes().Get(context.Background(), nodeName, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		for _, driver := range node.Spec.Drivers {
			if driver.Name == driverName {
				return driver.NodeID == nodeName && len(driver.TopologyKeys) == 1, fmt.Sprint(driver)
			}
		}
		return false, "CSINode without it; " + tail(w.driver.log, 3)
	})
}

// --- The objects that a chart would install -------------------------------------------------------

func (w *world) installCRDs(t *testing.T) {
	t.Helper()
	crds := w.dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1",
		Resource: "customresourcedefinitions"})
	files, err := filepath.Glob(filepath.Join(folderOf(t, "HOLDFAST_CLUSTER_CRDS"), "*.storage.k8s.io_*.yaml"))
	must(t, err)
	if len(files) < 3 {
		t.Fatalf("expected the snapshot CRDs, found %v", files)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		object := &unstructured.Unstructured{}
		must(t, yaml.Unmarshal(text, object))
		_, err = crds.Create(context.Background(), object, metav1.CreateOptions{})
		must(t, err)
	}
	await(t, 30*time.Second, "the snapshot API", func() (bool, string) {
		_, err := w.snapshots().List(context.Background(), metav1.ListOptions{})
		return err == nil, fmt.Sprint(err)
	})
}

// Classes by name.
const (
	ext4Waits    = "ext4-waits"    // WaitForFirstConsumer
	xfsImmediate = "xfs-immediate" // Immediate, and grows online wherever
)

func (w *world) makeClasses(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	yes, no, policy := true, false, storagev1.FileFSGroupPolicy
	_, err := w.client.StorageV1().CSIDrivers().Create(ctx, &storagev1.CSIDriver{
		ObjectMeta: metav1.ObjectMeta{Name: driverName},
		Spec: storagev1.CSIDriverSpec{AttachRequired: &no, PodInfoOnMount: &yes, StorageCapacity: &yes,
			FSGroupPolicy: &policy, SELinuxMount: &yes,
			VolumeLifecycleModes: []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent}},
	}, metav1.CreateOptions{})
	must(t, err)
	for name, fsType := range map[string]string{ext4Waits: "ext4", xfsImmediate: "xfs"} {
		binding, reclaim := storagev1.VolumeBindingWaitForFirstConsumer, corev1.PersistentVolumeReclaimDelete
		if name == xfsImmediate {
			binding = storagev1.VolumeBindingImmediate
		}
		_, err := w.client.StorageV1().StorageClasses().Create(ctx, &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: driverName,
			Parameters:    map[string]string{"csi.storage.k8s.io/fstype": fsType},
			ReclaimPolicy: &reclaim, VolumeBindingMode: &binding, AllowVolumeExpansion: &yes,
		}, metav1.CreateOptions{})
		must(t, err)
	}
	_, err = w.dynamic.Resource(snapshotGroup("volumesnapshotclasses")).Create(ctx,
		&unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass",
			"metadata": map[string]any{"name": "snapshots"}, "driver": driverName, "deletionPolicy": "Delete",
		}}, metav1.CreateOptions{})
	must(t, err)
}
