package cluster

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is one long-running process of the world or, through nsenter, of the node.
type program struct {
	name string
	argv []string
	env  []string
	log  string
	// As kubelet does with a container that ended: sidecars end when their driver goes.
	restarts bool

	mutex   sync.Mutex
	pid     int // of the program itself, not of nsenter; 0: not running
	stopped bool
	done    chan struct{} // closed when the keeper has ended
}

func (p *program) start(t *testing.T) {
	t.Helper()
	p.mutex.Lock()
	p.stopped, p.done = false, make(chan struct{})
	p.mutex.Unlock()
	started := make(chan error, 1)
	go p.keep(started)
	if err := <-started; err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// keep starts the program, and again whenever it ends if that is wanted.
func (p *program) keep(started chan<- error) {
	defer close(p.done)
	for first := true; ; first = false {
		command := exec.Command(p.argv[0], p.argv[1:]...)
		command.Env = append(programEnvironment(), p.env...)
		command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			command.Stdout, command.Stderr = log, log
			err = command.Start()
		}
		if err == nil {
			p.setPid(p.realPid(command.Process.Pid))
		}
		if first {
			started <- err
		}
		if err == nil {
			_ = command.Wait() // how it ended is in its log
		}
		_ = log.Close()
		p.setPid(0)
		if !p.restarts || p.isStopped() {
			return
		}
		time.Sleep(300 * time.Millisecond)
		if p.isStopped() {
			return
		}
	}
}

// realPid waits for the child of nsenter, which stays as its parent in the world.
func (p *program) realPid(pid int) int {
	if filepath.Base(p.argv[0]) != "nsenter" {
		return pid
	}
	for range 500 {
		if child := onlyChild(pid); child != 0 {
			return child
		}
		time.Sleep(2 * time.Millisecond)
	}
	return pid
}

func (p *program) setPid(pid int) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.pid = pid
}

func (p *program) isStopped() bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.stopped
}

func (p *program) running() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.pid
}

// kill ends it without a warning; one that restarts comes back.
func (p *program) kill(t *testing.T) {
	t.Helper()
	pid := p.running()
	if pid == 0 {
		t.Fatalf("%s: expected it to run, found it ended: %s", p.name, tail(p.log, 5))
	}
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	await(t, 30*time.Second, p.name+" to be dead", func() (bool, string) {
		return p.running() != pid, ""
	})
}

// end ends it for good, and waits.
func (p *program) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if p.done == nil {
		return
	}
	p.mutex.Lock()
	p.stopped = true
	pid := p.pid
	p.mutex.Unlock()
	if pid != 0 {
		_ = syscall.Kill(pid, signal)
	}
	select {
	case <-p.done:
	case <-time.After(60 * time.Second):
		t.Errorf("%s: expected an end within 60 s of signal %v: %s", p.name, signal, tail(p.log, 5))
	}
}

// The driver refuses HOLDFAST_ variables that it does not know.
func programEnvironment() []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "HOLDFAST_") && !strings.HasPrefix(variable, "CLUSTER_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// onlyChild is a child of the process, 0 when it has none.
func onlyChild(pid int) int {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(children))
	if len(fields) == 0 {
		return 0
	}
	child, _ := strconv.Atoi(fields[0])
	return child
}

// --- Waiting and telling --------------------------------------------------------------------------

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await asks until it is so; `so` also says what was found instead.
func await(t *testing.T, limit time.Duration, what string, so func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		ok, found := so()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("expected %s within %v, found: %s", what, limit, found)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func openLog(t *testing.T, path string) *os.File {
	t.Helper()
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	return log
}

// tail is the last lines of a file.
func tail(path string, lines int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}
