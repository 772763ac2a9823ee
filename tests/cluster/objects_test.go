package cluster

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
)

const (
	namespace = "default"
	// Of waits for things that take a few seconds on an idle machine.
	patience = 120 * time.Second
)

var ctx = context.Background()

// --- Claims ---------------------------------------------------------------------------------------

type claim struct {
	name, class, size string
	block             bool
	mode              corev1.PersistentVolumeAccessMode // default: ReadWriteOnce
	fromSnapshot      string
	fromClaim         string
}

func (w *world) createClaim(t *testing.T, c claim) {
	t.Helper()
	if c.mode == "" {
		c.mode = corev1.ReadWriteOnce
	}
	object := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: c.name},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &c.class,
			AccessModes:      []corev1.PersistentVolumeAccessMode{c.mode},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(c.size)}},
		},
	}
	if c.block {
		block := corev1.PersistentVolumeBlock
		object.Spec.VolumeMode = &block
	}
	if c.fromSnapshot != "" {
		group := "snapshot.storage.k8s.io"
		object.Spec.DataSource = &corev1.TypedLocalObjectReference{APIGroup: &group,
			Kind: "VolumeSnapshot", Name: c.fromSnapshot}
	}
	if c.fromClaim != "" {
		object.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim",
			Name: c.fromClaim}
	}
	_, err := w.client.CoreV1().PersistentVolumeClaims(namespace).Create(ctx, object, metav1.CreateOptions{})
	must(t, err)
}

func (w *world) claim(t *testing.T, name string) *corev1.PersistentVolumeClaim {
	t.Helper()
	found, err := w.client.CoreV1().PersistentVolumeClaims(namespace).Get(ctx, name, metav1.GetOptions{})
	must(t, err)
	return found
}

func (w *world) awaitBound(t *testing.T, name string) {
	t.Helper()
	await(t, patience, "claim "+name+" to be bound", func() (bool, string) {
		return w.claim(t, name).Status.Phase == corev1.ClaimBound, w.warnings(name)
	})
}

// grow asks for a larger volume.
func (w *world) grow(t *testing.T, name, size string) {
	t.Helper()
	object := w.claim(t, name)
	object.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse(size)
	_, err := w.client.CoreV1().PersistentVolumeClaims(namespace).Update(ctx, object, metav1.UpdateOptions{})
	must(t, err)
}

func (w *world) awaitCapacity(t *testing.T, name, size string) {
	t.Helper()
	wanted := resource.MustParse(size)
	await(t, patience, "claim "+name+" to have "+size, func() (bool, string) {
		has := w.claim(t, name).Status.Capacity[corev1.ResourceStorage]
		return has.Cmp(wanted) >= 0, has.String() + w.warnings(name)
	})
}

// volumeOf is the handle that the driver gave.
func (w *world) volumeOf(t *testing.T, name string) string {
	t.Helper()
	volume, err := w.client.CoreV1().PersistentVolumes().Get(ctx, w.claim(t, name).Spec.VolumeName,
		metav1.GetOptions{})
	must(t, err)
	return volume.Spec.CSI.VolumeHandle
}

// deleteClaim waits until its volume is gone as well.
func (w *world) deleteClaim(t *testing.T, name string) {
	t.Helper()
	volume := w.claim(t, name).Spec.VolumeName
	must(t, w.client.CoreV1().PersistentVolumeClaims(namespace).Delete(ctx, name, metav1.DeleteOptions{}))
	if volume == "" {
		return
	}
	await(t, patience, "the volume of claim "+name+" to be deleted", func() (bool, string) {
		found, err := w.client.CoreV1().PersistentVolumes().Get(ctx, volume, metav1.GetOptions{})
		return apierrors.IsNotFound(err), string(found.Status.Phase) + w.warnings(volume)
	})
}

// --- Snapshots ------------------------------------------------------------------------------------

func snapshotGroup(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "snapshot.storage.k8s.io", Version: "v1", Resource: resource}
}

func (w *world) snapshots() dynamic.ResourceInterface {
	return w.dynamic.Resource(snapshotGroup("volumesnapshots")).Namespace(namespace)
}

// takeSnapshot waits until it is ready to use.
func (w *world) takeSnapshot(t *testing.T, name, claim string) {
	t.Helper()
	_, err := w.snapshots().Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
		"metadata": map[string]any{"name": name},
		"spec": map[string]any{"volumeSnapshotClassName": "snapshots",
			"source": map[string]any{"persistentVolumeClaimName": claim}},
	}}, metav1.CreateOptions{})
	must(t, err)
	await(t, patience, "snapshot "+name+" to be ready", func() (bool, string) {
		found, err := w.snapshots().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		ready, _, _ := unstructured.NestedBool(found.Object, "status", "readyToUse")
		return ready, fmt.Sprint(found.Object["status"])
	})
}

func (w *world) deleteSnapshot(t *testing.T, name string) {
	t.Helper()
	must(t, w.snapshots().Delete(ctx, name, metav1.DeleteOptions{}))
	await(t, patience, "snapshot "+name+" to be deleted", func() (bool, string) {
		found, err := w.snapshots().Get(ctx, name, metav1.GetOptions{})
		return apierrors.IsNotFound(err), fmt.Sprint(found)
	})
}

// --- Pods -----------------------------------------------------------------------------------------

type pod struct {
	name   string
	claim  string
	block  bool   // at /dev/volume instead of /data
	script string // default: does nothing until it is told to end
	user   int64
	group  int64 // fsGroup
}

// What a pod does that only holds a volume.
const idle = `trap 'exit 0' TERM; while true; do sleep 0.2; done`

func (w *world) createPod(t *testing.T, p pod) {
	t.Helper()
	if p.script == "" {
		p.script = idle
	}
	grace, no := int64(5), false
	container := corev1.Container{Name: "main", Image: image,
		ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"sh", "-c", p.script}}
	if p.block {
		container.VolumeDevices = []corev1.VolumeDevice{{Name: "volume", DevicePath: "/dev/volume"}}
	} else {
		container.VolumeMounts = []corev1.VolumeMount{{Name: "volume", MountPath: "/data"}}
	}
	object := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: p.name},
		Spec: corev1.PodSpec{
			// A token would be one more volume, with warnings of its own while kubelet starts.
			AutomountServiceAccountToken: &no,
			HostNetwork:                  true, TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{container},
			Volumes: []corev1.Volume{{Name: "volume", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: p.claim}}}},
		},
	}
	if p.user != 0 {
		object.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &p.user, RunAsGroup: &p.user,
			FSGroup: &p.group}
	}
	_, err := w.client.CoreV1().Pods(namespace).Create(ctx, object, metav1.CreateOptions{})
	must(t, err)
}

func (w *world) pod(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	found, err := w.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	must(t, err)
	return found
}

func (w *world) awaitRunning(t *testing.T, name string) {
	t.Helper()
	await(t, patience, "pod "+name+" to run", func() (bool, string) {
		found := w.pod(t, name)
		for _, status := range found.Status.ContainerStatuses {
			if status.State.Running != nil && found.Status.Phase == corev1.PodRunning {
				return true, ""
			}
		}
		return false, string(found.Status.Phase) + w.warnings(name)
	})
}

func (w *world) runPod(t *testing.T, p pod) {
	t.Helper()
	w.createPod(t, p)
	w.awaitRunning(t, p.name)
}

func (w *world) deletePod(t *testing.T, name string) {
	t.Helper()
	must(t, w.client.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{}))
	await(t, patience, "pod "+name+" to be gone", func() (bool, string) {
		found, err := w.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		return apierrors.IsNotFound(err), string(found.Status.Phase) + w.warnings(name)
	})
}

// exec runs a shell's line in the pod and returns what it printed.
func (w *world) exec(t *testing.T, pod, line string) string {
	t.Helper()
	request := w.client.CoreV1().RESTClient().Get().Resource("pods").Namespace(namespace).Name(pod).
		SubResource("exec").VersionedParams(&corev1.PodExecOptions{Container: "main", Stdout: true,
		Stderr: true, Command: []string{"sh", "-c", line}}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(w.config, "GET", request.URL().String())
	must(t, err)
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	err = executor.StreamWithContext(limited, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr})
	if err != nil {
		t.Fatalf("in pod %s: %s: %v: %s%s", pod, line, err, stdout.String(), stderr.String())
	}
	return strings.TrimSpace(stdout.String())
}
