package deploy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"csi.holdfast.dev/tests/deploy/chart"
)

func filesOf(t *testing.T, values map[string]any) (map[string]string, error) {
	t.Helper()
	return chart.Files(load(t), values, chart.Default)
}

// The maps whose keys are whoever's who gives them: values as a whole.
func given(key string) bool {
	return key == "nodeSelector" || key == "podAnnotations" || key == "limits"
}

// leaves are the values that are no map of others, by path.
func leaves(prefix string, values map[string]any) map[string]any {
	found := map[string]any{}
	for key, value := range values {
		if below, isMap := value.(map[string]any); isMap && !given(key) {
			maps.Copy(found, leaves(prefix+key+".", below))
		} else {
			found[prefix+key] = value
		}
	}
	return found
}

// Other values than the default, where a larger number, the other truth or a longer text would not do.
var others = map[string]any{
	"image.pullPolicy":                 "Never",
	"image.pullSecrets":                []any{"registry"},
	"log.level":                        "warn",
	"log.format":                       "json",
	"controller.tolerations":           []any{map[string]any{"operator": "Exists"}},
	"controller.nodeSelector":          map[string]any{"a": "b"},
	"controller.podAnnotations":        map[string]any{"a": "b"},
	"node.tolerations":                 []any{},
	"node.nodeSelector":                map[string]any{"a": "b"},
	"node.podAnnotations":              map[string]any{"a": "b"},
	"node.pools":                       []any{"/srv/other"},
	"provisioner.timeout":              "61s",
	"provisioner.capacityPollInterval": "61s",
	"snapshotter.timeout":              "61s",
	"resizer.timeout":                  "61s",
	"node.trashGrace":                  "61s",
	"node.trimInterval":                "61s",
	"node.freezeDeadline":              "61s",
	"storageClasses":                   []any{map[string]any{"name": "other"}},
	"volumeSnapshotClasses":            []any{map[string]any{"name": "other"}},
	"networkPolicy.nodeCidrs":          []any{"10.0.0.0/8"},
}

func otherThan(path string, value any) any {
	if other, found := others[path]; found {
		return other
	}
	if strings.HasSuffix(path, ".limits") {
		return map[string]any{"memory": "77Mi"}
	}
	switch value := value.(type) {
	case bool:
		return !value
	case float64:
		return value + 1
	case string:
		if strings.Contains(path, ".resources.") {
			return "77"
		}
		return value + "x"
	}
	panic(fmt.Sprintf("%s: expected another value in the table of the test, found none", path))
}

// A value that changes nothing is a promise that is not kept.
func TestValues_EachChangesTheRendering(t *testing.T) {
	base := with(nil, "snapshotController.enabled", true)
	before := manifest(t, base)
	all := leaves("", defaults(t))
	for _, path := range slices.Sorted(maps.Keys(all)) {
		t.Run(path, func(t *testing.T) {
			value := otherThan(path, all[path])
			if path == "snapshotController.enabled" {
				value = false
			}
			if manifest(t, with(base, path, value)) == before {
				t.Errorf("expected %v to change the manifest, found the same", value)
			}
		})
	}
	for path := range others {
		if _, found := all[path]; !found {
			t.Errorf("%s: expected it in values.yaml, found it in the test only", path)
		}
	}
}

// Each field of a class comes out as it was given.
func TestValues_OfClasses_AreRendered(t *testing.T) {
	text := manifest(t, full(t))
	for _, line := range []string{
		"name: every-field", `storageclass.kubernetes.io/is-default-class: "true"`, "csi.storage.k8s.io/fstype: btrfs",
		`pool: "fast"`, `provisioning: "thin"`, `reserve: "50"`,
		`rawBlockOvercommit: "acknowledged-writes-may-be-lost"`, `rootMode: "0750"`, `rootOwner: "1000:1000"`,
		"- noatime", "reclaimPolicy: Retain", "volumeBindingMode: Immediate", "allowVolumeExpansion: false",
		"csi.storage.k8s.io/fstype: ext4", "reclaimPolicy: Delete", "volumeBindingMode: WaitForFirstConsumer",
		"allowVolumeExpansion: true", `snapshot.storage.kubernetes.io/is-default-class: "true"`, "deletionPolicy: Retain",
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("expected the line '%s', found none", line)
		}
	}
}
