package cluster

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// deleteEverything deletes pods, claims and snapshots, in the order that a careless user would
// choose: sources before what was made of them.
func (w *world) deleteEverything(t *testing.T) {
	pods, err := w.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	must(t, err)
	for _, p := range pods.Items {
		w.deletePod(t, p.Name)
	}
	claims, err := w.client.CoreV1().PersistentVolumeClaims(namespace).List(ctx, metav1.ListOptions{})
	must(t, err)
	if len(claims.Items) == 0 {
		t.Error("expected claims to delete, found none")
	}
	for _, c := range claims.Items {
		w.deleteClaim(t, c.Name)
	}
	snapshots, err := w.snapshots().List(ctx, metav1.ListOptions{})
	must(t, err)
	for _, s := range snapshots.Items {
		w.deleteSnapshot(t, s.GetName())
	}
	must(t, w.client.CoreV1().Pods(installation).Delete(ctx, agentAccount, metav1.DeleteOptions{}))
	w.checkNothingLeft(t)
}

func (w *world) checkNothingLeft(t *testing.T) {
	t.Helper()
	await(t, patience, "nothing to be left", func() (bool, string) {
		left := w.whatIsLeft(t)
		return len(left) == 0, strings.Join(left, "; ")
	})
}

// whatIsLeft names everything that volumes and snapshots leave somewhere.
func (w *world) whatIsLeft(t *testing.T) (left []string) {
	t.Helper()
	volumes, err := w.client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	must(t, err)
	for _, volume := range volumes.Items {
		left = append(left, "volume "+volume.Name)
	}
	contents, err := w.dynamic.Resource(snapshotGroup("volumesnapshotcontents")).List(ctx, metav1.ListOptions{})
	must(t, err)
	for _, content := range contents.Items {
		left = append(left, "snapshot content "+content.GetName())
	}
	for device, file := range w.node.imageLoops() {
		left = append(left, "loop device "+device+" on "+file)
	}
	for _, kind := range []string{"volume", "snapshot"} {
		for _, row := range w.rows(t, kind) {
			left = append(left, "row of a "+kind+": "+string(row))
		}
	}
	for _, folder := range []string{"volumes", "snapshots", "trash", "work"} {
		entries, err := os.ReadDir(w.node.inside(filepath.Join(w.pool(), folder)))
		must(t, err)
		for _, entry := range entries {
			left = append(left, "image "+filepath.Join(folder, entry.Name()))
		}
	}
	// Its answer is an error while kubelet removes what it lists.
	found, err := w.node.run("find", kubeletRoot+"/pods", kubeletRoot+"/plugins/kubernetes.io/csi/"+driverName,
		"-mindepth", "1", "-maxdepth", "1", "-printf", "kubelet's folder %p\\n")
	if err != nil || found != "" {
		left = append(left, found)
	}
	return left
}

// rows of the catalog.
func (w *world) rows(t *testing.T, kind string) []json.RawMessage {
	t.Helper()
	text, err := w.holdfastctl("--pool", w.pool(), kind, "list", "--json")
	var found map[string][]json.RawMessage
	if err == nil {
		err = json.Unmarshal([]byte(text), &found)
	}
	rows, listed := found[kind+"s"]
	if err != nil || !listed {
		t.Fatalf("%s list: expected a list, found %s %v", kind, text, err)
	}
	return rows
}
