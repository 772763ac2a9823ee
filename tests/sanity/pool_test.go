package sanity

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
)

const diskBytes = 24 << 30 // sparse

// disk is a filesystem for a pool: a sparse file, a loop device, a mount.
type disk struct {
	image, loop, mount string
}

func makeDisk(filesystem, folder string) *disk {
	d := &disk{image: filepath.Join(folder, "disk.img"), mount: filepath.Join(folder, "pool")}
	file, err := os.Create(d.image)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Expect(file.Truncate(diskBytes)).To(gomega.Succeed())
	gomega.Expect(file.Close()).To(gomega.Succeed())
	gomega.Expect(os.Mkdir(d.mount, 0o700)).To(gomega.Succeed())
	d.loop = strings.TrimSpace(mustRun("losetup", "--find", "--show", d.image))
	if filesystem == "xfs" {
		mustRun("mkfs.xfs", "-q", "-m", "reflink=1", d.loop)
	} else {
		mustRun("mkfs.btrfs", "-q", d.loop)
	}
	mustRun("mount", "-t", filesystem, d.loop, d.mount)
	return d
}

// remove takes everything away that it can; a busy disk is somebody's leftover, found before.
func (d *disk) remove() {
	for _, command := range [][]string{{"umount", d.mount}, {"losetup", "--detach", d.loop}} {
		if output, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			ginkgo.GinkgoWriter.Printf("%v: %v: %s\n", command, err, output)
		}
	}
}

func mustRun(program string, arguments ...string) string {
	ginkgo.GinkgoHelper()
	output, err := exec.Command(program, arguments...).CombinedOutput()
	gomega.Expect(err).NotTo(gomega.HaveOccurred(), "%s %v: %s", program, arguments, output)
	return string(output)
}
