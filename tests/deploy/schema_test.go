package deploy

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func parsed(t *testing.T, text string) map[string]any {
	t.Helper()
	values := map[string]any{}
	must(t, yaml.UnmarshalStrict([]byte(text), &values))
	return values
}

func TestSchema_BadValues_AreRefusedByName(t *testing.T) {
	for _, test := range []struct {
		values, place string // as the message names it
	}{
		{"nodes: {}", "nodes"},
		{"node: {pool: /srv/holdfast}", "pool"},
		{"node: {extraArgs: [--x]}", "extraArgs"},
		{"node: {pools: []}", "/node/pools"},
		{"node: {pools: /srv/holdfast}", "/node/pools"},
		{"node: {pools: [srv/holdfast]}", "/node/pools/0"},
		{"node: {pools: [/srv/../etc]}", "/node/pools/0"},
		{"node: {pools: [/srv/holdfast/]}", "/node/pools/0"},
		{"node: {pools: ['/srv/a:/srv/b']}", "/node/pools/0"},
		{"node: {pools: [/srv/a, /srv/a]}", "/node/pools"},
		{"node: {kubeletRoot: kubelet}", "/node/kubeletRoot"},
		{"node: {kubeletRoot: /a23456789/b23456789/c23456789/d23456789/e23456789/f23456789/g23456789}", "/node/kubeletRoot"},
		{"node: {agentPort: 0}", "/node/agentPort"},
		{"node: {agentPort: '9750'}", "/node/agentPort"},
		{"node: {httpPort: 65536}", "/node/httpPort"},
		{"node: {maxVolumes: -1}", "/node/maxVolumes"},
		{"node: {trashGrace: 1d}", "/node/trashGrace"},
		{"node: {trimInterval: 24}", "/node/trimInterval"},
		{"node: {freezeDeadline: ''}", "/node/freezeDeadline"},
		{"node: {shutdownSeconds: 0}", "/node/shutdownSeconds"},
		{"node: {maxUnavailable: 0}", "/node/maxUnavailable"},
		{"node: {maxUnavailable: '0%'}", "/node/maxUnavailable"},
		{"node: {resources: {limit: {memory: 1Gi}}}", "limit"},
		{"node: {resources: {limits: {memory: much}}}", "/node/resources/limits/memory"},
		{"node: {nodeSelector: {holdfast.dev/pools: true}}", "/node/nodeSelector/holdfast.dev~1pools"},
		{"node: {tolerations: [{operator: Any}]}", "/node/tolerations/0/operator"},
		{"node: {image: {repository: 'holdfast/node:1'}}", "/node/image/repository"},
		{"node: {image: {tag: '@sha256:0'}}", "/node/image/tag"},
		{"node: {image: {digest: 'sha256:0'}}", "digest"},
		{"controller: {replicas: 0}", "/controller/replicas"},
		{"controller: {replicas: two}", "/controller/replicas"},
		{"controller: {priorityClassName: ''}", "/controller/priorityClassName"},
		{"controller: {registryPort: null}", "registryPort"},
		{"provisioner: {kubeApiQps: 0}", "/provisioner/kubeApiQps"},
		{"provisioner: {timeout: 60}", "/provisioner/timeout"},
		{"provisioner: {threads: 5}", "threads"},
		{"snapshotter: {workers: 0}", "/snapshotter/workers"},
		{"resizer: {kubeApiBurst: 1.5}", "/resizer/kubeApiBurst"},
		{"image: {pullPolicy: Sometimes}", "/image/pullPolicy"},
		{"image: {pullSecrets: [{name: registry}]}", "/image/pullSecrets/0"},
		{"log: {level: trace}", "/log/level"},
		{"log: {format: yaml}", "/log/format"},
		{"log: {sidecarVerbosity: 11}", "/log/sidecarVerbosity"},
		{"storageClasses: [{fsType: xfs}]", "/storageClasses/0"},
		{"storageClasses: [{name: Large}]", "/storageClasses/0/name"},
		{"storageClasses: [{name: a, fsType: zfs}]", "/storageClasses/0/fsType"},
		{"storageClasses: [{name: a, isDefault: 'yes'}]", "/storageClasses/0/isDefault"},
		{"storageClasses: [{name: a, parameters: {pol: fast}}]", "pol"},
		{"storageClasses: [{name: a, parameters: {csi.storage.k8s.io/fstype: xfs}}]", "csi.storage.k8s.io/fstype"},
		{"storageClasses: [{name: a, parameters: {provisioning: fat}}]", "/storageClasses/0/parameters/provisioning"},
		{"storageClasses: [{name: a, parameters: {reserve: '101'}}]", "/storageClasses/0/parameters/reserve"},
		{"storageClasses: [{name: a, parameters: {rootMode: '0780'}}]", "/storageClasses/0/parameters/rootMode"},
		{"storageClasses: [{name: a, parameters: {rootOwner: postgres}}]", "/storageClasses/0/parameters/rootOwner"},
		{"storageClasses: [{name: a, parameters: {rawBlockOvercommit: 'true'}}]", "/storageClasses/0/parameters/rawBlockOvercommit"},
		{"storageClasses: [{name: a, reclaimPolicy: Recycle}]", "/storageClasses/0/reclaimPolicy"},
		{"storageClasses: [{name: a, volumeBindingMode: Late}]", "/storageClasses/0/volumeBindingMode"},
		{"storageClasses: [{name: a, mountOptions: noatime}]", "/storageClasses/0/mountOptions"},
		{"snapshots: {enabled: 1}", "/snapshots/enabled"},
		{"volumeSnapshotClasses: [{name: a, deletionPolicy: Keep}]", "/volumeSnapshotClasses/0/deletionPolicy"},
		{"volumeSnapshotClasses: [{name: a, parameters: {}}]", "parameters"},
		{"snapshotController: {enabled: 'true'}", "/snapshotController/enabled"},
		{"networkPolicy: {nodeCidrs: [10.0.0.1]}", "/networkPolicy/nodeCidrs/0"},
	} {
		t.Run(test.values, func(t *testing.T) {
			_, err := filesOf(t, parsed(t, test.values))
			if err == nil || !strings.Contains(err.Error(), "'"+test.place+"'") {
				t.Errorf("expected a refusal that names '%s', found %v", test.place, err)
			}
		})
	}
}

func TestSchema_GoodValues_AreTaken(t *testing.T) {
	for _, values := range []string{
		"{}",
		"global: {anything: 1}",
		"node: {pools: [/srv/a, /mnt/disk_1/pool-2, /srv/v1.2]}",
		"node: {trashGrace: '0', trimInterval: 1h30m, freezeDeadline: 500ms}",
		"node: {resources: {requests: {cpu: 1, memory: 1.5Gi}}}",
		"node: {tolerations: []}",
		"node: {image: {repository: 'registry.example:5000/a/b_c/node'}}",
		"node: {nodeSelector: {}}",
		"storageClasses: []",
		"volumeSnapshotClasses: []",
	} {
		t.Run(values, func(t *testing.T) {
			if _, err := filesOf(t, parsed(t, values)); err != nil {
				t.Errorf("expected it to be taken, found %v", err)
			}
		})
	}
}

func schema(t *testing.T) map[string]any {
	t.Helper()
	found := map[string]any{}
	must(t, json.Unmarshal([]byte(read(t, filepath.Join(chartFolder, "values.schema.json"))), &found))
	return found
}

// A misspelt value would otherwise be silence. Helm's own "global" is whatever it is.
func TestSchema_NoObjectTakesWhatItDoesNotName(t *testing.T) {
	var walk func(path string, node any)
	walk = func(path string, node any) {
		below, isObject := node.(map[string]any)
		if list, isList := node.([]any); isList {
			for i, item := range list {
				walk(fmt.Sprint(path, "/", i), item)
			}
		}
		if !isObject {
			return
		}
		if below["type"] == "object" && below["additionalProperties"] == nil && path != "/properties/global" {
			t.Errorf("%s: expected additionalProperties, found none", path)
		}
		for key, value := range below {
			walk(path+"/"+key, value)
		}
	}
	walk("", schema(t))
}

// Documented and settable are the same: what the schema knows of is in values.yaml.
func TestSchema_KnowsWhatValuesHave(t *testing.T) {
	whole := schema(t)
	var walk func(path string, node, values map[string]any)
	walk = func(path string, node, values map[string]any) {
		if reference, found := node["$ref"].(string); found {
			name := strings.TrimPrefix(reference, "#/definitions/")
			node = whole["definitions"].(map[string]any)[name].(map[string]any)
		}
		properties, _ := node["properties"].(map[string]any)
		required, _ := node["required"].([]any)
		for key, below := range properties {
			if path+key == "global" {
				continue
			}
			value, there := values[key]
			if !there && !strings.HasSuffix(path, "resources.") {
				t.Errorf("%s%s: expected it in values.yaml, found it in the schema only", path, key)
			}
			if !slices.Contains(required, any(key)) && !strings.HasSuffix(path, "resources.") {
				t.Errorf("%s%s: expected it to be required, so that null does not take it away", path, key)
			}
			if object, isObject := value.(map[string]any); isObject {
				walk(path+key+".", below.(map[string]any), object)
			}
		}
	}
	walk("", whole, defaults(t))
}
