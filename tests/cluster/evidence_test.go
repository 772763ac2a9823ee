package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// --- Data: a writer whose every line is on the disk before it is acknowledged ---------------------

// The writer appends numbers to /data/numbers, and prints each after its fsync.
const writer = `trap 'exit 0' TERM
touch /data/numbers
i=$(tail -n 1 /data/numbers)
while true; do
  i=$((i + 1))
  echo $i | dd of=/data/numbers oflag=append conv=notrunc,fsync 2>/dev/null && echo $i || exit 1
  sleep 0.05
done`

// acknowledged is the last number that the pod's writer printed. The lines are kept on the node's
// disk, so that they outlive its pods and its boots.
func (w *world) acknowledged(t *testing.T, pod string) int {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(w.node.folder, "pods", namespace+"_"+pod+"_*", "main", "*.log"))
	must(t, err)
	last := 0
	for _, log := range logs {
		for line := range strings.Lines(tail(log, 2)) {
			fields := strings.Fields(line) // time, stream, F, number
			if len(fields) == 4 {
				if number, err := strconv.Atoi(fields[3]); err == nil {
					last = max(last, number)
				}
			}
		}
	}
	return last
}

// awaitProgress waits until the pod has acknowledged that many more.
func (w *world) awaitProgress(t *testing.T, pod string, more int) {
	t.Helper()
	from := w.acknowledged(t, pod)
	await(t, patience, fmt.Sprintf("pod %s to write %d more lines", pod, more), func() (bool, string) {
		now := w.acknowledged(t, pod)
		return now >= from+more, fmt.Sprint(now, " after ", from)
	})
}

// checkNumbers reads 1, 2, 3, … without a gap, up to `least` or further, through the pod.
func (w *world) checkNumbers(t *testing.T, pod string, least int) {
	t.Helper()
	if wrong := wrongNumbers(w.exec(t, pod, "cat /data/numbers"), least); wrong != "" {
		t.Errorf("pod %s: %s", pod, wrong)
	}
}

func wrongNumbers(text string, least int) string {
	numbers := strings.Fields(text)
	for i, number := range numbers {
		if number != strconv.Itoa(i+1) {
			return fmt.Sprintf("expected %d in line %d, found %s", i+1, i+1, number)
		}
	}
	if len(numbers) < least || least == 0 {
		return fmt.Sprintf("expected at least %d lines, which were acknowledged, found %d", least, len(numbers))
	}
	return ""
}

// writeKnown writes bytes that nobody else can have, and returns their digest.
func (w *world) writeKnown(t *testing.T, pod, path string, mebibytes int) string {
	t.Helper()
	w.exec(t, pod, fmt.Sprintf("dd if=/dev/urandom of=%s bs=1M count=%d conv=fsync,notrunc 2>&1", path, mebibytes))
	return w.digest(t, pod, path, mebibytes)
}

func (w *world) digest(t *testing.T, pod, path string, mebibytes int) string {
	t.Helper()
	return w.exec(t, pod, fmt.Sprintf("dd if=%s bs=1M count=%d 2>/dev/null | sha256sum", path, mebibytes))
}

func (w *world) checkKnown(t *testing.T, pod, path string, mebibytes int, digest string) {
	t.Helper()
	if found := w.digest(t, pod, path, mebibytes); found != digest {
		t.Errorf("pod %s: %s: expected digest %s, found %s", pod, path, digest, found)
	}
}

// --- Mounts ---------------------------------------------------------------------------------------

// A bind of a device node has fsType devtmpfs and the node as its root: "/loop5".
type mountEntry struct{ target, root, fsType, source string }

// device is the one whose filesystem, or whose node, is mounted.
func (m mountEntry) device() string {
	if m.fsType == "devtmpfs" {
		return "/dev" + m.root
	}
	return m.source
}

// mounts of the node.
func (w *world) mounts(t *testing.T) []mountEntry {
	t.Helper()
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", w.node.pid))
	must(t, err)
	var mounts []mountEntry
	for line := range strings.Lines(string(table)) {
		left, right, _ := strings.Cut(line, " - ")
		fields, rest := strings.Fields(left), strings.Fields(right)
		mounts = append(mounts, mountEntry{fields[4], fields[3], rest[0], rest[1]})
	}
	return mounts
}

// targetOf is where kubelet has the pod's volume published.
func (w *world) targetOf(t *testing.T, name string) string {
	t.Helper()
	found := w.pod(t, name)
	volume := w.claim(t, found.Spec.Volumes[0].PersistentVolumeClaim.ClaimName).Spec.VolumeName
	if len(found.Spec.Containers[0].VolumeDevices) > 0 {
		return filepath.Join(kubeletRoot, "plugins/kubernetes.io/csi/volumeDevices/publish", volume, string(found.UID))
	}
	return filepath.Join(kubeletRoot, "pods", string(found.UID), "volumes/kubernetes.io~csi", volume, "mount")
}

// checkMounts compares the node with what runs on it: each pod's volume is published from one loop
// device of its own, and there is no loop device and no mount more than that.
func (w *world) checkMounts(t *testing.T) {
	t.Helper()
	await(t, patience, "mounts of the running pods' volumes and no others", func() (bool, string) {
		wrong := w.wrongMounts(t)
		return len(wrong) == 0, strings.Join(wrong, "; ")
	})
}

func (w *world) wrongMounts(t *testing.T) (wrong []string) {
	t.Helper()
	pods, err := w.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	must(t, err)
	mounts, loops, used := w.mounts(t), w.node.imageLoops(), map[string]bool{}
	for _, p := range pods.Items {
		if p.Status.Phase != corev1.PodRunning {
			continue
		}
		target := w.targetOf(t, p.Name)
		at := slices.IndexFunc(mounts, func(m mountEntry) bool { return m.target == target })
		if at < 0 {
			wrong = append(wrong, "pod "+p.Name+": nothing mounted at "+target)
			continue
		}
		device := mounts[at].device()
		if loops[device] == "" {
			wrong = append(wrong, fmt.Sprintf("pod %s: %s, which is no image's", p.Name, device))
		}
		used[device] = true
	}
	for device, file := range loops {
		if !used[device] {
			wrong = append(wrong, fmt.Sprintf("%s on %s, which no pod uses", device, file))
		}
	}
	for _, m := range mounts {
		if loops[m.device()] != "" && !strings.HasPrefix(m.target, kubeletRoot+"/") {
			wrong = append(wrong, m.device()+" at "+m.target)
		}
	}
	return wrong
}

// --- Events and the driver's log ------------------------------------------------------------------

// What a node of this kind always warns of, and what is the lawful way of a start.
var lawfulWarnings = []string{"CgroupV1", "InvalidDiskCapacity", "MissingClusterDNS", "FailedScheduling",
	"NodeNotReady", "Rebooted", "ContainerGCFailed", "ImageGCFailed", "CheckLimitsForResolvConf",
	"NetworkNotReady", "FailedKillPod", "Unhealthy",
	// snapshot-controller says so when what it is to delete has gone already.
	"SnapshotContentObjectDeleteError"}

// What Kubernetes tells of its own races, and repeats: its authorizer hears of a pod a moment after
// kubelet does; two of its programs change one object at once.
var lawfulRaces = []string{"no relationship found between node", "the object has been modified"}

// expectWarning is for a scenario that provokes one: a warning whose "reason: message" holds `text`
// must come.
func (w *world) expectWarning(text string) {
	w.expectedWarnings = append(w.expectedWarnings, text)
	w.allowWarning(text)
}

// allowWarning is for one that may come, while something was away.
func (w *world) allowWarning(text string) { w.allowedWarnings = append(w.allowedWarnings, text) }

// wrongEvents are every warning of the scenario that it did not expect, and what it expected and did
// not come. Each is told once.
func (w *world) wrongEvents(t *testing.T) (wrong []string) {
	t.Helper()
	events, err := w.client.CoreV1().Events("").List(ctx, metav1.ListOptions{})
	must(t, err)
	met := map[string]bool{}
	for _, event := range events.Items {
		key := string(event.UID)
		if event.Type != corev1.EventTypeWarning || w.eventsSeen[key] >= max(event.Count, 1) {
			continue
		}
		w.eventsSeen[key] = max(event.Count, 1)
		text := event.Reason + ": " + event.Message
		allowed := func(part string) bool { return strings.Contains(text, part) }
		if i := slices.IndexFunc(w.allowedWarnings, allowed); i >= 0 {
			met[w.allowedWarnings[i]] = true
		} else if !slices.Contains(lawfulWarnings, event.Reason) && !slices.ContainsFunc(lawfulRaces, allowed) {
			wrong = append(wrong, fmt.Sprintf("event of %s %s: %s", event.InvolvedObject.Kind,
				event.InvolvedObject.Name, text))
		}
	}
	for _, expected := range w.expectedWarnings {
		if !met[expected] {
			wrong = append(wrong, fmt.Sprintf("expected a warning with '%s', found none", expected))
		}
	}
	w.expectedWarnings, w.allowedWarnings = nil, nil
	return wrong
}

// warnings tells what may be the reason for a wait.
func (w *world) warnings(object string) string {
	events, err := w.client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return ""
	}
	text := ""
	for _, event := range events.Items {
		if event.Type == corev1.EventTypeWarning && event.InvolvedObject.Name == object {
			text += "\n  " + event.Reason + ": " + event.Message
		}
	}
	return text
}

var neverAnswered = regexp.MustCompile(`code=(INTERNAL|DATA_LOSS|UNKNOWN|UNIMPLEMENTED)`)

// wrongLines are those of the driver's log that end with what only a bug or a damage ends with.
func wrongLines(log string) (wrong []string) {
	calls := 0
	for line := range strings.Lines(log) {
		if strings.Contains(line, " code=") {
			calls++
		}
		if neverAnswered.MatchString(line) || strings.Contains(line, "leaked") {
			wrong = append(wrong, "the driver's log: "+strings.TrimSpace(line))
		}
	}
	if calls == 0 {
		wrong = append(wrong, "expected calls in the driver's log, found none")
	}
	return wrong
}

func (w *world) driverLog(t *testing.T) string {
	t.Helper()
	log, err := os.ReadFile(w.driver.log)
	must(t, err)
	return string(log)
}

// check is what follows every scenario.
func (w *world) check(t *testing.T) {
	t.Helper()
	w.checkMounts(t)
	for _, wrong := range append(w.wrongEvents(t), wrongLines(w.driverLog(t))...) {
		t.Error(wrong)
	}
}

// pause gives what should not happen the time to happen.
func pause() { time.Sleep(2 * time.Second) }
