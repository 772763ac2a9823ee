// The official CSI conformance suite against the real binary, on real pools, loops and mounts.
//
// Needs root and HOLDFAST_BIN, the folder with holdfast and holdfastctl (of any build, sanitizers
// included). Everything happens in a private mount namespace.
package sanity

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
)

const (
	volumeBytes   = 512 << 20
	expandedBytes = 768 << 20
)

// configuration is one run of the whole suite.
type configuration struct {
	poolFilesystem string // xfs or btrfs
	accessType     string // mount or block
	volumeFsType   string // empty for block
	cluster        bool   // controller and node are two processes, with mutual TLS between them
}

func (c configuration) name() string {
	if c.cluster {
		inProcess := c
		inProcess.cluster = false
		return "cluster, " + inProcess.name()
	}
	if c.accessType == "block" {
		return "pool " + c.poolFilesystem + ", block"
	}
	return "pool " + c.poolFilesystem + ", mount " + c.volumeFsType
}

func configurations() []configuration {
	var all []configuration
	for _, cluster := range []bool{false, true} {
		for _, pool := range []string{"xfs", "btrfs"} {
			for _, fsType := range []string{"ext4", "xfs", "btrfs"} {
				all = append(all, configuration{pool, "mount", fsType, cluster})
			}
			all = append(all, configuration{pool, "block", "", cluster})
		}
	}
	return all
}

// TestMain enters a mount namespace of its own before any thread of ours mounts something.
func TestMain(m *testing.M) {
	const inside = "SANITY_IN_NAMESPACE"
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	unshare, err := exec.LookPath("unshare")
	if err == nil {
		arguments := append([]string{unshare, "-m", "--propagation", "private", "/proc/self/exe"},
			os.Args[1:]...)
		arguments[4], err = os.Executable()
		if err == nil {
			err = syscall.Exec(unshare, arguments, append(os.Environ(), inside+"=1"))
		}
	}
	fmt.Fprintf(os.Stderr, "unshare: %v\n", err)
	os.Exit(1)
}

func TestSanity(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("expected root, found another user; run it with sudo")
	}
	binaries := os.Getenv("HOLDFAST_BIN")
	if binaries == "" {
		t.Fatal("HOLDFAST_BIN: expected the folder with holdfast and holdfastctl, found nothing")
	}
	binaries, err := filepath.Abs(binaries)
	if err != nil {
		t.Fatal(err)
	}
	// The programs under test refuse HOLDFAST_ variables that they do not know.
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "HOLDFAST_") {
			os.Unsetenv(name)
		}
	}
	gomega.RegisterFailHandler(ginkgo.Fail)
	for _, c := range configurations() {
		describe(c, binaries)
	}
	ginkgo.ReportAfterSuite("counts", checkCounts)
	ginkgo.RunSpecs(t, "csi-sanity")
}

// describe registers the suite for one configuration, between a specification that starts the
// driver and one that stops it and looks for what it left behind.
func describe(c configuration, binaries string) {
	// The suite reads the access type while it is registered, all the rest while it runs.
	config := sanity.NewTestConfig()
	config.TestVolumeAccessType = c.accessType
	config.TestVolumeSize = volumeBytes
	config.TestVolumeExpandSize = expandedBytes
	config.DialOptions = append(config.DialOptions, withFsType(c.volumeFsType))
	config.ControllerDialOptions = config.DialOptions

	ginkgo.Describe(c.name(), ginkgo.Ordered, ginkgo.ContinueOnFailure, func() {
		var run *driverRun
		ginkgo.It(startSpec, func() {
			run = startDriver(c, binaries)
			config.Address = run.node.endpoint
			if c.cluster {
				config.ControllerAddress = run.controller.endpoint
			}
			config.StagingPath = filepath.Join(run.kubeletRoot, "staging")
			config.TargetPath = filepath.Join(run.kubeletRoot, "targets")
		})
		ginkgo.BeforeEach(func() {
			if run == nil && ginkgo.CurrentSpecReport().LeafNodeText != startSpec {
				ginkgo.Fail("the driver did not start")
			}
		})
		context := sanity.GinkgoTest(&config)
		ginkgo.It(endSpec, func() {
			context.Finalize()
			run.expectNothingLeft()
		})
		ginkgo.AfterAll(func() {
			if run != nil {
				run.cleanUp()
			}
		})
	})
}
