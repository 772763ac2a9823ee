package deploy

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// workloads are the templates of all pods, by name.
func workloads(t *testing.T, values map[string]any) map[string]corev1.PodTemplateSpec {
	t.Helper()
	found := map[string]corev1.PodTemplateSpec{}
	for name, deployment := range every[appsv1.Deployment](t, "Deployment", values) {
		found[name] = deployment.Spec.Template
	}
	for name, set := range every[appsv1.DaemonSet](t, "DaemonSet", values) {
		found[name] = set.Spec.Template
	}
	return found
}

// perContainer is a test of every container, and says of which pod.
func perContainer(t *testing.T, check func(t *testing.T, pod string, c corev1.Container)) {
	t.Helper()
	for name, template := range workloads(t, full(t)) {
		for _, container := range template.Spec.Containers {
			t.Run(name+"/"+container.Name, func(t *testing.T) { check(t, name, container) })
		}
	}
}

const nodePod = "holdfast-node"

func TestContainers_AreWhatTheContractSays(t *testing.T) {
	wanted := map[string][]string{
		"holdfast-controller":          {"holdfast", "csi-provisioner", "csi-snapshotter", "csi-resizer"},
		"holdfast-snapshot-controller": {"snapshot-controller"},
		nodePod:                        {"holdfast"},
	}
	found := map[string][]string{}
	for name, template := range workloads(t, full(t)) {
		for _, container := range template.Spec.Containers {
			found[name] = append(found[name], container.Name)
		}
	}
	for name := range wanted {
		if !slices.Equal(found[name], wanted[name]) {
			t.Errorf("%s: expected the containers %v, found %v", name, wanted[name], found[name])
		}
	}
	if len(found) != len(wanted) {
		t.Errorf("expected %d workloads, found %v", len(wanted), names(found))
	}
}

func TestContainers_HaveNoMoreRightsThanTheyNeed(t *testing.T) {
	perContainer(t, func(t *testing.T, pod string, c corev1.Container) {
		security := c.SecurityContext
		if security.ReadOnlyRootFilesystem == nil || !*security.ReadOnlyRootFilesystem {
			t.Error("expected a read-only root filesystem, found another")
		}
		privileged := security.Privileged != nil && *security.Privileged
		if privileged != (pod == nodePod) {
			t.Errorf("expected the node's container alone to be privileged, found %v", privileged)
		}
		if pod == nodePod {
			return
		}
		if security.AllowPrivilegeEscalation == nil || *security.AllowPrivilegeEscalation {
			t.Error("expected no escalation of privileges, found one allowed")
		}
		if security.Capabilities == nil || !slices.Equal(security.Capabilities.Drop, []corev1.Capability{"ALL"}) ||
			len(security.Capabilities.Add) > 0 {
			t.Errorf("expected no capability, found %v", security.Capabilities)
		}
	})
}

func TestPods_HaveNoMoreRightsThanTheyNeed(t *testing.T) {
	for name, template := range workloads(t, full(t)) {
		spec := template.Spec
		if spec.EnableServiceLinks == nil || *spec.EnableServiceLinks {
			t.Errorf("%s: expected enableServiceLinks: false, found another", name)
		}
		if automount := *spec.AutomountServiceAccountToken; automount != (name != nodePod) {
			t.Errorf("%s: expected a token of the API server for all but the node, found %v", name, automount)
		}
		if !strings.HasPrefix(spec.PriorityClassName, "system-") {
			t.Errorf("%s: expected a priority of the system, found '%s'", name, spec.PriorityClassName)
		}
		if name == nodePod {
			continue
		}
		security := spec.SecurityContext
		if security.RunAsNonRoot == nil || !*security.RunAsNonRoot || security.SeccompProfile == nil ||
			security.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: expected nobody's user and RuntimeDefault, found %v", name, security)
		}
		for _, volume := range spec.Volumes {
			if volume.EmptyDir == nil {
				t.Errorf("%s: expected no volume of the machine, found %s", name, volume.Name)
			}
		}
		if spec.HostNetwork || spec.HostPID || spec.HostIPC {
			t.Errorf("%s: expected namespaces of its own, found the machine's", name)
		}
	}
}

func TestContainers_HaveLimitsThatHelp(t *testing.T) {
	perContainer(t, func(t *testing.T, pod string, c corev1.Container) {
		if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() {
			t.Errorf("expected requests of cpu and memory, found %v", c.Resources.Requests)
		}
		if !c.Resources.Limits.Cpu().IsZero() {
			t.Errorf("expected no limit of cpu, found %v", c.Resources.Limits)
		}
		if c.Resources.Limits.Memory().IsZero() != (pod == nodePod) {
			t.Errorf("expected a limit of memory but for the node, found %v", c.Resources.Limits)
		}
		if c.TerminationMessagePolicy != corev1.TerminationMessageFallbackToLogsOnError {
			t.Error("expected its last words to be its end's message, found another policy")
		}
	})
}

// A node plugin is not restarted because a disk is slow or a controller is away.
func TestProbes_AskWhatTheyAreFor(t *testing.T) {
	perContainer(t, func(t *testing.T, _ string, c corev1.Container) {
		if c.Name != "holdfast" {
			return
		}
		live, ready := c.LivenessProbe.HTTPGet, c.ReadinessProbe.HTTPGet
		if live.Path != "/healthz" || ready.Path != "/readyz" {
			t.Errorf("expected /healthz and /readyz, found %s and %s", live.Path, ready.Path)
		}
		if patience := c.LivenessProbe.PeriodSeconds * c.LivenessProbe.FailureThreshold; patience < 120 {
			t.Errorf("expected two minutes before a restart, found %d s", patience)
		}
		for _, probe := range []string{live.Port.String(), ready.Port.String()} {
			if !slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == probe }) {
				t.Errorf("expected a port %s, found %v", probe, c.Ports)
			}
		}
	})
}

func TestNode_SeesWhatItServes(t *testing.T) {
	spec := workloads(t, full(t))[nodePod].Spec
	if !spec.HostNetwork || !spec.HostPID || spec.DNSPolicy != corev1.DNSClusterFirstWithHostNet {
		t.Errorf("expected the node's network and processes and the cluster's names, found others")
	}
	if spec.Tolerations != nil && spec.Tolerations[0].Operator != corev1.TolerationOpExists {
		t.Errorf("expected every taint to be tolerated, found %v", spec.Tolerations)
	}
	paths := map[string]string{}
	for _, volume := range spec.Volumes {
		if volume.HostPath != nil {
			paths[volume.Name] = volume.HostPath.Path
		}
	}
	found := map[string]corev1.MountPropagationMode{}
	for _, mount := range spec.Containers[0].VolumeMounts {
		if path, host := paths[mount.Name]; host && path != mount.MountPath {
			t.Errorf("expected %s at its own path, found it at %s", path, mount.MountPath)
		}
		if mount.MountPropagation != nil {
			found[mount.MountPath] = *mount.MountPropagation
		}
	}
	if found["/var/lib/k0s/kubelet"] != corev1.MountPropagationBidirectional ||
		found["/srv/fast"] != corev1.MountPropagationHostToContainer ||
		found["/srv/large"] != corev1.MountPropagationHostToContainer || len(paths) != 5 {
		t.Errorf("expected kubelet's folder, both pools, /dev and /run/holdfast, found %v with %v", paths, found)
	}
}

// What is found by its labels and by its ports is there.
func TestObjects_FindEachOther(t *testing.T) {
	pods := workloads(t, full(t))
	controller := pods["holdfast-controller"]
	matches := func(selector map[string]string) bool {
		for key, value := range selector {
			if controller.Labels[key] != value {
				return false
			}
		}
		return len(selector) > 0
	}
	service := every[corev1.Service](t, "Service", full(t))["holdfast-controller"]
	if !matches(service.Spec.Selector) || service.Spec.ClusterIP != corev1.ClusterIPNone ||
		!service.Spec.PublishNotReadyAddresses {
		t.Errorf("expected a headless Service of the controller, found %v", service.Spec)
	}
	budget := every[policyv1.PodDisruptionBudget](t, "PodDisruptionBudget", full(t))["holdfast-controller"]
	policy := every[networkingv1.NetworkPolicy](t, "NetworkPolicy", full(t))["holdfast-controller"]
	if !matches(budget.Spec.Selector.MatchLabels) || !matches(policy.Spec.PodSelector.MatchLabels) {
		t.Error("expected budget and policy of the controller, found others")
	}
	var ports, open []string
	for _, port := range controller.Spec.Containers[0].Ports {
		ports = append(ports, port.Name)
	}
	for _, rule := range policy.Spec.Ingress {
		for _, port := range rule.Ports {
			open = append(open, port.Port.String())
		}
	}
	if !slices.Equal(ports, open) || service.Spec.Ports[0].TargetPort.String() != "registry" {
		t.Errorf("expected the ports %v to be reached, found %v", ports, open)
	}
}

func TestCsiDriver_IsWhatTheDriverCan(t *testing.T) {
	spec := every[storagev1.CSIDriver](t, "CSIDriver", nil)["csi.holdfast.dev"].Spec
	if *spec.AttachRequired || !*spec.PodInfoOnMount || !*spec.StorageCapacity || !*spec.SELinuxMount ||
		*spec.FSGroupPolicy != storagev1.FileFSGroupPolicy || *spec.NodeAllocatableUpdatePeriodSeconds != 60 ||
		!slices.Equal(spec.VolumeLifecycleModes, []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent}) {
		t.Errorf("found %v", spec)
	}
}

// What Helm would take in silence is refused here: each object has only fields of its kind.
func TestObjects_HaveOnlyKnownFields(t *testing.T) {
	kinds := map[string]func(*testing.T, object){
		"ClusterRole":         known[rbacv1.ClusterRole],
		"ClusterRoleBinding":  known[rbacv1.ClusterRoleBinding],
		"CSIDriver":           known[storagev1.CSIDriver],
		"DaemonSet":           known[appsv1.DaemonSet],
		"Deployment":          known[appsv1.Deployment],
		"NetworkPolicy":       known[networkingv1.NetworkPolicy],
		"PodDisruptionBudget": known[policyv1.PodDisruptionBudget],
		"Role":                known[rbacv1.Role],
		"RoleBinding":         known[rbacv1.RoleBinding],
		"Service":             known[corev1.Service],
		"ServiceAccount":      known[corev1.ServiceAccount],
		"StorageClass":        known[storagev1.StorageClass],
	}
	for _, o := range objects(t, manifest(t, full(t))) {
		if o.Kind == "VolumeSnapshotClass" { // a CRD's: the cluster's API server judges it
			continue
		}
		if kinds[o.Kind] == nil {
			t.Fatalf("%v: expected a kind of the table, found another", o)
		}
		t.Run(o.String(), func(t *testing.T) { kinds[o.Kind](t, o) })
	}
}

func known[T any](t *testing.T, o object) { into[T](t, o) }

// Everything of a namespace says which, so that the manifests are applied as they are.
func TestObjects_AreInTheNamespace(t *testing.T) {
	cluster := []string{"CSIDriver", "StorageClass", "VolumeSnapshotClass", "ClusterRole", "ClusterRoleBinding"}
	for _, o := range objects(t, manifest(t, full(t))) {
		if wanted := !slices.Contains(cluster, o.Kind); wanted != (o.Metadata.Namespace == "holdfast") {
			t.Errorf("%v: expected a namespace: %v, found '%s'", o, wanted, o.Metadata.Namespace)
		}
	}
}
