package sanity

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// expectNothingLeft looks while the server still runs, then stops it and looks again.
func (r *driverRun) expectNothingLeft() {
	gomega.Expect(r.ask("volume", "list", "volumes")).To(gomega.BeEmpty(), "volumes")
	gomega.Expect(r.ask("snapshot", "list", "snapshots")).To(gomega.BeEmpty(), "snapshots")
	gomega.Expect(r.countOpenFiles()).To(gomega.Equal(r.openFiles), "open files of the server")
	r.expectNoKernelState()
	r.node.stop()
	r.expectNoKernelState()
	pools := r.ask("pool", "status", "pools")
	gomega.Expect(pools).To(gomega.HaveLen(1))
	gomega.Expect(pools[0]["refusal"]).To(gomega.Equal(""))
	gomega.Expect(pools[0]["owed_bytes"]).To(gomega.BeNumerically("==", 0))
}

func (r *driverRun) expectNoKernelState() {
	ginkgo.GinkgoHelper()
	gomega.Expect(mountsUnder(r.kubeletRoot)).To(gomega.BeEmpty(), "mounts")
	gomega.Expect(loopsUnder(r.disk.mount)).To(gomega.BeEmpty(), "loop devices")
	for _, folder := range []string{"work", "volumes", "snapshots"} {
		gomega.Expect(entries(filepath.Join(r.disk.mount, folder))).To(gomega.BeEmpty(), folder)
	}
	gomega.Expect(entries(r.kubeletRoot)).To(gomega.BeEmpty(), "targets")
	// A record per filesystem that is frozen or was when the server died.
	gomega.Expect(filesUnder(r.runFolder)).To(gomega.BeEmpty(), "freezes")
}

// countOpenFiles counts the server's descriptors by what they are open on. Sockets, event queues
// and the like are gRPC's own and come and go with connections and threads.
func (r *driverRun) countOpenFiles() map[string]int { return countOpenFiles(r.node) }

func countOpenFiles(s *server) map[string]int {
	folder := fmt.Sprintf("/proc/%d/fd", s.command.Process.Pid)
	count := map[string]int{}
	for _, descriptor := range entries(folder) {
		object, err := os.Readlink(filepath.Join(folder, descriptor))
		if err != nil || strings.HasPrefix(object, "socket:") ||
			strings.HasPrefix(object, "anon_inode:[event") {
			continue
		}
		count[object]++
	}
	return count
}

func entries(folder string) []string {
	found, err := os.ReadDir(folder)
	if err != nil {
		if os.IsNotExist(err) {
			return nil
		}
		return []string{err.Error()}
	}
	var names []string
	for _, entry := range found {
		names = append(names, entry.Name())
	}
	return names
}

func filesUnder(folder string) []string {
	var files []string
	_ = filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return nil
	})
	return files
}

func mountsUnder(folder string) []string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	var targets []string
	for _, line := range strings.Split(string(table), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(fields[4], folder+"/") {
			targets = append(targets, fields[4])
		}
	}
	return targets
}

// loopsUnder lists "/dev/loopN: image" of the images below a folder, deleted ones included.
func loopsUnder(folder string) []string {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	var loops []string
	for _, file := range files {
		backing, err := os.ReadFile(file)
		if err == nil && strings.HasPrefix(string(backing), folder+"/") {
			device := "/dev/" + strings.Split(file, "/")[3]
			loops = append(loops, device+": "+strings.TrimSpace(string(backing)))
		}
	}
	return loops
}

// unmountLeftovers lets the next configuration start on a clean machine; that there was something
// is told by expectNothingLeft.
func (r *driverRun) unmountLeftovers() {
	targets := mountsUnder(r.kubeletRoot)
	for i := len(targets) - 1; i >= 0; i-- {
		if err := unix.Unmount(targets[i], unix.UMOUNT_NOFOLLOW); err != nil {
			ginkgo.GinkgoWriter.Printf("umount %s: %v\n", targets[i], err)
		}
	}
	if r.disk == nil {
		return
	}
	for _, loop := range loopsUnder(r.disk.mount) {
		mustRun("losetup", "--detach", strings.Split(loop, ":")[0])
	}
}
