package local

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gaon-ai/gaon/internal/unit"
)

// A control group holds an attempt to its memory by the kernel's own count.
// The few files are written by hand: the libraries for it also speak to
// systemd by D-Bus and load eBPF programs, and nothing of that is needed.
//
// BUG: under version 2 only entering and ending a group was tried for real;
// its limits were written from the kernel's documentation.

// group names the folders of one control group, or of the one above those of
// all attempts. Under version 2 both folders are the same.
type group struct {
	Memory    string `json:"memory"`
	Processes string `json:"processes,omitempty"` // empty: they cannot be bounded
	Unified   bool   `json:"unified,omitempty"`   // version 2 of the interface
}

// centreGroup is the name of the group in which a service manager starts the
// centre (DelegateSubgroup= of systemd), so that groups of work can stand
// beside it: under version 2 only groups without processes have groups below.
const centreGroup = "centre"

// tasksMax bounds what the kernel counts, threads too.
const tasksMax = 4 * processesMax

// groupTries bounds how often a group is made anew when another attempt that
// ends takes away the group above it at that moment.
const groupTries = 20

// findGroups looks for a place where groups for the work of the engine with
// this folder can be made, by making one there and limiting it.
func findGroups(folder string) (*group, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	g, err := groupsAbove(mounts, own)
	if err != nil {
		return nil, err
	}
	above := g.below(fmt.Sprintf("gaon-%x", sha256.Sum256([]byte(folder)))[:len("gaon-")+12])
	trial := above.below("trial")
	err = trial.make(1<<30, tasksMax)
	return above, errors.Join(err, trial.end())
}

// groupsAbove finds the groups that this process is in and may have groups
// below, in /proc/self/mountinfo and /proc/self/cgroup.
func groupsAbove(mounts, own []byte) (*group, error) {
	var g group
	if dir := controllerFolder(mounts, own, "memory"); dir != "" {
		g.Memory, g.Processes = dir, controllerFolder(mounts, own, "pids")
		return &g, nil
	}
	dir := controllerFolder(mounts, own, "")
	if dir == "" {
		return nil, errors.New("no control groups with a memory controller are mounted")
	}
	if filepath.Base(dir) == centreGroup {
		dir = filepath.Dir(dir)
	}
	return &group{Memory: dir, Processes: dir, Unified: true}, nil
}

// controllerFolder is the folder of this process's own group under the
// version 1 controller, or under version 2 if that has no name.
func controllerFolder(mounts, own []byte, controller string) string {
	path := ""
	for line := range strings.Lines(string(own)) {
		// 4:cpu,memory:/path, or 0::/path
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) == 3 && slices.Contains(strings.Split(fields[1], ","), controller) {
			path = fields[2]
		}
	}
	if !filepath.IsAbs(path) {
		return ""
	}
	for line := range strings.Lines(string(mounts)) {
		// 35 31 0:32 /root /mount/point rw - cgroup cgroup rw,memory
		before, after, _ := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(kind) < 3 {
			continue
		}
		ours := kind[0] == "cgroup2"
		if controller != "" {
			ours = kind[0] == "cgroup" && slices.Contains(strings.Split(kind[2], ","), controller)
		}
		// A container may see only a part of the tree.
		below, err := filepath.Rel(fields[3], path)
		if ours && err == nil && filepath.IsLocal(below) && filepath.IsAbs(fields[4]) {
			return filepath.Join(fields[4], below)
		}
	}
	return ""
}

func (g *group) below(name string) *group {
	b := *g
	b.Memory = filepath.Join(g.Memory, name)
	if g.Processes != "" {
		b.Processes = filepath.Join(g.Processes, name)
	}
	return &b
}

// folders lists the group's folders, each once, the bound on processes first:
// at the end no more may come while they are killed.
func (g *group) folders() []string {
	if g.Processes == "" || g.Processes == g.Memory {
		return []string{g.Memory}
	}
	return []string{g.Processes, g.Memory}
}

// make makes the group, new, with its limits; a memory of 0 is no limit. What
// an earlier supervisor of the same attempt left in it is killed.
func (g *group) make(memory unit.Bytes, tasks int) error {
	if err := g.end(); err != nil {
		return err
	}
	for _, dir := range g.folders() {
		if err := g.makeFolder(dir); err != nil {
			return fmt.Errorf("make control group: %w", err)
		}
	}
	if memory > 0 {
		limit, swap, total := "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", memory
		if g.Unified {
			limit, swap, total = "memory.max", "memory.swap.max", 0
		}
		if err := g.set(g.Memory, limit, int64(memory)); err != nil {
			return err
		}
		// Without accounting of swap there is no such file.
		if err := g.set(g.Memory, swap, int64(total)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if g.Processes == "" {
		return nil
	}
	return g.set(g.Processes, "pids.max", int64(tasks))
}

// makeFolder makes one folder of the group, and the one above if it is not
// there.
func (g *group) makeFolder(dir string) error {
	var err error
	for range groupTries {
		above := filepath.Dir(dir)
		if err = os.Mkdir(above, 0o755); errors.Is(err, fs.ErrExist) {
			err = nil
		}
		if err == nil && g.Unified {
			// Groups get controllers from the one above, from the top down.
			for _, parent := range []string{filepath.Dir(above), above} {
				if err == nil {
					err = writeGroupFile(filepath.Join(parent, "cgroup.subtree_control"), "+memory +pids")
				}
			}
		}
		if err == nil {
			err = os.Mkdir(dir, 0o755)
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENODEV) {
			return err
		}
	}
	return err
}

func (g *group) set(dir, name string, value int64) error {
	if err := writeGroupFile(filepath.Join(dir, name), strconv.FormatInt(value, 10)); err != nil {
		return fmt.Errorf("limit control group: %w", err)
	}
	return nil
}

// writeGroupFile writes to a file that must be there already.
func writeGroupFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// add moves a process into the group; its future children are born there.
func (g *group) add(pid int) error {
	for _, dir := range g.folders() {
		if err := writeGroupFile(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("enter control group: %w", err)
		}
	}
	return nil
}

// struck says whether the kernel killed something of the group for want of
// memory, and whether the group's own limit was why.
func (g *group) struck(limit unit.Bytes) (killed, limited bool) {
	if g.Unified {
		events := filepath.Join(g.Memory, "memory.events")
		return groupCount(events, "oom_kill") > 0, groupCount(events, "oom") > 0
	}
	// Version 1 does not say why, and its count of failures stands still where
	// swap is limited too. A group that never came near its limit was struck
	// because the machine had no more.
	killed = groupCount(filepath.Join(g.Memory, "memory.oom_control"), "oom_kill") > 0
	return killed, limit > 0 && g.peak() >= limit-limit/16
}

// peak is the most memory that the group ever held, its share of the file
// cache and files in memory included; 0 if the kernel does not say.
func (g *group) peak() unit.Bytes {
	name := "memory.max_usage_in_bytes"
	if g.Unified {
		name = "memory.peak"
	}
	return unit.Bytes(groupCount(filepath.Join(g.Memory, name), ""))
}

// groupCount reads the number after the word at the start of a line; 0 if
// there is none.
func groupCount(path, word string) int64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	return parseCount(data, word)
}

func parseCount(data []byte, word string) int64 {
	for line := range bytes.Lines(data) {
		text := string(bytes.TrimSpace(line))
		if word != "" {
			name, number, ok := strings.Cut(text, " ")
			if !ok || name != word {
				continue
			}
			text = number
		}
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
			return n
		}
	}
	return 0
}

// end kills what is in the group and removes it, and the one above if this
// was the last. A group that is not there has ended.
func (g *group) end() error {
	var errs []error
	for _, dir := range g.folders() {
		if err := endFolder(dir); err != nil {
			errs = append(errs, fmt.Errorf("end control group: %w", err))
		}
		os.Remove(filepath.Dir(dir)) // refused while it has groups below
	}
	return errors.Join(errs...)
}

func endFolder(dir string) error {
	for deadline := time.Now().Add(remainsMax); ; time.Sleep(5 * time.Millisecond) {
		// Removing what is empty is by far the usual case, and says by itself
		// whether there is anything left.
		err := os.Remove(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			return err
		}
		writeGroupFile(filepath.Join(dir, "pids.max"), "0") // no more forks
		if writeGroupFile(filepath.Join(dir, "cgroup.kill"), "1") != nil {
			killGroup(dir)
		}
	}
}

// killGroup kills one by one. Each process is held by a handle before the
// group is read again, so that one whose number is used anew is not killed.
func killGroup(dir string) {
	held := map[int]*os.Process{}
	for _, pid := range inGroup(dir) {
		if p, err := os.FindProcess(pid); err == nil {
			held[pid] = p
			defer p.Release()
		}
	}
	for _, pid := range inGroup(dir) {
		if p, ok := held[pid]; ok {
			p.Kill()
		}
	}
}

func inGroup(dir string) []int {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var list []int
	for _, word := range strings.Fields(string(data)) {
		// 0 is a process of another namespace, and to a signal it is us.
		if pid, err := strconv.Atoi(word); err == nil && pid > 1 {
			list = append(list, pid)
		}
	}
	return list
}

// names lists the groups below this one.
func (g *group) names() []string {
	var list []string
	for _, dir := range g.folders() {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if entry.IsDir() && !slices.Contains(list, entry.Name()) {
				list = append(list, entry.Name())
			}
		}
	}
	return list
}
