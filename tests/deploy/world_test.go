// Package deploy checks what is shipped: the chart, the manifests that are rendered from it, and the
// images' file lists.
package deploy

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"sigs.k8s.io/yaml"

	"csi.holdfast.dev/tests/deploy/chart"
)

const (
	deployFolder = "../../deploy"
	chartFolder  = deployFolder + "/helm/holdfast"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

func load(t *testing.T) *chartv2.Chart {
	t.Helper()
	loaded, err := chart.Load(chartFolder)
	must(t, err)
	return loaded
}

// full are values with everything in use.
func full(t *testing.T) map[string]any {
	t.Helper()
	values := map[string]any{}
	must(t, yaml.UnmarshalStrict([]byte(read(t, "testdata/full.yaml")), &values))
	return values
}

// defaults are values.yaml.
func defaults(t *testing.T) map[string]any {
	t.Helper()
	values := map[string]any{}
	must(t, yaml.UnmarshalStrict([]byte(read(t, filepath.Join(chartFolder, "values.yaml"))), &values))
	return values
}

// binaries is the folder of the programs that were built.
func binaries(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs(os.Getenv("HOLDFAST_BIN"))
	if os.Getenv("HOLDFAST_BIN") == "" || err != nil {
		t.Fatal("HOLDFAST_BIN: expected the folder of holdfast and holdfastctl, found nothing; run tools/test deploy")
	}
	return folder
}

func manifest(t *testing.T, values map[string]any) string {
	t.Helper()
	text, err := chart.Manifest(load(t), values, chart.Default)
	must(t, err)
	return text
}

// object is one of a manifest.
type object struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	text     string
}

func (o object) String() string { return o.Kind + "/" + o.Metadata.Name }

// into reads an object of that kind; what the kind does not have is an error.
func into[T any](t *testing.T, o object) T {
	t.Helper()
	var typed T
	if err := yaml.UnmarshalStrict([]byte(o.text), &typed); err != nil {
		t.Fatalf("%v: %v", o, err)
	}
	return typed
}

func objects(t *testing.T, text string) []object {
	t.Helper()
	var found []object
	for document := range strings.SplitSeq(text, "---\n") {
		var read object
		must(t, yaml.Unmarshal([]byte(document), &read))
		if read.Kind != "" {
			read.text = document
			found = append(found, read)
		}
	}
	return found
}

// every are the objects of a kind by name.
func every[T any](t *testing.T, kind string, values map[string]any) map[string]T {
	t.Helper()
	found := map[string]T{}
	for _, o := range objects(t, manifest(t, values)) {
		if o.Kind == kind {
			found[o.Metadata.Name] = into[T](t, o)
		}
	}
	if len(found) == 0 {
		t.Fatalf("expected objects of kind %s, found none", kind)
	}
	return found
}

func names[T any](found map[string]T) []string { return slices.Sorted(maps.Keys(found)) }

// with is values with another value at a path such as "node.pools".
func with(values map[string]any, path string, value any) map[string]any {
	changed := maps.Clone(values)
	if changed == nil {
		changed = map[string]any{}
	}
	key, rest, deeper := strings.Cut(path, ".")
	if !deeper {
		changed[key] = value
		return changed
	}
	below, _ := values[key].(map[string]any)
	changed[key] = with(below, rest, value)
	return changed
}
