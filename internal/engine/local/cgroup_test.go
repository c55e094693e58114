//go:build linux

package local_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/engine/enginetest"
	"github.com/gaon-ai/gaon/internal/engine/local"
	"github.com/gaon-ai/gaon/internal/unit"
)

// counted is what an engine remarks that has no control groups.
const counted = "Memory is counted ten times a second"

func remarks(t *testing.T, e *local.Engine) string {
	t.Helper()
	nodes, err := e.Nodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !nodes["here"].Enforce.Memory {
		t.Fatalf("the engine enforces %+v", nodes["here"].Enforce)
	}
	return strings.Join(nodes["here"].Enforce.Remarks, " ")
}

// grouped says whether the kernel limits the memory of the engine's work, and
// that the engine says the truth about it: with no group every row here holds
// by counting too, so these tests run on any machine.
func grouped(t *testing.T, e *local.Engine) bool {
	t.Helper()
	w := task(attemptOf(1), "sleep", "60")
	if err := e.Start(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	awaitRunning(t, e, w.Attempt)
	folders := groupOf(t, e, w.Attempt)
	if said := remarks(t, e); strings.Contains(said, counted) != (folders == nil) {
		t.Fatalf("with groups %v the engine remarks %q", folders, said)
	}
	for _, dir := range folders {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			if err == nil && len(strings.Fields(string(procs))) == 2 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("in %s are %q, %v; want the inside and the work", dir, procs, err)
			}
		}
	}
	if err := e.Stop(t.Context(), w.Attempt, 0); err != nil {
		t.Fatal(err)
	}
	await(t, e, w.Attempt, engine.Ended)
	mustBeGone(t, folders)
	return folders != nil
}

func awaitRunning(t *testing.T, e *local.Engine, a engine.Attempt) {
	t.Helper()
	await(t, e, a, engine.Running, engine.Ended, engine.Lost)
}

// groupOf returns the folders of an attempt's control group; none if it has
// none.
func groupOf(t *testing.T, e *local.Engine, a engine.Attempt) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(e.Folder(a), "task.json"))
	if err != nil {
		t.Fatal(err)
	}
	var l struct {
		Group *struct{ Memory, Processes string }
	}
	if err := json.Unmarshal(data, &l); err != nil {
		t.Fatal(err)
	}
	if l.Group == nil {
		return nil
	}
	list := []string{l.Group.Memory}
	if l.Group.Processes != "" {
		list = append(list, l.Group.Processes)
	}
	return list
}

func mustBeGone(t *testing.T, folders []string) {
	t.Helper()
	for _, dir := range folders {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("the group %s is still there: %v", dir, err)
		}
	}
}

// TestMemoryGroup: the kernel holds work to its memory, in each kind of
// sandbox, and the engine says what happened.
func TestMemoryGroup(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{local.SandboxNamespaces, local.SandboxBubblewrap, local.SandboxNone} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			c.Sandbox = kind
			e := open(t, c)
			if !grouped(t, e) {
				t.Log("this machine has no control groups to give: memory is counted")
			}
			for _, row := range []struct {
				name   string
				argv   []string
				memory unit.Bytes
				code   int
				reason string
			}{
				{"within its limit", []string{"sh", "-c", "head -c 60M /dev/zero | tail -c 60M | wc -c"}, 512 << 20, 0, ""},
				{"over its limit", []string{"gaon", enginetest.Word, "eat", "300"}, 64 << 20, 128 + 9, "memory limit of 64.0 MiB passed"},
				{"a part of it over the limit", []string{"sh", "-c", "head -c 300M /dev/zero | tail -c 300M | sleep 60"}, 64 << 20, 128 + 9, "memory limit of 64.0 MiB passed"},
			} {
				w := task(attemptOf(int(time.Now().UnixNano()%1e15)), row.argv...)
				w.Memory = row.memory
				if err := e.Start(t.Context(), w); err != nil {
					t.Fatal(err)
				}
				o := await(t, e, w.Attempt, engine.Ended, engine.Lost)
				if o.Reason != row.reason || o.ExitCode != row.code {
					t.Errorf("%s: observation %+v, want code %d and %q", row.name, o, row.code, row.reason)
				}
				// The kernel lets a process that is being killed have a little more.
				if o.Memory < 50<<20 || len(groupOf(t, e, w.Attempt)) > 0 && o.Memory > row.memory+4<<20 {
					t.Errorf("%s: a peak of %s", row.name, o.Memory)
				}
				mustBeGone(t, groupOf(t, e, w.Attempt))
			}
		})
	}
}

// TestPeakOfMoment: a group knows of what no count ten times a second would
// see.
func TestPeakOfMoment(t *testing.T) {
	t.Parallel()
	e := open(t, config(t))
	o, text := shell(t, e, "head -c 200M /dev/zero | tail -c 200M | wc -c", nil)
	if o.ExitCode != 0 || lastLineOf(text) != "209715200" || o.Memory < 190<<20 {
		t.Fatalf("observation %+v, said %q", o, text)
	}
}

// TestNoGroups: who does not want groups gets counting, and is told so.
func TestNoGroups(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.NoGroups = true
	e := open(t, c)
	if grouped(t, e) {
		t.Fatal("groups that nobody wanted")
	}
	w := task(attemptOf(2), "gaon", enginetest.Word, "eat", "300")
	w.Memory = 64 << 20
	if err := e.Start(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if o := await(t, e, w.Attempt, engine.Ended, engine.Lost); o.Reason != "memory limit of 64.0 MiB passed" || o.ExitCode != 128+9 {
		t.Fatalf("observation %+v", o)
	}
}

// TestLostGroup: what a killed supervisor leaves in a group is ended by the
// next look, also without a sandbox that would take it along; and a group that
// no attempt needs goes with the next Open.
func TestLostGroup(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.Sandbox = local.SandboxNone
	e := open(t, c)
	w := task(attemptOf(2), "sh", "-c", "env -i sleep 61 & echo $!; wait")
	if err := e.Start(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	awaitSaid(t, e, w.Attempt, "\n")
	sleeper, err := strconv.Atoi(strings.TrimSpace(said(t, e, w.Attempt, engine.Stdout)))
	if err != nil {
		t.Fatal(err)
	}
	folders := groupOf(t, e, w.Attempt)
	supervisor := supervisorOf(t, e, w.Attempt)
	e.Close()
	// Both at once: an inside alone would still end its work.
	for _, pid := range append(childrenOf(t, supervisor), supervisor) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	var stale []string
	for _, dir := range folders {
		stale = append(stale, filepath.Join(filepath.Dir(dir), "J99.1"))
		os.Mkdir(stale[len(stale)-1], 0o755)
	}
	e = open(t, c)
	await(t, e, w.Attempt, engine.Lost)
	mustBeGone(t, append(folders, stale...))
	if folders != nil && alive(sleeper) {
		t.Fatalf("process %d lives on", sleeper)
	}
	syscall.Kill(sleeper, syscall.SIGKILL)
}

func alive(pid int) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return err == nil && strings.Contains(string(data), "sleep")
}

func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	var list []int
	files, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		data, _ := os.ReadFile(path)
		for _, word := range strings.Fields(string(data)) {
			if child, err := strconv.Atoi(word); err == nil {
				list = append(list, child)
			}
		}
	}
	return list
}
