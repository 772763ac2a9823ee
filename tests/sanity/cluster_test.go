package sanity

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"google.golang.org/grpc"
)

// cluster is the controller of all configurations that have one of their own process: their nodes
// come and go, with the same name and with other pools, and it stays.
type cluster struct {
	folder          string
	registry, agent string // host:port
	server          *server
	openFiles       map[string]int
}

var theCluster cluster

// controller starts it when it is first needed.
func (c *cluster) controller(binaries string) *server {
	if c.server != nil {
		return c.server
	}
	folder, err := os.MkdirTemp("", "holdfast-sanity-cluster-")
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	c.folder, c.registry, c.agent = folder, freeAddress(), freeAddress()
	ctl := filepath.Join(binaries, "holdfastctl")
	mustRun(ctl, "pki", "init", folder)
	mustRun(ctl, "pki", "issue", folder, "--for-controller")
	mustRun(ctl, "pki", "issue", folder, "--node", nodeName)
	c.server = startServer(binaries, folder, "controller",
		append(c.tls("controller"), "--registry-listen", c.registry)...)
	c.server.waitUntilReady()
	c.openFiles = countOpenFiles(c.server)
	return c.server
}

func (c *cluster) nodeArguments() []string {
	return append(c.tls("node-"+nodeName), "--controller", c.registry, "--agent-listen", c.agent,
		"--agent-address", c.agent)
}

func (c *cluster) tls(holder string) []string {
	folder := filepath.Join(c.folder, holder)
	return []string{"--tls-ca", filepath.Join(folder, "ca.crt"),
		"--tls-cert", filepath.Join(folder, "tls.crt"), "--tls-key", filepath.Join(folder, "tls.key")}
}

// waitForPool waits until the controller has heard of the pool that was just made, and of all nodes:
// until then it answers UNAVAILABLE.
func (c *cluster) waitForPool(folder string) {
	c.server.waitUntil(func(connection *grpc.ClientConn) bool {
		controller := csi.NewControllerClient(connection)
		capacity, err := controller.GetCapacity(context.Background(), &csi.GetCapacityRequest{})
		if err != nil || capacity.GetAvailableCapacity() == 0 {
			return false
		}
		_, err = controller.ListVolumes(context.Background(), &csi.ListVolumesRequest{})
		return err == nil
	})
}

// stop ends it when the last configuration is done.
func (c *cluster) stop() {
	if c.server == nil {
		return
	}
	defer os.RemoveAll(c.folder)
	defer c.server.kill()
	gomega.Expect(countOpenFiles(c.server)).To(gomega.Equal(c.openFiles), "open files of the controller")
	c.server.stop()
}

func freeAddress() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	defer listener.Close()
	return fmt.Sprintf("127.0.0.1:%d", listener.Addr().(*net.TCPAddr).Port)
}

var _ = ginkgo.AfterSuite(func() { theCluster.stop() })
