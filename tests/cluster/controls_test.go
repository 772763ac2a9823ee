package cluster

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// controls does wrong, by hand, what the checks of every scenario look for.
func (w *world) controls(t *testing.T) {
	w.strayMount(t)
	w.strayLoop(t)
	w.strayEvent(t)
	w.changedByte(t)
	for numbers, least := range map[string]int{"1 2 4": 3, "1 2": 3, "1 1 2": 2, "": 0} {
		if wrongNumbers(numbers, least) == "" {
			t.Errorf("expected '%s' not to be %d numbers without a gap", numbers, least)
		}
	}
	for _, log := range []string{"", "[info] NodeStageVolume code=OK\n[warning] x code=INTERNAL", " code=OK\nleaked a loop device"} {
		if len(wrongLines(log)) != 1 {
			t.Errorf("expected one thing wrong with the log '%s', found %v", log, wrongLines(log))
		}
	}
	left := strings.Join(w.whatIsLeft(t), "\n")
	for _, kind := range []string{"volume ", "snapshot content ", "loop device ", "row of a volume",
		"row of a snapshot", "image volumes/", "image snapshots/", "kubelet's folder"} {
		if !strings.Contains(left, kind) {
			t.Errorf("expected a '%s' among what would be left now, found %s", kind, left)
		}
	}
}

// mustFind: exactly one thing is wrong, and it is this.
func mustFind(t *testing.T, wrong []string, text string) {
	t.Helper()
	if len(wrong) != 1 || !strings.Contains(wrong[0], text) {
		t.Errorf("expected one finding, '%s', found %v", text, wrong)
	}
}

// byHand runs a shell's line on the node.
func (w *world) byHand(t *testing.T, line string) string {
	t.Helper()
	output, err := w.node.run("sh", "-ec", line)
	if err != nil {
		t.Fatalf("by hand: %s: %v: %s", line, err, output)
	}
	return output
}

func (w *world) strayMount(t *testing.T) {
	w.checkMounts(t)
	target := w.targetOf(t, "writer")
	w.byHand(t, "mkdir /run/stray && mount --bind "+target+" /run/stray")
	mustFind(t, w.wrongMounts(t), "at /run/stray")
	w.byHand(t, "umount /run/stray && rmdir /run/stray")
	w.checkMounts(t)
}

func (w *world) strayLoop(t *testing.T) {
	file := filepath.Join(w.pool(), "work", "stray.img")
	device := w.byHand(t, "truncate -s 1M "+file+" && losetup --find --show "+file)
	mustFind(t, w.wrongMounts(t), "which no pod uses")
	w.byHand(t, "losetup --detach "+device+" && rm "+file)
	w.checkMounts(t)
}

func (w *world) strayEvent(t *testing.T) {
	if before := w.wrongEvents(t); len(before) > 0 {
		t.Errorf("expected no event before the control, found %v", before)
	}
	now := metav1.Now()
	_, err := w.client.CoreV1().Events(namespace).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: "stray"},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "writer", Namespace: namespace},
		Reason:         "FailedMount", Message: "planted", Type: corev1.EventTypeWarning,
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}, metav1.CreateOptions{})
	must(t, err)
	mustFind(t, w.wrongEvents(t), "FailedMount: planted")
	w.expectWarning("nothing of this kind")
	mustFind(t, w.wrongEvents(t), "found none")
}

// One byte of what is compared.
func (w *world) changedByte(t *testing.T) {
	digest := w.writeKnown(t, "writer", "/data/control", 2)
	w.exec(t, "writer", `b=$(dd if=/data/control bs=1 skip=1500000 count=1 2>/dev/null | od -An -tu1)
printf "\\$(printf %03o $(((b + 1) % 256)))" | dd of=/data/control bs=1 seek=1500000 conv=notrunc,fsync 2>/dev/null`)
	if slices.Contains([]string{digest, ""}, w.digest(t, "writer", "/data/control", 2)) {
		t.Error("expected another digest after a byte was changed")
	}
	w.exec(t, "writer", "rm /data/control")
}
