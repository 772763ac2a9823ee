package deploy

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The sidecars that the cluster is tested with are those that are shipped.
func TestSidecars_AreOfTheTestedVersions(t *testing.T) {
	tested := map[string]string{}
	line := regexp.MustCompile(`github.com/kubernetes-csi/(external-\w+)/v\d+ (v\S+)`)
	for _, found := range line.FindAllStringSubmatch(read(t, "../cluster/go.mod"), -1) {
		tested[found[1]] = found[2]
	}
	for module, names := range map[string][]string{
		"external-provisioner": {"provisioner"},
		"external-snapshotter": {"snapshotter", "snapshotController"},
		"external-resizer":     {"resizer"},
	} {
		for _, name := range names {
			image := defaults(t)[name].(map[string]any)["image"].(map[string]any)
			if tested[module] == "" || image["tag"] != tested[module] {
				t.Errorf("%s: expected %s of tests/cluster/go.mod, found %v", name, tested[module], image["tag"])
			}
		}
	}
}

// run gives the real program the arguments of a container, in an empty environment, and returns its
// last words.
func run(t *testing.T, arguments []string) string {
	t.Helper()
	given := strings.NewReplacer("$(NODE_NAME)", "node-1", "$(HOST_IP)", "127.0.0.1")
	command := exec.Command(filepath.Join(binaries(t), "holdfast"))
	for _, argument := range arguments {
		command.Args = append(command.Args, given.Replace(argument))
	}
	command.Env = []string{"LC_ALL=C"}
	output, err := command.CombinedOutput()
	if err == nil {
		t.Error("expected it not to start, found that it did")
	}
	return strings.TrimSpace(string(output))
}

// What it misses is the first thing that it looks for once it has understood its command line: there is
// neither a service account's token nor such a folder of kubelet.
func TestArguments_AreUnderstoodByTheDriver(t *testing.T) {
	missed := map[string]string{
		"holdfast-controller": "enrolment: expected a pod with a service account's token",
		nodePod:               "folder /nonexistent/kubelet/plugins/csi.holdfast.dev/: expected one that can be written",
	}
	for kind, values := range map[string]map[string]any{"default values": nil, "full values": full(t)} {
		pods := workloads(t, with(values, "node.kubeletRoot", "/nonexistent/kubelet"))
		for name, wanted := range missed {
			t.Run(kind+"/"+name, func(t *testing.T) {
				arguments := pods[name].Spec.Containers[0].Args
				if said := run(t, arguments); !strings.Contains(said, wanted) {
					t.Errorf("expected '%s', found '%s'", wanted, said)
				}
				// The control: a flag that there is not.
				if said := run(t, append(arguments, "--no-such-flag")); !strings.Contains(said, "no-such-flag") {
					t.Errorf("expected an unknown flag to be refused, found '%s'", said)
				}
			})
		}
	}
}
