package sanity

import (
	"fmt"
	"sort"
	"strings"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"
)

// suiteSpecs is how many specifications csi-sanity v5.6.0 has, the pending one left out; describe
// adds two.
const suiteSpecs = 102 + 2

// expectedSkips are the specifications whose capability Holdfast does not offer. One more or one
// fewer fails the suite. The specification that expands ext4 runs everywhere: what grew before the
// stage is grown unmounted, which needs no CAP_SYS_RESOURCE.
var expectedSkips = map[string][]string{
	// Attach: volumes are attached where they lie.
	"Controller Service [Controller Server] ControllerPublishVolume": {
		"should fail when no node id is provided",
		"should fail when no volume capability is provided",
		"should fail when no volume id is provided",
		"should fail when publishing more volumes than the node max attach limit",
		"should fail when the node does not exist",
		"should fail when the volume does not exist",
		"should fail when the volume is already published but is incompatible",
	},
	"Controller Service [Controller Server] ControllerUnpublishVolume": {
		"should fail when no volume id is provided",
	},
	"Controller Service [Controller Server] volume lifecycle": {
		"should be idempotent",
		"should work",
	},
	// Modify.
	"Controller Service [Controller Server] CreateVolume": {
		"should create volume with a volume attribute class",
		"should not create volume with an invalid volume attribute class",
	},
	"ModifyVolume [Controller Server]": {
		"should fail if no volume id is given",
		"should fail if specified mutable parameters are not supported by the volume",
		"should fail if volume does not exist",
		"should fail to modify a volume created with a volume attribute class if new mutable" +
			" parameters are not supported by volume",
		"should modify a volume created with a volume attribute class",
		"should modify a volume created without a volume attribute class",
	},
	// Groups.
	"GroupController Service [GroupController Server] GroupControllerGetCapabilities": {
		"should return appropriate capabilities",
	},
	"GroupController Service [GroupController VolumeGroupSnapshots] CreateVolumeGroupSnapshot": {
		"should fail when no name is provided",
	},
	"GroupController Service [GroupController VolumeGroupSnapshots] DeleteVolumeGroupSnapshot": {
		"should fail when no volume id is provided",
		"should succeed when an invalid volume id is used",
	},
	"GroupController Service [GroupController VolumeGroupSnapshots] GetVolumeGroupSnapshot": {
		"should fail when an invalid volume id is used",
		"should fail when no volume id is provided",
	},
	// Alpha: volume health and the topology of snapshots.
	"ControllerGetVolumeHealth [Controller Server]": {
		"should fail when no volume id is provided",
		"should return health for a valid volume",
	},
	"ControllerListVolumeHealth [Controller Server]": {
		"should return appropriate response",
	},
	"Node Service NodeGetVolumeHealth": {
		"should fail when no volume id is provided",
		"should return health for a valid volume",
	},
	"Node Service NodeGetStorageHealth": {
		"should return appropriate response",
	},
	"CreateSnapshot [Controller Server]": {
		"should succeed when creating a snapshot with accessibility requirements",
	},
}

type counts struct {
	passed, failed int
	skipped        []string
}

func countSpecs(c configuration, report ginkgo.Report) counts {
	var count counts
	for _, spec := range report.SpecReports {
		if spec.LeafNodeType != types.NodeTypeIt || len(spec.ContainerHierarchyTexts) == 0 ||
			spec.ContainerHierarchyTexts[0] != c.name() {
			continue
		}
		switch spec.State {
		case types.SpecStatePending:
		case types.SpecStatePassed:
			count.passed++
		case types.SpecStateSkipped:
			count.skipped = append(count.skipped, strings.TrimPrefix(spec.FullText(), c.name()+" "))
		default:
			count.failed++
		}
	}
	return count
}

// checkCounts prints a line for each configuration, and fails when a specification is missing or
// skipped that should not be.
func checkCounts(report ginkgo.Report) {
	var expected []string
	for container, specs := range expectedSkips {
		for _, spec := range specs {
			expected = append(expected, container+" "+spec)
		}
	}
	sort.Strings(expected)
	partial := len(report.SuiteConfig.FocusStrings) > 0 || len(report.SuiteConfig.SkipStrings) > 0
	var total counts
	fmt.Println()
	for _, c := range configurations() {
		count := countSpecs(c, report)
		if partial && count.passed+count.failed == 0 {
			continue
		}
		fmt.Printf("%s: %d passed, %d failed, %d skipped\n", c.name(), count.passed, count.failed,
			len(count.skipped))
		total.passed += count.passed
		total.failed += count.failed
		total.skipped = append(total.skipped, count.skipped...)
		sort.Strings(count.skipped)
		if !partial {
			gomega.Expect(count.passed+count.failed+len(count.skipped)).To(
				gomega.Equal(suiteSpecs), c.name())
			gomega.Expect(count.skipped).To(gomega.Equal(expected), "skipped: "+c.name())
		}
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", total.passed, total.failed, len(total.skipped))
}
