package cluster

import (
	"encoding/json"
	"fmt"
	"os"
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
	w.checkNothingLeft(t)
}

func (w *world) checkNothingLeft(t *testing.T) {
	t.Helper()
	volumes, err := w.client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	must(t, err)
	if len(volumes.Items) > 0 {
		t.Errorf("expected no volume, found %d", len(volumes.Items))
	}
	await(t, patience, "no snapshot contents", func() (bool, string) {
		contents, err := w.dynamic.Resource(snapshotGroup("volumesnapshotcontents")).List(ctx, metav1.ListOptions{})
		must(t, err)
		return len(contents.Items) == 0, fmt.Sprint(len(contents.Items))
	})
	await(t, patience, "no image attached", func() (bool, string) {
		loops := w.node.imageLoops()
		return len(loops) == 0, fmt.Sprint(loops)
	})
	for _, kind := range []string{"volume", "snapshot"} {
		rows, err := w.holdfastctl("--pool", w.pool(), kind, "list", "--json")
		var found map[string][]json.RawMessage
		if err == nil {
			err = json.Unmarshal([]byte(rows), &found)
		}
		list, listed := found[kind+"s"]
		if err != nil || !listed || len(list) > 0 {
			t.Errorf("expected no %s in the catalog, found %s %v", kind, rows, err)
		}
	}
	for _, folder := range []string{"volumes", "snapshots", "trash", "work"} {
		w.checkEmpty(t, w.pool()+"/"+folder)
	}
	await(t, patience, "kubelet to have forgotten every pod and stage", func() (bool, string) {
		left, err := w.node.run("find", kubeletRoot+"/pods", kubeletRoot+"/plugins/kubernetes.io/csi/"+driverName,
			"-mindepth", "1")
		return err == nil && left == "", left
	})
}

func (w *world) checkEmpty(t *testing.T, folder string) {
	t.Helper()
	entries, err := os.ReadDir(w.node.inside(folder))
	must(t, err)
	for _, entry := range entries {
		t.Errorf("expected nothing in %s, found %s", folder, entry.Name())
	}
}
