// Package chart renders the chart as helm does.
package chart

import (
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
)

// Of the release, in the documents and in deploy/manifests.
const (
	Release   = "holdfast"
	Namespace = "holdfast"
)

// SnapshotAPIs are what a cluster has that has the snapshot CRDs.
var SnapshotAPIs = []string{"snapshot.storage.k8s.io/v1", "snapshot.storage.k8s.io/v1/VolumeSnapshotClass"}

// Cluster is what a rendering depends on beside the values.
type Cluster struct {
	Version string   // of Kubernetes
	APIs    []string // beyond Kubernetes' own
}

// Default is what deploy/manifests is rendered for.
var Default = Cluster{Version: "v1.36.3", APIs: SnapshotAPIs}

func Load(folder string) (*chartv2.Chart, error) { return loader.LoadDir(folder) }

// Files are the rendered templates by path, NOTES.txt among them. Values that the schema does not
// allow are an error.
func Files(loaded *chartv2.Chart, values map[string]any, cluster Cluster) (map[string]string, error) {
	version, err := common.ParseKubeVersion(cluster.Version)
	if err != nil {
		return nil, err
	}
	capabilities := common.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *version
	capabilities.APIVersions = append(slices.Clone(capabilities.APIVersions), cluster.APIs...)
	all, err := util.ToRenderValues(loaded, values,
		common.ReleaseOptions{Name: Release, Namespace: Namespace, Revision: 1, IsInstall: true}, capabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(loaded, all)
}

// Manifest is what "helm template" prints.
func Manifest(loaded *chartv2.Chart, values map[string]any, cluster Cluster) (string, error) {
	files, err := Files(loaded, values, cluster)
	if err != nil {
		return "", err
	}
	for path := range files {
		if strings.HasSuffix(path, "NOTES.txt") {
			delete(files, path)
		}
	}
	_, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, manifest := range manifests {
		fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", manifest.Name, manifest.Content)
	}
	return text.String(), nil
}
