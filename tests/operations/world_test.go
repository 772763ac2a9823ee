package operations

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	poolFolder = "/srv/pool"
	kubelet    = "/var/lib/kubelet"
	socket     = "unix:///run/holdfast/csi.sock"
)

// world is a node with one pool and a server, at the paths that the documentation names: the folders
// above them are empty filesystems of this test's mount namespace.
type world struct {
	t       *testing.T
	bin     string // holdfast, holdfastctl, tests/holdfast_csi
	disk    string
	device  string
	server  *exec.Cmd
	log     string
	logSeen int               // lines of the log that were compared or are older than the block
	ids     map[string]string // of volumes, by name
	refused string            // the last call's error, as the documentation writes it
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, bin: os.Getenv("HOLDFAST_BIN"), disk: filepath.Join(t.TempDir(), "disk"), ids: map[string]string{}}
	if w.bin == "" {
		t.Fatal("HOLDFAST_BIN: expected the folder of holdfast and holdfastctl, found nothing")
	}
	os.Unsetenv("HOLDFAST_BIN") // the programs refuse what they do not know
	for _, folder := range []string{"/srv", "/run", "/var/lib"} {
		w.must("mount", "-t", "tmpfs", "none", folder)
		t.Cleanup(func() { w.must("umount", folder) })
	}
	for _, folder := range []string{poolFolder, "/run/holdfast", kubelet + "/plugins", kubelet + "/pods/db"} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.Setenv("PATH", w.bin+":"+os.Getenv("PATH"))
	os.Setenv("HOLDFAST_POOL", poolFolder)
	w.must("truncate", "-s", "4G", w.disk)
	w.must("mkfs.xfs", "-q", "-m", "reflink=1", w.disk)
	w.device = strings.TrimSpace(w.must("losetup", "--find", "--show", w.disk))
	w.must("mount", w.device, poolFolder)
	t.Cleanup(w.takeDown)
	w.must("holdfastctl", "pool", "init", poolFolder, "--name", "fast")
	w.start()
	return w
}

// In the order that the documentation gives; after a failure some of it is not there.
func (w *world) takeDown() {
	for _, target := range []string{kubelet + "/pods/db/raw", kubelet + "/pods/db/mount", kubelet + "/plugins/data"} {
		exec.Command("umount", target).Run()
	}
	w.stop(syscall.SIGTERM)
	loops, _ := exec.Command("losetup", "--noheadings", "--output", "NAME,BACK-FILE").Output()
	for _, line := range strings.Split(string(loops), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], poolFolder) {
			exec.Command("losetup", "--detach", fields[0]).Run()
		}
	}
	exec.Command("umount", poolFolder).Run()
	exec.Command("losetup", "--detach", w.device).Run()
}

func (w *world) must(program string, arguments ...string) string {
	w.t.Helper()
	output, err := exec.Command(program, arguments...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s %v: %v\n%s", program, arguments, err, output)
	}
	return string(output)
}

func (w *world) start() {
	w.t.Helper()
	w.log = filepath.Join(w.t.TempDir(), "log")
	log, err := os.Create(w.log)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	w.logSeen = 0
	w.server = exec.Command("holdfast", "all", "--endpoint", socket, "--node-id", "node-1", "--pool", poolFolder)
	w.server.Stdout, w.server.Stderr = log, log
	if err := w.server.Start(); err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < 200; i++ {
		if exec.Command(w.bin+"/tests/holdfast_csi", "--endpoint", socket, "Probe").Run() == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Fatalf("the server does not answer:\n%s", w.must("cat", w.log))
}

func (w *world) stop(signal syscall.Signal) {
	if w.server == nil {
		return
	}
	w.server.Process.Signal(signal)
	w.server.Wait()
	w.server = nil
}

// call makes a CSI call; its error is kept in w.refused.
func (w *world) call(method, field, request string) string {
	arguments := []string{"--endpoint", socket, method, request}
	if field != "" {
		arguments = append(arguments, "--field", field)
	}
	command := exec.Command(w.bin+"/tests/holdfast_csi", arguments...)
	var output, problem bytes.Buffer
	command.Stdout, command.Stderr = &output, &problem
	w.refused = ""
	if command.Run() != nil {
		w.refused = method + ": " + strings.TrimSpace(problem.String())
	}
	return strings.TrimSpace(output.String())
}

func (w *world) mustCall(method, field, request string) string {
	w.t.Helper()
	answer := w.call(method, field, request)
	if w.refused != "" {
		w.t.Fatal(w.refused)
	}
	return answer
}

func capability(content string) string {
	access := `"access_mode":{"mode":"SINGLE_NODE_WRITER"}`
	if content == "block" {
		return `{"block":{},` + access + `}`
	}
	return `{"mount":{"fs_type":"` + content + `"},` + access + `}`
}

func createRequest(name, content string, bytes int64) string {
	return fmt.Sprintf(`{"name":"%s","capacity_range":{"required_bytes":%d},"volume_capabilities":[%s]}`,
		name, bytes, capability(content))
}

func (w *world) create(name, content string, bytes int64) {
	w.t.Helper()
	w.ids[name] = w.mustCall("CreateVolume", "volume/volume_id", createRequest(name, content, bytes))
}

// image is the path of a volume's image.
func (w *world) image(name string) string {
	w.t.Helper()
	row := w.must("holdfastctl", "--json", "volume", "inspect", w.ids[name])
	incarnation := regexp.MustCompile(`"incarnation": ?"([^"]*)"`).FindStringSubmatch(row)
	if incarnation == nil {
		w.t.Fatal(row)
	}
	return poolFolder + "/volumes/" + incarnation[1] + ".img"
}

func (w *world) stageRequest(name, content, staging string) string {
	if content != "block" {
		os.MkdirAll(staging, 0o755)
	}
	return fmt.Sprintf(`{"volume_id":"%s","staging_target_path":"%s","volume_capability":%s}`,
		w.ids[name], staging, capability(content))
}

func (w *world) show(name, content, staging, target string) {
	w.t.Helper()
	stage := w.stageRequest(name, content, staging)
	w.mustCall("NodeStageVolume", "", stage)
	w.mustCall("NodePublishVolume", "", strings.TrimSuffix(stage, "}")+`,"target_path":"`+target+`"}`)
}

func (w *world) write(path string, bytes int64) {
	w.t.Helper()
	if err := os.WriteFile(path, []byte("a\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if bytes > 0 {
		if err := os.Truncate(path, bytes); err != nil {
			w.t.Fatal(err)
		}
	}
}
