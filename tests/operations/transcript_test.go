package operations

import (
	"bufio"
	"os"
	"regexp"
	"strings"
	"testing"
)

// A command of the documentation, or (Command empty) lines that something else printed.
type entry struct {
	command string
	note    string // a comment before it, which says what happens in between
	output  []string
	exit    int
}

type block struct {
	line    int // of operations.md
	replay  string
	entries []entry
}

var (
	replayMark = regexp.MustCompile(`^<!-- replay: (.*) -->$`)
	exitNote   = regexp.MustCompile(`^# exits with (\d)$`)
)

// readBlocks returns the fenced blocks of a file. Each must have a mark: the name of the step that
// brings the world to where it begins, or "no, …" with what shows it instead.
func readBlocks(t *testing.T, path string) []block {
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var blocks []block
	mark, inside, number := "", false, 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		number++
		line := lines.Text()
		switch {
		case line == "```":
			if inside = !inside; inside {
				if mark == "" {
					t.Fatalf("%s:%d: a block without a line '<!-- replay: … -->' before it", path, number)
				}
				blocks = append(blocks, block{line: number, replay: mark})
				mark = ""
			}
		case inside:
			current := &blocks[len(blocks)-1]
			current.entries = addLine(current.entries, line)
		default:
			if found := replayMark.FindStringSubmatch(line); found != nil {
				mark = found[1]
			}
		}
	}
	return blocks
}

func addLine(entries []entry, line string) []entry {
	last := len(entries) - 1
	switch {
	case exitNote.MatchString(line):
		entries[last].exit = int(exitNote.FindStringSubmatch(line)[1][0] - '0')
	case strings.HasPrefix(line, "$ "):
		if last >= 0 && entries[last].note != "" && entries[last].command == "" && len(entries[last].output) == 0 {
			entries[last].command = line[2:]
			return entries
		}
		return append(entries, entry{command: line[2:]})
	case strings.HasPrefix(line, "# "):
		return append(entries, entry{note: line[2:]})
	case line == "" && (last < 0 || len(entries[last].output) == 0):
	case line == "":
	default:
		if last < 0 {
			entries = append(entries, entry{})
			last = 0
		}
		entries[last].output = append(entries[last].output, line)
	}
	return entries
}

// names maps what is another in each run (ids, loop devices) from the documentation's to this run's,
// each one to one.
type names struct{ ours, theirs map[string]string }

func newNames() names { return names{map[string]string{}, map[string]string{}} }

var (
	spaces   = regexp.MustCompile(`\s+`)
	nameLike = regexp.MustCompile(`vol-[0-9a-f]{32}-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|/dev/loop\d+`)
	// What depends on versions of mkfs, the hour and the disk: sizes that are no whole MiB or GiB.
	variable = regexp.MustCompile(`\d+\.\d+ [KMG]iB|\d+ KiB|\d{4}-\d\d-\d\dT[\d:.]+Z|tune2fs \d.*`)
)

// same says whether a line is what the documentation has, and remembers the names that it brings.
func (n names) same(documented, found string) bool {
	documented, found = plain(documented), plain(found)
	if nameLike.ReplaceAllString(documented, "NAME") != nameLike.ReplaceAllString(found, "NAME") {
		return false
	}
	here := nameLike.FindAllString(found, -1)
	for i, there := range nameLike.FindAllString(documented, -1) {
		bound, known := n.ours[there]
		if known && bound != here[i] || !known && n.theirs[here[i]] != "" {
			return false
		}
		n.ours[there], n.theirs[here[i]] = here[i], there
	}
	return true
}

// translated is a documented command as it has to be given here.
func (n names) translated(command string) string {
	return nameLike.ReplaceAllStringFunc(command, func(name string) string {
		if ours, known := n.ours[name]; known {
			return ours
		}
		return name
	})
}

// forgetLoops: which number a loop device gets is chance, anew in each block.
func (n names) forgetLoops() {
	for there, here := range n.ours {
		if strings.HasPrefix(there, "/dev/loop") {
			delete(n.ours, there)
			delete(n.theirs, here)
		}
	}
}

func plain(line string) string {
	return strings.TrimSpace(spaces.ReplaceAllString(variable.ReplaceAllString(line, "VARIABLE"), " "))
}

func TestNames_AreOneToOne(t *testing.T) {
	n := newNames()
	if !n.same("free 2.9 GiB  on /dev/loop1 and /dev/loop2", "free 11.0 GiB on /dev/loop7 and /dev/loop9") {
		t.Error("sizes that vary, spaces and numbers of loop devices are not compared")
	}
	for _, wrong := range []string{"on /dev/loop9", "on /dev/loop8", "off /dev/loop7", "on loop7"} {
		if n.same("on /dev/loop1", wrong) {
			t.Errorf("%q passes for /dev/loop1, which is /dev/loop7 here", wrong)
		}
	}
	if n.same("512 MiB", "513 MiB") || n.same("4 volumes", "5 volumes") {
		t.Error("whole sizes and counts are compared")
	}
	if got := n.translated("losetup --detach /dev/loop2"); got != "losetup --detach /dev/loop9" {
		t.Error(got)
	}
}
