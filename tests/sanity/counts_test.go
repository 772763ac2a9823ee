package sanity

import (
	"fmt"
	"sort"
	"strings"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"
)

// expectedSkips are the specifications whose capability Holdfast does not offer: attach, modify,
// groups, volume health and snapshot topology (alpha). One more or one fewer fails the suite.
var expectedSkips = []string{}

// suiteSpecs is how many specifications csi-sanity v5.6.0 has, the pending one left out.
const suiteSpecs = 102

func checkCounts(report ginkgo.Report) {
	for _, c := range configurations() {
		var passed, failed int
		var skipped []string
		for _, spec := range report.SpecReports {
			if spec.LeafNodeType != types.NodeTypeIt || len(spec.ContainerHierarchyTexts) == 0 ||
				spec.ContainerHierarchyTexts[0] != c.name() {
				continue
			}
			switch {
			case spec.State == types.SpecStatePassed:
				passed++
			case spec.State == types.SpecStateSkipped:
				skipped = append(skipped, strings.TrimPrefix(spec.FullText(), c.name()+" "))
			case spec.State != types.SpecStatePending:
				failed++
			}
		}
		fmt.Printf("%s: %d passed, %d failed, %d skipped\n", c.name(), passed, failed, len(skipped))
		if report.SuiteConfig.FocusStrings != nil || report.SuiteConfig.SkipStrings != nil {
			continue // somebody looks at a part
		}
		// Two more than csi-sanity's: the driver's start and its end.
		gomega.Expect(passed+failed+len(skipped)).To(gomega.Equal(suiteSpecs+2), c.name())
		expected := append([]string{}, expectedSkips...)
		sort.Strings(expected)
		sort.Strings(skipped)
		gomega.Expect(skipped).To(gomega.Equal(expected), "skipped: "+c.name())
	}
}
