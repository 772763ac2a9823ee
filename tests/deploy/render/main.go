// render prints the manifests of the chart in the folder that is its argument, with default values.
package main

import (
	"fmt"
	"os"

	"csi.holdfast.dev/tests/deploy/chart"
)

func main() {
	loaded, err := chart.Load(os.Args[1])
	if err == nil {
		var manifest string
		if manifest, err = chart.Manifest(loaded, nil, chart.Default); err == nil {
			fmt.Print(manifest)
			return
		}
	}
	fmt.Fprintln(os.Stderr, "render:", err)
	os.Exit(1)
}
