package sanity

import (
	"context"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/onsi/gomega"
)

// expectControls stages a volume as the suite will: that each configuration tests what its name
// says, and that the search for leftovers sees what there is.
func (r *driverRun) expectControls(c configuration) {
	toNode := r.node.connect(withFsType(c.volumeFsType))
	defer toNode.Close()
	toController := r.controller.connect(withFsType(c.volumeFsType))
	defer toController.Close()
	controller, node := csi.NewControllerClient(toController), csi.NewNodeClient(toNode)
	ctx := context.Background()
	capability := r.capability(c)
	created, err := controller.CreateVolume(ctx, &csi.CreateVolumeRequest{
		Name: "control", VolumeCapabilities: []*csi.VolumeCapability{capability},
	})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	id := created.GetVolume().GetVolumeId()
	volumes := r.ask("volume", "list", "volumes")
	gomega.Expect(volumes).To(gomega.HaveLen(1))
	gomega.Expect(volumes[0]["content"]).To(gomega.Equal(c.content()))

	staging := filepath.Join(r.kubeletRoot, "control")
	gomega.Expect(os.Mkdir(staging, 0o755)).To(gomega.Succeed())
	_, err = node.NodeStageVolume(ctx, &csi.NodeStageVolumeRequest{
		VolumeId: id, StagingTargetPath: staging, VolumeCapability: capability,
	})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Expect(loopsUnder(r.disk.mount)).To(gomega.HaveLen(1))
	if c.accessType == "mount" {
		gomega.Expect(mountsUnder(r.kubeletRoot)).To(gomega.HaveLen(1))
	}
	gomega.Expect(r.countOpenFiles()).NotTo(gomega.BeEmpty())

	_, err = node.NodeUnstageVolume(ctx, &csi.NodeUnstageVolumeRequest{
		VolumeId: id, StagingTargetPath: staging,
	})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Expect(os.RemoveAll(staging)).To(gomega.Succeed())
	_, err = controller.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: id})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
}

func (c configuration) content() string {
	if c.accessType == "block" {
		return "block"
	}
	return c.volumeFsType
}

func (r *driverRun) capability(c configuration) *csi.VolumeCapability {
	capability := &csi.VolumeCapability{
		AccessMode: &csi.VolumeCapability_AccessMode{
			Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER,
		},
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
	}
	if c.accessType == "block" {
		capability.AccessType = &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}
	}
	return capability
}
