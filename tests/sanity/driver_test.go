package sanity

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
)

const (
	startSpec    = "the driver starts and is ready"
	endSpec      = "the driver stops in order and leaves nothing behind"
	nodeName     = "sanity-node"
	startTimeout = 60 * time.Second // a sanitizer build on a busy machine
	stopTimeout  = 60 * time.Second
)

var sanitizerReport = regexp.MustCompile(
	`(?m)^.*(AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:).*$`)

// driverRun is one pool with one server on it; in a cluster also with a controller, which is another
// process and outlives it.
type driverRun struct {
	folder, kubeletRoot, runFolder string
	binaries                       string
	disk                           *disk
	node                           *server // of mode all, or node
	controller                     *server // node, or the cluster's
	openFiles                      map[string]int
}

func startDriver(c configuration, binaries string) *driverRun {
	folder, err := os.MkdirTemp("", "holdfast-sanity-")
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	run := &driverRun{
		folder:      folder,
		binaries:    binaries,
		kubeletRoot: filepath.Join(folder, "kubelet"),
		runFolder:   filepath.Join(folder, "run"),
	}
	gomega.Expect(os.Mkdir(run.kubeletRoot, 0o755)).To(gomega.Succeed())
	started := false
	defer func() {
		if !started {
			run.cleanUp()
		}
	}()
	run.disk = makeDisk(c.poolFilesystem, folder)
	mustRun(run.program("holdfastctl"), "pool", "init", run.disk.mount, "--name", "sanity")
	run.startServers(c)
	run.expectControls(c)
	run.openFiles = run.countOpenFiles()
	started = true
	return run
}

func (r *driverRun) program(name string) string { return filepath.Join(r.binaries, name) }

func (r *driverRun) startServers(c configuration) {
	arguments := []string{"--pool", r.disk.mount, "--kubelet-root", r.kubeletRoot,
		"--run-folder", r.runFolder, "--admin-socket", filepath.Join(r.folder, "admin.sock"),
		"--node-id", nodeName}
	if !c.cluster {
		r.node = startServer(r.binaries, r.folder, "all", arguments...)
		r.node.waitUntilReady()
		r.controller = r.node
		return
	}
	r.controller = theCluster.controller(r.binaries)
	r.node = startServer(r.binaries, r.folder, "node",
		append(arguments, theCluster.nodeArguments()...)...)
	r.node.waitUntilReady()
	theCluster.waitForPool(r.disk.mount)
}

// cleanUp is for every end, the bad ones too.
func (r *driverRun) cleanUp() {
	if r.node != nil {
		r.node.kill()
		if ginkgo.CurrentSpecReport().Failed() || os.Getenv("SANITY_SHOW_LOG") != "" {
			ginkgo.GinkgoWriter.Println(r.node.log(), r.controller.log())
		}
	}
	r.unmountLeftovers()
	if r.disk != nil {
		r.disk.remove()
	}
	if err := os.RemoveAll(r.folder); err != nil {
		ginkgo.GinkgoWriter.Println(err)
	}
}

// ask runs holdfastctl and gives back the list in its JSON answer.
func (r *driverRun) ask(noun, verb, list string) []map[string]any {
	command := exec.Command(r.program("holdfastctl"), noun, verb, "--json", "--pool", r.disk.mount)
	command.Stderr = ginkgo.GinkgoWriter
	output, err := command.Output()
	gomega.Expect(err).NotTo(gomega.HaveOccurred(), "holdfastctl %s %s: %s", noun, verb, output)
	var answer map[string][]map[string]any
	gomega.Expect(json.Unmarshal(output, &answer)).To(gomega.Succeed(), string(output))
	return answer[list]
}
