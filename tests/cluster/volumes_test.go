package cluster

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func (w *world) clonedClaim(t *testing.T) {
	digest := w.digest(t, "writer", "/data/known", 16)
	acknowledged := w.acknowledged(t, "writer")
	// Larger than its source: nobody asks the node to grow it, it has to be grown already.
	w.createClaim(t, claim{name: "cloned", class: xfsImmediate, size: "1Gi", fromClaim: "written"})
	w.runPod(t, pod{name: "clone", claim: "cloned"})
	w.checkKnown(t, "clone", "/data/known", 16, digest)
	w.checkNumbers(t, "clone", acknowledged)
	w.exec(t, "clone", "dd if=/dev/zero of=/data/large bs=1M count=800 conv=fsync 2>&1 && rm /data/large")
	w.checkMounts(t)
	w.deletePod(t, "clone")
}

// ext4 on a host without CAP_SYS_RESOURCE grows when it is staged; on others it could online as well.
func (w *world) offlineGrowth(t *testing.T) {
	w.grow(t, "waiting", "512Mi")
	w.runPod(t, pod{name: "grown", claim: "waiting"})
	w.awaitCapacity(t, "waiting", "512Mi")
	w.exec(t, "grown", "dd if=/dev/zero of=/data/large bs=1M count=400 conv=fsync 2>&1 && rm /data/large")
	w.deletePod(t, "grown")
}

// kubelet gives the volume to the pod's group, which must not look like damage at the next stage.
func (w *world) fsGroup(t *testing.T) {
	for _, group := range []int64{2000, 3000} {
		name := fmt.Sprint("group-", group)
		w.runPod(t, pod{name: name, claim: "waiting", user: 1000, group: group})
		root := w.exec(t, name, "stat -c '%g %a' /data; echo mine >/data/"+name+" && stat -c '%u %g' /data/"+name)
		wanted := fmt.Sprintf("%d 2775\n1000 %d", group, group)
		if root != wanted {
			t.Errorf("expected group and mode of the root, user and group of a file '%s', found '%s'", wanted, root)
		}
		w.deletePod(t, name)
		w.checkMounts(t)
	}
}

func (w *world) sharedByPods(t *testing.T) {
	w.runPod(t, pod{name: "guest", claim: "written"})
	w.checkNumbers(t, "guest", w.acknowledged(t, "writer"))
	w.checkMounts(t)
	w.deletePod(t, "guest")
	w.awaitProgress(t, "writer", 5)
}

func (w *world) readWriteOncePod(t *testing.T) {
	w.createClaim(t, claim{name: "single", class: ext4Waits, size: "64Mi", mode: corev1.ReadWriteOncePod})
	w.runPod(t, pod{name: "holder", claim: "single"})
	w.exec(t, "holder", "echo of the first >/data/note && sync")
	w.createPod(t, pod{name: "rival", claim: "single"})
	pause()
	if phase := w.pod(t, "rival").Status.Phase; phase != corev1.PodPending {
		t.Errorf("expected the second pod to wait, found %s", phase)
	}
	w.checkMounts(t)
	w.deletePod(t, "holder")
	w.awaitRunning(t, "rival")
	if note := w.exec(t, "rival", "cat /data/note"); note != "of the first" {
		t.Errorf("expected the first pod's note, found %s", note)
	}
	w.deletePod(t, "rival")
}

func (w *world) rawBlock(t *testing.T) {
	w.createClaim(t, claim{name: "raw", class: ext4Waits, size: "128Mi", block: true})
	w.runPod(t, pod{name: "raw", claim: "raw", block: true})
	digest := w.writeKnown(t, "raw", "/dev/volume", 32)
	w.takeSnapshot(t, "raw-cut", "raw")
	w.writeKnown(t, "raw", "/dev/volume", 32)
	w.createClaim(t, claim{name: "raw-restored", class: ext4Waits, size: "128Mi", block: true, fromSnapshot: "raw-cut"})
	w.runPod(t, pod{name: "raw-restored", claim: "raw-restored", block: true})
	w.checkKnown(t, "raw-restored", "/dev/volume", 32, digest)
	w.grow(t, "raw", "256Mi")
	w.awaitCapacity(t, "raw", "256Mi")
	await(t, patience, "the device to have grown", func() (bool, string) {
		size := w.exec(t, "raw", "blockdev --getsize64 /dev/volume")
		return size == fmt.Sprint(256<<20), size
	})
	w.checkMounts(t)
	w.deletePod(t, "raw-restored")
}

// The control of the checks that a stage makes: a volume that was changed while it was put away
// reaches no pod, and the user is told why where users look.
func (w *world) changedVolume(t *testing.T) {
	volume := w.volumeOf(t, "waiting")
	byHand := "/run/by-hand"
	image := filepath.Join(w.pool(), "volumes", w.record(t, volume).Incarnation+".img")
	output, err := w.node.run("sh", "-ec", fmt.Sprintf(
		"mkdir -p %[1]s; mount -o loop %[2]s %[1]s; chmod 00711 %[1]s; umount %[1]s", byHand, image))
	if err != nil {
		t.Fatalf("by hand: %v: %s", err, output)
	}
	w.expectWarning("found mode 0711")
	w.createPod(t, pod{name: "deceived", claim: "waiting"})
	await(t, patience, "kubelet to tell the refusal", func() (bool, string) {
		told := w.warnings("deceived")
		return strings.Contains(told, "FailedMount") && strings.Contains(told, "found mode 0711"), told
	})
	if phase := w.pod(t, "deceived").Status.Phase; phase != corev1.PodPending {
		t.Errorf("expected a pod that does not start, found %s", phase)
	}
	w.checkMounts(t)
	if output, err := w.holdfastctl("--pool", w.pool(), "volume", "acknowledge", volume); err != nil {
		t.Fatalf("acknowledge: %v: %s", err, output)
	}
	w.awaitRunning(t, "deceived")
	w.deletePod(t, "deceived")
}

// record is what the catalog says of a volume.
type record struct {
	Incarnation string // names its image
	Stage       struct {
		BootID string `json:"boot_id"`
	}
}

func (w *world) record(t *testing.T, volume string) (found record) {
	t.Helper()
	text, err := w.holdfastctl("--pool", w.pool(), "volume", "inspect", volume, "--json")
	if err == nil {
		err = json.Unmarshal([]byte(text), &found)
	}
	if err != nil || found.Incarnation == "" {
		t.Fatalf("inspect: expected a record, found %v %s", err, text)
	}
	return found
}
