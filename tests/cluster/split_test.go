package cluster

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	installation   = "holdfast" // the namespace that a chart would be installed in
	agentAccount   = "holdfast-node"
	controlAccount = "holdfast-controller"
	agentAddress   = address + ":9750"
	registry       = address + ":9751"
	// Where kubelet gives every pod what it needs for the API server.
	accountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"
)

// split turns "holdfast all" into a controller and the node's agent, under the pods: with the
// accounts, the roles and the token that a chart would give them, and the API server's review.
func (w *world) splitDriver(t *testing.T) {
	for _, warning := range absences {
		w.allowWarning(warning)
	}
	// Asked for before the controller has heard of its nodes.
	w.allowWarning("Failed to delete snapshot")
	w.makeAccounts(t)
	w.startController(t)
	for _, sidecar := range w.sidecars {
		sidecar.end(t, syscall.SIGTERM)
	}
	w.driver.end(t, syscall.SIGTERM)
	w.split = true

	// A token for the API server itself is no token for us.
	w.writeToken(t, "")
	w.startDriver(t)
	await(t, patience, "the refusal of a token of another audience", func() (bool, string) {
		log := w.driverLog(t)
		return strings.Contains(log, "no certificate, trying again: token: expected"), tail(w.driver.log, 3)
	})
	w.writeToken(t, driverName)
	await(t, patience, "the node to report", func() (bool, string) {
		return strings.Contains(w.driverLog(t), "takes this node's reports"), tail(w.driver.log, 3)
	})
	w.sidecars = nil
	w.startSidecars(t) // which speak to the controller from now on
	w.awaitRegistration(t)

	// What the controller makes, the node has; and what was there before is as it was.
	w.createClaim(t, claim{name: "through-agent", class: xfsImmediate, size: "256Mi"})
	w.awaitBound(t, "through-agent")
	w.runPod(t, pod{name: "through-agent", claim: "through-agent"})
	digest := w.writeKnown(t, "through-agent", "/data/known", 8)
	w.takeSnapshot(t, "through-agent", "through-agent")
	w.grow(t, "through-agent", "512Mi")
	w.awaitCapacity(t, "through-agent", "512Mi")
	w.createClaim(t, claim{name: "restored-through-agent", class: xfsImmediate, size: "512Mi",
		fromSnapshot: "through-agent"})
	w.runPod(t, pod{name: "restored-through-agent", claim: "restored-through-agent"})
	w.checkKnown(t, "restored-through-agent", "/data/known", 8, digest)
	w.checkMounts(t)

	w.checkClusterStatus(t)

	// Pods start and end without the controller.
	w.deletePod(t, "through-agent")
	w.controller.kill(t)
	w.runPod(t, pod{name: "alone", claim: "through-agent"})
	w.checkKnown(t, "alone", "/data/known", 8, digest)
	w.deletePod(t, "alone")
	w.checkMounts(t)
	w.controller.start(t)

	w.deletePod(t, "restored-through-agent")
	w.deleteSnapshot(t, "through-agent")
	w.deleteClaim(t, "restored-through-agent")
	w.deleteClaim(t, "through-agent")
	if restarts := w.pod(t, "writer").Status.ContainerStatuses[0].RestartCount; restarts != 0 {
		t.Errorf("expected the writer to go on, found %d restarts", restarts)
	}
	w.checkNumbers(t, "writer", w.acknowledged(t, "writer"))
	w.checkNoSecrets(t)
}

// makeAccounts gives the controller what it needs, and not more.
func (w *world) makeAccounts(t *testing.T) {
	t.Helper()
	core, rbac := w.client.CoreV1(), w.client.RbacV1()
	_, err := core.Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: installation}}, metav1.CreateOptions{})
	must(t, err)
	for _, account := range []string{agentAccount, controlAccount} {
		_, err = core.ServiceAccounts(installation).Create(ctx, &corev1.ServiceAccount{
			ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{})
		must(t, err)
	}
	subjects := []rbacv1.Subject{{Kind: "ServiceAccount", Name: controlAccount, Namespace: installation}}
	_, err = rbac.Roles(installation).Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: controlAccount},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"secrets", "configmaps"}, Verbs: []string{"create"}},
			{APIGroups: []string{""}, Resources: []string{"secrets", "configmaps"}, Verbs: []string{"get"},
				ResourceNames: []string{"holdfast-authority"}},
		}}, metav1.CreateOptions{})
	must(t, err)
	_, err = rbac.RoleBindings(installation).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: controlAccount}, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: controlAccount},
	}, metav1.CreateOptions{})
	must(t, err)
	_, err = rbac.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: controlAccount}, Subjects: subjects,
		// Nothing but to have tokens reviewed.
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:auth-delegator"},
	}, metav1.CreateOptions{})
	must(t, err)
	no := false
	_, err = core.Pods(installation).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: agentAccount},
		Spec: corev1.PodSpec{NodeName: nodeName, ServiceAccountName: agentAccount, HostNetwork: true,
			AutomountServiceAccountToken: &no,
			Containers: []corev1.Container{{Name: "main", Image: image,
				ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"sh", "-c", idle}}}},
	}, metav1.CreateOptions{})
	must(t, err)
}

// token is one of the account; of that audience, and of the pod of that name.
func (w *world) token(t *testing.T, account, audience, pod string) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{}
	if audience != "" {
		request.Spec.Audiences = []string{audience}
	}
	if pod != "" {
		found, err := w.client.CoreV1().Pods(installation).Get(ctx, pod, metav1.GetOptions{})
		must(t, err)
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1",
			Name: pod, UID: found.UID}
	}
	answer, err := w.client.CoreV1().ServiceAccounts(installation).CreateToken(ctx, account, request,
		metav1.CreateOptions{})
	must(t, err)
	w.secrets = append(w.secrets, answer.Status.Token)
	return answer.Status.Token
}

func (w *world) tokenFile() string     { return filepath.Join(w.node.folder, "token") }
func (w *world) authorityFile() string { return filepath.Join(w.node.folder, "authority.crt") }

// writeToken is kubelet's part with a projected volume.
func (w *world) writeToken(t *testing.T, audience string) {
	t.Helper()
	write(t, w.tokenFile(), w.token(t, agentAccount, audience, agentAccount))
}

func (w *world) controllerSocket() string { return filepath.Join(w.folder, "controller.sock") }
func (w *world) controllerAdmin() string  { return filepath.Join(w.folder, "controller-admin.sock") }

func (w *world) startController(t *testing.T) {
	t.Helper()
	must(t, os.MkdirAll(accountFolder, 0o755))
	write(t, filepath.Join(accountFolder, "token"), w.token(t, controlAccount, "", ""))
	write(t, filepath.Join(accountFolder, "namespace"), installation)
	authority, err := os.ReadFile(w.authority.path("ca.crt"))
	must(t, err)
	write(t, filepath.Join(accountFolder, "ca.crt"), string(authority))
	w.controller = w.inWorld("controller", filepath.Join(w.binaries, "holdfast"), "controller",
		"--endpoint", "unix://"+w.controllerSocket(), "--registry-listen", registry,
		"--run-folder", filepath.Join(w.folder, "controller"), "--admin-socket", w.controllerAdmin(),
		"--tls-folder", filepath.Join(w.folder, "controller-tls"),
		"--enrol-service-account", installation+":"+agentAccount)
	w.controller.env = []string{"KUBERNETES_SERVICE_HOST=" + address, "KUBERNETES_SERVICE_PORT=6443"}
	w.controller.start(t)
	// What a pod of the DaemonSet would have mounted.
	await(t, patience, "the authority's certificate", func() (bool, string) {
		found, err := w.client.CoreV1().ConfigMaps(installation).Get(ctx, "holdfast-authority", metav1.GetOptions{})
		if err != nil {
			return false, tail(w.controller.log, 3)
		}
		write(t, w.authorityFile(), found.Data["ca.crt"])
		return true, ""
	})
}

// nodeArguments are those of "holdfast node" beyond what "holdfast all" has as well.
func (w *world) nodeArguments() []string {
	return []string{"--controller", registry, "--agent-listen", agentAddress, "--agent-address", agentAddress,
		"--tls-folder", runFolder + "/tls", "--enrol-token", w.tokenFile(), "--tls-ca", w.authorityFile()}
}

// checkClusterStatus: what the administrator is shown is what the node has.
func (w *world) checkClusterStatus(t *testing.T) {
	t.Helper()
	command := exec.Command(filepath.Join(w.binaries, "holdfastctl"), "--admin-socket", w.controllerAdmin(),
		"cluster", "status", "--json")
	command.Env = programEnvironment()
	text, err := command.CombinedOutput()
	var status struct {
		Nodes []struct {
			Name, Address, Trouble string
			Pools                  []struct {
				Name, Refusal string
				Volumes       int
				FreeBytes     int64 `json:"free_bytes"`
			}
		}
	}
	if err == nil {
		err = json.Unmarshal(text, &status)
	}
	if err != nil || len(status.Nodes) != 1 || len(status.Nodes[0].Pools) != 1 {
		t.Fatalf("cluster status: expected one node with one pool, found %s %v", text, err)
	}
	node, volumes := status.Nodes[0], len(w.rows(t, "volume"))
	pool := node.Pools[0]
	if node.Name != nodeName || node.Address != agentAddress || node.Trouble != "" || pool.Name != "cluster" ||
		pool.Refusal != "" || pool.Volumes != volumes || pool.FreeBytes == 0 {
		t.Errorf("cluster status: expected %d volumes of pool cluster on %s, found %s", volumes, nodeName, text)
	}
}

// checkNoSecrets looks for what nobody may read in what everybody may.
func (w *world) checkNoSecrets(t *testing.T) {
	t.Helper()
	for _, p := range []*program{w.driver, w.controller} {
		log, err := os.ReadFile(p.log)
		must(t, err)
		for _, secret := range append(w.secrets, "PRIVATE KEY") {
			if strings.Contains(string(log), secret) {
				t.Errorf("%s: expected no secret in its log, found one", p.name)
			}
		}
	}
}
