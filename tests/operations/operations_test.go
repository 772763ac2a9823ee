// Package operations replays docs/operations.md: every command of it, in its order, on a real pool
// with a real server, and compares what it prints. Needs root, and HOLDFAST_BIN.
package operations

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

const document = "../../docs/operations.md"

// The mounts are this test's own, whoever starts it.
func TestMain(m *testing.M) {
	const inside = "OPERATIONS_INSIDE"
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	unshare, err := exec.LookPath("unshare")
	if err == nil {
		self, _ := os.Executable()
		err = syscall.Exec(unshare,
			append([]string{unshare, "--mount", "--propagation", "private", self}, os.Args[1:]...),
			append(os.Environ(), inside+"=1"))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

const mib, gib = 1 << 20, 1 << 30

// What has happened when a block begins.
var steps = map[string]func(*world){
	"a pool of 4 GiB with two volumes, and a call that asks for too much": func(w *world) {
		w.create("pvc-old", "ext4", 512*mib)
		w.create("pvc-older", "ext4", 512*mib)
		w.call("CreateVolume", "", createRequest("pvc-large", "ext4", 8*gib))
	},
	"the disk has 12 GiB now": func(w *world) {
		w.must("truncate", "-s", "12G", w.disk)
		w.must("losetup", "--set-capacity", w.device)
	},
	"two volumes more, which a pod uses": func(w *world) {
		w.create("db-raw", "block", 64*mib)
		w.create("db-data", "ext4", 512*mib)
		w.show("db-data", "ext4", kubelet+"/plugins/data", kubelet+"/pods/db/mount")
		w.show("db-raw", "block", kubelet+"/plugins/raw", kubelet+"/pods/db/raw")
	},
	"the server was killed while it made a volume": func(w *world) {
		w.stop(syscall.SIGKILL)
		w.write(poolFolder+"/work/4c1f0c2e-6f0e-4c0f-9a7e-1d2f6b1f8a10.img", gib)
	},
	"the root of a volume was changed while it was put away": func(w *world) {
		w.must("mount", "-o", "loop", w.image("pvc-old"), "/mnt")
		w.must("chmod", "2770", "/mnt")
		w.must("umount", "/mnt")
		w.call("NodeStageVolume", "", w.stageRequest("pvc-old", "ext4", kubelet+"/plugins/old"))
	},
	"two volumes are deleted": func(w *world) {
		for _, name := range []string{"pvc-old", "pvc-older"} {
			w.mustCall("DeleteVolume", "", `{"volume_id":"`+w.ids[name]+`"}`)
		}
	},
	"nothing more": func(*world) {},
}

// What happens between two commands of a block, by its comment.
var notes = map[string]func(*world){
	"the server is started; its log:": (*world).start,
	"a pod uses it again, and ends": func(w *world) {
		target := kubelet + "/pods/db/old"
		w.show("pvc-old", "ext4", kubelet+"/plugins/old", target)
		w.mustCall("NodeUnpublishVolume", "", `{"volume_id":"`+w.ids["pvc-old"]+`","target_path":"`+target+`"}`)
		w.mustCall("NodeUnstageVolume", "",
			`{"volume_id":"`+w.ids["pvc-old"]+`","staging_target_path":"`+kubelet+`/plugins/old"}`)
	},
	"somebody attaches an image, and leaves files in volumes/ and work/": func(w *world) {
		w.must("losetup", "--find", w.image("pvc-old"))
		w.write(poolFolder+"/volumes/notes.txt", 0)
		w.write(poolFolder+"/work/leftover.img", 64*mib)
	},
}

func TestOperations_EachCommandPrintsWhatTheDocumentationSays(t *testing.T) {
	blocks := readBlocks(t, document)
	w, n := newWorld(t), newNames()
	replayed := 0
	for _, b := range blocks {
		if strings.HasPrefix(b.replay, "no, ") {
			continue
		}
		step, known := steps[b.replay]
		if !known {
			t.Fatalf("%s:%d: nobody knows how to bring about '%s'", document, b.line, b.replay)
		}
		step(w)
		n.forgetLoops()
		for _, e := range b.entries {
			w.replay(n, fmt.Sprintf("%s:%d", document, b.line), e)
			if e.command != "" {
				replayed++
			}
		}
	}
	if replayed < 20 {
		t.Errorf("only %d commands were replayed", replayed)
	}
	t.Logf("operations: %d commands replayed", replayed)
}

func (w *world) replay(n names, place string, e entry) {
	w.t.Helper()
	if e.note != "" {
		happens, known := notes[e.note]
		if !known {
			w.t.Fatalf("%s: nobody knows how to bring about '# %s'", place, e.note)
		}
		happens(w)
	}
	if e.command == "" {
		w.expectTold(n, place, e.output)
		return
	}
	output, err := exec.Command("bash", "-c", n.translated(e.command)).CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		w.t.Fatal(err)
	}
	found := nonEmpty(string(output))
	same := len(found) == len(e.output) && (ended == nil && e.exit == 0 || ended != nil && ended.ExitCode() == e.exit)
	for i := 0; same && i < len(found); i++ {
		same = n.same(e.output[i], found[i])
	}
	if !same {
		w.t.Fatalf("%s: $ %s\n--- the documentation says\n%s\n(exit %d)\n--- it prints\n%s\n(%v)", place, e.command,
			strings.Join(e.output, "\n"), e.exit, strings.Join(found, "\n"), err)
	}
}

// expectTold compares lines that no command printed: the refusal of the last call, or lines of the
// server's log in their order, between which it may have others.
func (w *world) expectTold(n names, place string, lines []string) {
	w.t.Helper()
	log := nonEmpty(w.must("cat", w.log))
	for _, line := range lines {
		if w.refused != "" && n.same(line, w.refused) {
			continue
		}
		for ; w.logSeen < len(log) && !n.same(line, log[w.logSeen]); w.logSeen++ {
		}
		if w.logSeen == len(log) {
			w.t.Fatalf("%s: expected to be told\n%s\nfound the refusal\n%s\nand the log\n%s", place, line, w.refused,
				strings.Join(log, "\n"))
		}
		w.logSeen++
	}
}

func nonEmpty(text string) []string {
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
