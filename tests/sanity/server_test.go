package sanity

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// server is one process of the driver.
type server struct {
	command  *exec.Cmd
	endpoint string
	output   string     // file with its stdout and stderr
	stopped  chan error // gets what Wait said
}

// startServer runs "holdfast MODE" with its socket and its log in folder.
func startServer(binaries, folder, mode string, arguments ...string) *server {
	s := &server{
		endpoint: "unix://" + filepath.Join(folder, mode+".sock"),
		output:   filepath.Join(folder, mode+".log"),
		stopped:  make(chan error, 1),
	}
	output, err := os.Create(s.output)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	defer output.Close()
	s.command = exec.Command(filepath.Join(binaries, "holdfast"),
		append([]string{mode, "--endpoint", s.endpoint}, arguments...)...)
	s.command.Stdout, s.command.Stderr = output, output
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	gomega.Expect(s.command.Start()).To(gomega.Succeed())
	go func() { s.stopped <- s.command.Wait() }()
	return s
}

func (s *server) connect(options ...grpc.DialOption) *grpc.ClientConn {
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority("localhost"))
	connection, err := grpc.NewClient(s.endpoint, options...)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	return connection
}

// waitUntil asks again and again, and fails when the server ends meanwhile.
func (s *server) waitUntil(isSo func(connection *grpc.ClientConn) bool) {
	connection := s.connect()
	defer connection.Close()
	gomega.Eventually(func() bool {
		select {
		case err := <-s.stopped:
			s.stopped <- err
			gomega.StopTrying("the server ended: " + s.log()).Now()
		default:
		}
		return isSo(connection)
	}, startTimeout, 50*time.Millisecond).Should(gomega.BeTrue(), s.log())
}

func (s *server) waitUntilReady() {
	s.waitUntil(func(connection *grpc.ClientConn) bool {
		answer, err := csi.NewIdentityClient(connection).Probe(context.Background(),
			&csi.ProbeRequest{})
		return err == nil && (answer.GetReady() == nil || answer.GetReady().GetValue())
	})
}

func (s *server) log() string {
	output, err := os.ReadFile(s.output)
	if err != nil {
		return err.Error()
	}
	return string(output)
}

// stop ends the server with SIGTERM; it must exit with 0, in time, and without a report of a
// sanitizer.
func (s *server) stop() {
	gomega.Expect(s.command.Process.Signal(syscall.SIGTERM)).To(gomega.Succeed())
	select {
	case err := <-s.stopped:
		s.stopped <- err
		gomega.Expect(err).NotTo(gomega.HaveOccurred(), s.log())
	case <-time.After(stopTimeout):
		ginkgo.Fail("the server did not end within " + stopTimeout.String())
	}
	gomega.Expect(sanitizerReport.FindAllString(s.log(), 5)).To(gomega.BeEmpty())
}

// kill is for every end, the bad ones too.
func (s *server) kill() {
	select {
	case err := <-s.stopped:
		s.stopped <- err
	default:
		_ = s.command.Process.Kill()
		<-s.stopped
	}
}
