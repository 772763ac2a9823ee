package sanity

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	startSpec    = "the driver starts and is ready"
	endSpec      = "the driver stops in order and leaves nothing behind"
	startTimeout = 60 * time.Second // a sanitizer build on a busy machine
	stopTimeout  = 60 * time.Second
)

var sanitizerReport = regexp.MustCompile(
	`(?m)^.*(AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:).*$`)

// driverRun is one pool with one server on it.
type driverRun struct {
	folder, kubeletRoot, runFolder, endpoint string
	binaries                                 string
	disk                                     *disk
	server                                   *exec.Cmd
	stopped                                  chan error // gets what Wait said
	output                                   string     // file with the server's stdout and stderr
	openFiles                                map[string]int
}

func startDriver(c configuration, binaries string) *driverRun {
	folder, err := os.MkdirTemp("", "holdfast-sanity-")
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	run := &driverRun{
		folder:      folder,
		binaries:    binaries,
		kubeletRoot: filepath.Join(folder, "kubelet"),
		runFolder:   filepath.Join(folder, "run"),
		endpoint:    "unix://" + filepath.Join(folder, "csi.sock"),
		output:      filepath.Join(folder, "server.log"),
		stopped:     make(chan error, 1),
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
	run.startServer()
	run.waitUntilReady()
	run.expectControls(c)
	run.openFiles = run.countOpenFiles()
	started = true
	return run
}

func (r *driverRun) program(name string) string { return filepath.Join(r.binaries, name) }

func (r *driverRun) startServer() {
	output, err := os.Create(r.output)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	defer output.Close()
	server := exec.Command(r.program("holdfast"), "all", "--endpoint", r.endpoint,
		"--pool", r.disk.mount, "--kubelet-root", r.kubeletRoot, "--run-folder", r.runFolder,
		"--admin-socket", filepath.Join(r.folder, "admin.sock"),
		"--node-id", "sanity-node")
	server.Stdout, server.Stderr = output, output
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	gomega.Expect(server.Start()).To(gomega.Succeed())
	r.server = server
	go func() { r.stopped <- server.Wait() }()
}

func (r *driverRun) connect(options ...grpc.DialOption) *grpc.ClientConn {
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority("localhost"))
	connection, err := grpc.NewClient(r.endpoint, options...)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	return connection
}

func (r *driverRun) waitUntilReady() {
	connection := r.connect()
	defer connection.Close()
	identity := csi.NewIdentityClient(connection)
	gomega.Eventually(func() bool {
		select {
		case err := <-r.stopped:
			r.stopped <- err
			gomega.StopTrying("the server ended: " + r.serverOutput()).Now()
		default:
		}
		answer, err := identity.Probe(context.Background(), &csi.ProbeRequest{})
		return err == nil && (answer.GetReady() == nil || answer.GetReady().GetValue())
	}, startTimeout, 50*time.Millisecond).Should(gomega.BeTrue(), r.serverOutput())
}

func (r *driverRun) serverOutput() string {
	output, err := os.ReadFile(r.output)
	if err != nil {
		return err.Error()
	}
	return string(output)
}

// stopServer ends the server with SIGTERM; it must exit with 0, in time, and without a report of a
// sanitizer.
func (r *driverRun) stopServer() {
	gomega.Expect(r.server.Process.Signal(syscall.SIGTERM)).To(gomega.Succeed())
	select {
	case err := <-r.stopped:
		r.stopped <- err
		gomega.Expect(err).NotTo(gomega.HaveOccurred(), r.serverOutput())
	case <-time.After(stopTimeout):
		ginkgo.Fail("the server did not end within " + stopTimeout.String())
	}
	gomega.Expect(sanitizerReport.FindAllString(r.serverOutput(), 5)).To(gomega.BeEmpty())
}

// cleanUp is for every end, the bad ones too.
func (r *driverRun) cleanUp() {
	if r.server != nil {
		select {
		case err := <-r.stopped:
			r.stopped <- err
		default:
			_ = r.server.Process.Kill()
			<-r.stopped
		}
	}
	if ginkgo.CurrentSpecReport().Failed() || os.Getenv("SANITY_SHOW_LOG") != "" {
		ginkgo.GinkgoWriter.Println(r.serverOutput())
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
