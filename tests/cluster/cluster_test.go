package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestCluster is one cluster's life. Its scenarios follow one another: the volumes of the first are
// used by those that come later. After each, the node's mounts, the events and the log are checked.
func TestCluster(t *testing.T) {
	w := startWorld(t)
	began, done := time.Now(), 0
	for _, scenario := range []struct {
		name string
		run  func(*world, *testing.T)
	}{
		{"A claim that waits is bound when its first pod comes", (*world).waitingClaim},
		{"A claim that does not wait is bound at once", (*world).immediateClaim},
		{"A restored snapshot holds what was acknowledged before it", (*world).restoredSnapshot},
		{"A volume grows while its pod writes", (*world).onlineGrowth},
		{"A clone larger than its source has its data and its own size", (*world).clonedClaim},
		{"A volume that cannot grow online has grown for its next pod", (*world).offlineGrowth},
		{"The pod's group gets the volume and the next stage finds nothing amiss", (*world).fsGroup},
		{"Two pods of a node share a ReadWriteOnce volume", (*world).sharedByPods},
		{"A ReadWriteOncePod volume goes from one pod to the next", (*world).readWriteOncePod},
		{"A raw block volume is written, cut, restored and grown", (*world).rawBlock},
		{"The checks find what they are for", (*world).controls},
		{"A volume changed while it was put away reaches no pod and kubelet says why", (*world).changedVolume},
		{"A staged volume that kubelet forgot is deleted", (*world).forgottenVolume},
		{"Every program is killed and restarted under the pods", (*world).restarts},
		{"The driver becomes a controller and the node's agent under the pods", (*world).splitDriver},
		{"Pods come back with everything acknowledged after a reboot of the node", (*world).reboot},
		{"Deleted objects leave nothing behind", (*world).deleteEverything},
	} {
		ok := t.Run(scenario.name, func(t *testing.T) {
			scenario.run(w, t)
			w.check(t)
		})
		if !ok {
			break // what follows builds on it
		}
		done++
	}
	fmt.Printf("cluster: seed %d: %d scenarios, %d restarts under the pods, %d calls of the driver in %.0f s\n",
		w.seed, done, w.restarted, strings.Count(w.driverLog(t), " code="), time.Since(began).Seconds())
}

func (w *world) waitingClaim(t *testing.T) {
	w.createClaim(t, claim{name: "waiting", class: ext4Waits, size: "256Mi"})
	pause()
	if phase := w.claim(t, "waiting").Status.Phase; phase != corev1.ClaimPending {
		t.Errorf("expected a pending claim without a pod, found %s", phase)
	}
	w.runPod(t, pod{name: "first", claim: "waiting"})
	w.awaitBound(t, "waiting")
	digest := w.writeKnown(t, "first", "/data/known", 8)
	w.checkMounts(t)
	// Put away and shown again.
	w.deletePod(t, "first")
	w.checkMounts(t)
	w.runPod(t, pod{name: "second", claim: "waiting"})
	w.checkKnown(t, "second", "/data/known", 8, digest)
	if mount := w.exec(t, "second", "grep ' /data ' /proc/mounts"); !strings.Contains(mount, " ext4 ") {
		t.Errorf("expected ext4 at /data, found %s", mount)
	}
	w.deletePod(t, "second")
}

func (w *world) immediateClaim(t *testing.T) {
	w.createClaim(t, claim{name: "written", class: xfsImmediate, size: "512Mi"})
	w.awaitBound(t, "written")
	w.runPod(t, pod{name: "writer", claim: "written", script: writer})
	w.awaitProgress(t, "writer", 20)
	w.checkNumbers(t, "writer", w.acknowledged(t, "writer"))
}

func (w *world) restoredSnapshot(t *testing.T) {
	digest := w.writeKnown(t, "writer", "/data/known", 16)
	w.awaitProgress(t, "writer", 10)
	acknowledged := w.acknowledged(t, "writer")
	w.takeSnapshot(t, "cut", "written")
	after := w.writeKnown(t, "writer", "/data/later", 1)
	w.createClaim(t, claim{name: "restored", class: xfsImmediate, size: "512Mi", fromSnapshot: "cut"})
	w.runPod(t, pod{name: "reader", claim: "restored"})
	w.checkKnown(t, "reader", "/data/known", 16, digest)
	w.checkNumbers(t, "reader", acknowledged)
	if found := w.exec(t, "reader", "ls /data"); strings.Contains(found, "later") {
		t.Errorf("expected nothing of after the cut, found %s", found)
	}
	// Both go their own ways.
	w.writeKnown(t, "reader", "/data/known", 16)
	w.checkKnown(t, "writer", "/data/known", 16, digest)
	w.checkKnown(t, "writer", "/data/later", 1, after)
	w.awaitProgress(t, "writer", 10)
	w.checkMounts(t)
	w.deletePod(t, "reader")
}

func (w *world) onlineGrowth(t *testing.T) {
	w.grow(t, "written", "768Mi")
	w.awaitCapacity(t, "written", "768Mi")
	w.awaitProgress(t, "writer", 10)
	w.checkNumbers(t, "writer", w.acknowledged(t, "writer"))
	w.exec(t, "writer", "dd if=/dev/zero of=/data/large bs=1M count=600 conv=fsync 2>&1 && rm /data/large")
	if restarts := w.pod(t, "writer").Status.ContainerStatuses[0].RestartCount; restarts != 0 {
		t.Errorf("expected the pod to go on, found %d restarts", restarts)
	}
}
