package cluster

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What is said while a program is away, or has not registered anew.
var absences = []string{"not found in the list of registered CSI drivers", "code = Unavailable",
	"code = Aborted", "no topology key found", "FailedCreatePodSandBox", "connection refused"}

// disturbance ends one program under the running pods and brings it back.
type disturbance struct {
	name string
	do   func(*world, *testing.T)
}

func disturbances() []disturbance {
	all := []disturbance{
		{"driver killed", func(w *world, t *testing.T) {
			w.driver.kill(t)
			w.startDriver(t)
		}},
		{"driver ended", func(w *world, t *testing.T) {
			w.driver.end(t, syscall.SIGTERM)
			w.startDriver(t)
		}},
		{"kubelet killed", func(w *world, t *testing.T) {
			w.kubelet.kill(t)
			w.startKubelet(t)
		}},
		{"containerd killed", func(w *world, t *testing.T) {
			w.containerd.kill(t)
			w.startContainerd(t)
		}},
	}
	for _, sidecar := range []string{"csi-provisioner", "csi-snapshotter", "csi-resizer", "snapshot-controller"} {
		all = append(all, disturbance{sidecar + " killed", func(w *world, t *testing.T) {
			w.sidecar(t, sidecar).kill(t)
		}})
	}
	return all
}

// restarts ends each program once, in an order that the seed chooses, and again while the budget
// lasts. The pods that run never notice, and what is asked meanwhile is done.
func (w *world) restarts(t *testing.T) {
	order := rand.New(rand.NewPCG(w.seed, 1))
	began := time.Now()
	for round := 0; round == 0 || time.Since(began) < w.budget; round++ {
		all := disturbances()
		order.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, d := range all {
			w.disturb(t, d, strconv.Itoa(w.restarted))
			w.restarted++
		}
	}
	if restarts := w.pod(t, "writer").Status.ContainerStatuses[0].RestartCount; restarts != 0 {
		t.Errorf("expected the writer to go on, found %d restarts", restarts)
	}
	w.checkNumbers(t, "writer", w.acknowledged(t, "writer"))
}

// disturb lets every component have work in flight while one goes: a claim, its pod, a snapshot.
func (w *world) disturb(t *testing.T, d disturbance, number string) {
	t.Helper()
	for _, warning := range absences {
		w.allowWarning(warning)
	}
	name := "disturbed-" + number
	w.createClaim(t, claim{name: name, class: ext4Waits, size: "64Mi"})
	w.createPod(t, pod{name: name, claim: name, script: writer})
	d.do(w, t)
	w.awaitRunning(t, name)
	w.awaitProgress(t, name, 5)
	w.takeSnapshot(t, name, name)
	w.awaitProgress(t, "writer", 5)
	w.checkMounts(t)
	w.deletePod(t, name)
	w.deleteSnapshot(t, name)
	w.deleteClaim(t, name)
	t.Logf("%s: pod started, snapshot taken, all deleted", d.name)
}

// forgottenVolume makes kubelet forget a staged volume: its unstage is held up until it restarts,
// and after that nobody calls it any more.
func (w *world) forgottenVolume(t *testing.T) {
	w.createClaim(t, claim{name: "forgotten", class: ext4Waits, size: "64Mi"})
	w.runPod(t, pod{name: "forgotten", claim: "forgotten"})
	staged := w.stagingOf(t, w.targetOf(t, "forgotten"))
	argv := w.node.command("sh", "-c", "cd "+staged+" && exec sleep 1000")
	holder := exec.Command(argv[0], argv[1:]...)
	must(t, holder.Start())
	await(t, patience, "the holder to hold", func() (bool, string) {
		folder, err := os.Readlink("/proc/" + strconv.Itoa(onlyChild(holder.Process.Pid)) + "/cwd")
		return err == nil && filepath.Base(folder) == "globalmount", folder
	})
	w.deletePod(t, "forgotten")
	w.kubelet.kill(t)
	w.startKubelet(t)
	w.awaitKubelet(t)
	must(t, syscall.Kill(onlyChild(holder.Process.Pid), syscall.SIGKILL))
	_ = holder.Wait()
	pause()
	if w.stagingOf(t, staged) != staged {
		t.Fatal("kubelet remembered: this scenario proves nothing any more")
	}
	w.deleteClaim(t, "forgotten")
	// kubelet's own folder for it is kubelet's leak; it goes here so that the audit sees ours.
	if output, err := w.node.run("sh", "-ec", "rm -f "+filepath.Dir(staged)+"/vol_data.json; rmdir "+
		staged+" "+filepath.Dir(staged)); err != nil {
		t.Errorf("the empty staging path: %v: %s", err, output)
	}
}

// stagingOf is where the filesystem that is mounted at `path` is staged; empty: nothing is there.
func (w *world) stagingOf(t *testing.T, path string) string {
	t.Helper()
	mounts, source := w.mounts(t), ""
	for _, m := range mounts {
		if m.target == path {
			source = m.source
		}
	}
	for _, m := range mounts {
		if source != "" && m.source == source && filepath.Base(m.target) == "globalmount" {
			return m.target
		}
	}
	return ""
}

// awaitKubelet waits until a kubelet that was just started has renewed the node's lease.
func (w *world) awaitKubelet(t *testing.T) {
	t.Helper()
	began := time.Now()
	await(t, patience, "kubelet to renew its lease", func() (bool, string) {
		lease, err := w.client.CoordinationV1().Leases("kube-node-lease").Get(ctx, nodeName, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		return lease.Spec.RenewTime.After(began), lease.Spec.RenewTime.String()
	})
}

// reboot cuts the node's power under its pods. They come back by themselves: staged anew, because
// nothing of the last boot counts, with everything that was acknowledged.
func (w *world) reboot(t *testing.T) {
	digest := w.digest(t, "writer", "/data/known", 16)
	raw := w.digest(t, "raw", "/dev/volume", 32)
	w.awaitProgress(t, "writer", 5)
	acknowledged := w.acknowledged(t, "writer")
	for _, warning := range absences {
		w.allowWarning(warning)
	}
	before := w.node.bootID()
	for _, p := range []*program{w.driver, w.kubelet, w.containerd} {
		p.end(t, syscall.SIGKILL)
	}
	w.node.cutPower(t)
	w.node.boot(t)
	if w.node.bootID() == before {
		t.Fatal("expected another boot id")
	}
	w.startNode(t)
	w.startDriver(t)
	w.awaitProgress(t, "writer", 10)
	w.checkNumbers(t, "writer", acknowledged)
	w.checkKnown(t, "writer", "/data/known", 16, digest)
	if booted := w.record(t, w.volumeOf(t, "written")).Stage.BootID; booted != w.node.bootID() {
		t.Errorf("expected a stage of boot %s, found one of %s", w.node.bootID(), booted)
	}
	w.awaitRestart(t, "raw")
	w.checkKnown(t, "raw", "/dev/volume", 32, raw)
}

func (w *world) awaitRestart(t *testing.T, name string) {
	t.Helper()
	await(t, patience, "pod "+name+" to run again", func() (bool, string) {
		status := w.pod(t, name).Status.ContainerStatuses[0]
		return status.RestartCount > 0 && status.State.Running != nil, status.String()
	})
}
