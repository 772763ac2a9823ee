package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// world is everything that a scenario acts on.
type world struct {
	folder     string // of files and logs
	binaries   string // holdfast, holdfastctl
	kubernetes string // Kubernetes' programs in one
	programs   string // the folder of it and of the sidecars
	authority  *authority

	etcd, apiServer, controllers, scheduler *program

	node       *node
	containerd *program
	kubelet    *program
	driver     *program // "holdfast all", or "holdfast node" once it is split
	controller *program
	split      bool
	secrets    []string // that may stand in no log
	sidecars   []*program

	config  *rest.Config
	client  kubernetes.Interface
	dynamic dynamic.Interface

	seed      uint64        // of whatever is chosen at random
	budget    time.Duration // of the part that can be repeated
	restarted int           // how often a program was ended under the pods

	expectedWarnings, allowedWarnings []string // of the scenario that runs

	eventsSeen map[string]int32 // by UID, how often
}

func folderOf(t *testing.T, variable string) string {
	t.Helper()
	folder, err := filepath.Abs(os.Getenv(variable))
	if os.Getenv(variable) == "" || err != nil {
		t.Fatalf("%s: expected a folder, found '%s'; run tools/test cluster", variable, os.Getenv(variable))
	}
	return folder
}

func startWorld(t *testing.T) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("expected root, found another user; run it with sudo")
	}
	w := &world{binaries: folderOf(t, "HOLDFAST_BIN"), programs: folderOf(t, "HOLDFAST_CLUSTER_PROGRAMS"),
		eventsSeen: map[string]int32{}}
	w.readOptions(t)
	w.kubernetes = filepath.Join(w.programs, "kubernetes")
	folder, err := os.MkdirTemp("", "holdfast-cluster-")
	must(t, err)
	w.folder = folder
	t.Cleanup(func() { w.end(t) })
	for _, made := range []string{"log", "etcd", "node"} {
		must(t, os.Mkdir(filepath.Join(w.folder, made), 0o700))
	}
	w.authority = makeAuthority(t, filepath.Join(w.folder))
	began := time.Now()
	w.startControlPlane(t)
	t.Logf("control plane up after %.1f s", time.Since(began).Seconds())
	w.installCRDs(t)
	w.node = &node{folder: filepath.Join(w.folder, "node"), log: w.log("node")}
	makePool(t, w)
	w.node.boot(t)
	w.startNode(t)
	t.Logf("node Ready after %.1f s", time.Since(began).Seconds())
	w.startDriver(t)
	w.startSidecars(t)
	w.makeClasses(t)
	w.awaitRegistration(t)
	t.Logf("driver registered after %.1f s", time.Since(began).Seconds())
	return w
}

// readOptions are those of every suite: HOLDFAST_TEST_SEED, _BUDGET (seconds) and _FULL.
func (w *world) readOptions(t *testing.T) {
	t.Helper()
	number := func(variable string, otherwise uint64) uint64 {
		text := os.Getenv(variable)
		if text == "" {
			return otherwise
		}
		value, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: expected a number, found '%s'", variable, text)
		}
		return value
	}
	w.seed = number("HOLDFAST_TEST_SEED", rand.Uint64())
	otherwise := uint64(60)
	if os.Getenv("HOLDFAST_TEST_FULL") != "" {
		otherwise = 600
	}
	w.budget = time.Duration(number("HOLDFAST_TEST_BUDGET", otherwise)) * time.Second
	fmt.Printf("cluster: seed %d, budget %v\n", w.seed, w.budget)
}

func (w *world) log(name string) string { return filepath.Join(w.folder, "log", name+".log") }

// inWorld is a program beside the node.
func (w *world) inWorld(name string, argv ...string) *program {
	return &program{name: name, argv: argv, log: w.log(name)}
}

// onNode is a program in the node's namespaces as they are now: a reboot makes it anew.
func (w *world) onNode(name string, argv ...string) *program {
	return &program{name: name, argv: w.node.command(argv...), log: w.log(name)}
}

func (w *world) startControlPlane(t *testing.T) {
	t.Helper()
	path := w.authority.path
	const etcd, peers = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
	// Nothing here is to survive the machine: no fsync.
	w.etcd = w.inWorld("etcd", w.kubernetes, "etcd", "--data-dir", path("etcd"),
		"--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", peers,
		"--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers,
		"--unsafe-no-fsync", "--log-level", "warn")
	w.apiServer = w.inWorld("apiserver", w.kubernetes, "kube-apiserver", "--etcd-servers="+etcd,
		"--bind-address="+address, "--advertise-address="+address, "--secure-port=6443",
		"--tls-cert-file="+path("apiserver.crt"), "--tls-private-key-file="+path("apiserver.key"),
		"--client-ca-file="+path("ca.crt"), "--cert-dir="+path("certificates"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true", "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+path("accounts.pub"),
		"--service-account-signing-key-file="+path("accounts.key"),
		"--kubelet-client-certificate="+path("apiserver-kubelet.crt"),
		"--kubelet-client-key="+path("apiserver-kubelet.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-cluster-ip-range=10.96.0.0/16", "--profiling=false")
	config := w.authority.kubeconfig("controllers")
	w.controllers = w.inWorld("controllers", w.kubernetes, "kube-controller-manager",
		"--kubeconfig="+config, "--authentication-kubeconfig="+config,
		"--authorization-kubeconfig="+config, "--bind-address=127.0.0.1",
		"--service-account-private-key-file="+path("accounts.key"), "--root-ca-file="+path("ca.crt"),
		"--use-service-account-credentials=true", "--leader-elect=false",
		"--cluster-signing-cert-file="+path("ca.crt"), "--cluster-signing-key-file="+path("ca.key"),
		"--cert-dir="+path("certificates"))
	config = w.authority.kubeconfig("scheduler")
	w.scheduler = w.inWorld("scheduler", w.kubernetes, "kube-scheduler", "--kubeconfig="+config,
		"--authentication-kubeconfig="+config, "--authorization-kubeconfig="+config,
		"--bind-address=127.0.0.1", "--leader-elect=false", "--cert-dir="+path("certificates"))

	w.etcd.start(t)
	w.apiServer.start(t)
	w.connect(t)
	await(t, 90*time.Second, "a ready API server", func() (bool, string) {
		_, err := w.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(context.Background())
		return err == nil, fmt.Sprint(err, tail(w.apiServer.log, 3))
	})
	w.controllers.start(t)
	w.scheduler.start(t)
	await(t, 60*time.Second, "the namespace's service account", func() (bool, string) {
		_, err := w.client.CoreV1().ServiceAccounts(namespace).Get(context.Background(), "default", v1.GetOptions{})
		return err == nil, fmt.Sprint(err)
	})
}

func (w *world) connect(t *testing.T) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", w.authority.kubeconfig("admin"))
	must(t, err)
	config.QPS, config.Burst = 200, 400
	w.config = config
	w.client, err = kubernetes.NewForConfig(config)
	must(t, err)
	w.dynamic, err = dynamic.NewForConfig(config)
	must(t, err)
}

// end is for every end, the bad ones too. What the namespaces do not take with them goes here.
func (w *world) end(t *testing.T) {
	if t.Failed() {
		w.tellLogs(t)
	}
	for _, sidecar := range w.sidecars {
		sidecar.end(t, syscall.SIGTERM)
	}
	for _, p := range []*program{w.driver, w.controller, w.kubelet, w.containerd, w.scheduler, w.controllers,
		w.apiServer, w.etcd} {
		if p != nil {
			p.end(t, syscall.SIGKILL)
		}
	}
	if w.node != nil {
		w.node.cutPower(t)
	}
	w.removeCgroups(t)
	if keep := os.Getenv("HOLDFAST_CLUSTER_KEEP"); keep != "" {
		t.Logf("kept: %s", w.folder)
	} else if err := os.RemoveAll(w.folder); err != nil {
		t.Error(err)
	}
}

func (w *world) tellLogs(t *testing.T) {
	logs, _ := filepath.Glob(w.log("*"))
	for _, log := range logs {
		t.Logf("--- the end of %s\n%s", filepath.Base(log), tail(log, 25))
	}
}
