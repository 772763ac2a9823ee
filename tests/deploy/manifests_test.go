package deploy

import (
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"

	"csi.holdfast.dev/tests/deploy/chart"
)

// As "helm lint --strict": a warning is an error.
func TestLint(t *testing.T) {
	version, err := common.ParseKubeVersion(chart.Default.Version)
	must(t, err)
	for name, values := range map[string]map[string]any{"default values": nil, "full values": full(t)} {
		t.Run(name, func(t *testing.T) {
			linter := lint.RunAll(chartFolder, values, chart.Namespace, lint.WithKubeVersion(version))
			for _, message := range linter.Messages {
				if message.Severity >= support.WarningSev {
					t.Error(message)
				}
			}
		})
	}
}

func TestManifests_AreTheChartWithDefaultValues(t *testing.T) {
	if read(t, filepath.Join(deployFolder, "manifests", "holdfast.yaml")) != manifest(t, nil) {
		t.Error("expected deploy/manifests/holdfast.yaml to be the chart's rendering, found another text; run tools/render")
	}
}

// Without the CRDs the API server would take none of the objects, so none of that kind may be there.
func TestWithoutSnapshotCrds_EverythingElseIsInstalled(t *testing.T) {
	cluster := chart.Cluster{Version: chart.Default.Version}
	text, err := chart.Manifest(load(t), nil, cluster)
	must(t, err)
	if strings.Contains(text, "snapshot") {
		t.Errorf("expected nothing of snapshots, found some in\n%s", text)
	}
	for _, o := range objects(t, manifest(t, nil)) {
		ofSnapshots := o.Kind == "VolumeSnapshotClass" || strings.Contains(o.Metadata.Name, "snapshotter")
		if there := strings.Contains(text, "\nkind: "+o.Kind+"\n"); !ofSnapshots && !there {
			t.Errorf("expected a %s without the CRDs too, found none", o.Kind)
		}
	}
}

func TestNotes_SayWhenThereAreNoSnapshotCrds(t *testing.T) {
	for name, test := range map[string]struct {
		cluster chart.Cluster
		values  map[string]any
		said    bool
	}{
		"with CRDs":           {chart.Default, nil, false},
		"without CRDs":        {chart.Cluster{Version: "v1.36.3"}, nil, true},
		"without, not wanted": {chart.Cluster{Version: "v1.36.3"}, with(nil, "snapshots.enabled", false), false},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := chart.Files(load(t), test.values, test.cluster)
			must(t, err)
			notes := files["holdfast/templates/NOTES.txt"]
			if !strings.Contains(notes, "pool init /srv/holdfast") {
				t.Errorf("expected how a pool is made, found\n%s", notes)
			}
			if strings.Contains(notes, "NO SNAPSHOTS") != test.said {
				t.Errorf("expected them to say that there are no snapshots: %v, found\n%s", test.said, notes)
			}
		})
	}
}

func TestSnapshotController_WithoutCrds_IsRefusedInASentence(t *testing.T) {
	_, err := chart.Manifest(load(t), with(nil, "snapshotController.enabled", true), chart.Cluster{Version: "v1.36.3"})
	if err == nil || !strings.Contains(err.Error(), "snapshotController.enabled: expected the CRDs") {
		t.Errorf("expected a refusal, found %v", err)
	}
}

// An older API server does not know the field, and Helm refuses what it does not know.
func TestCsiDriver_OfAnOlderKubernetes_HasNoNewerField(t *testing.T) {
	for version, there := range map[string]bool{"v1.30.0": false, "v1.33.9": false, "v1.34.0": true, "v1.36.3": true} {
		text, err := chart.Manifest(load(t), nil, chart.Cluster{Version: version})
		must(t, err)
		if strings.Contains(text, "nodeAllocatableUpdatePeriodSeconds") != there {
			t.Errorf("%s: expected nodeAllocatableUpdatePeriodSeconds: %v, found the opposite", version, there)
		}
	}
}
