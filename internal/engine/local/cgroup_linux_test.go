package local

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestForksBounded: a shell that forks without end gets no further than the
// group's bound, and ends with the group.
func TestForksBounded(t *testing.T) {
	t.Parallel()
	above, err := findGroups(t.TempDir())
	if err != nil || above.Processes == "" {
		t.Logf("this machine has no control groups to give: %v", err)
		return
	}
	g := above.below("bomb")
	if err := g.make(256<<20, 30); err != nil {
		t.Fatal(err)
	}
	defer g.end()
	cmd := exec.Command("sh", "-c", "read go; b() { while :; do b & done; }; b 2>/dev/null")
	start, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := g.add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	start.Write([]byte("\n"))
	for groupCount(filepath.Join(g.Processes, "pids.events"), "max") == 0 {
		if n := groupCount(filepath.Join(g.Processes, "pids.current"), ""); n > 30 {
			t.Fatalf("%d processes in a group of 30", n)
		}
	}
	if err := g.end(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	for _, dir := range g.folders() {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// TestGroupAnew: a group that is made again forgets what was in it.
func TestGroupAnew(t *testing.T) {
	t.Parallel()
	above, err := findGroups(t.TempDir())
	if err != nil {
		t.Logf("this machine has no control groups to give: %v", err)
		return
	}
	g := above.below("again")
	defer g.end()
	if err := g.make(64<<20, 100); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.add(cmd.Process.Pid), g.make(0, 100)); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Errorf("what was in the group ended with %v", cmd.ProcessState)
	}
	if got := inGroup(g.Memory); len(got) != 0 {
		t.Errorf("in the new group are %v", got)
	}
}

// TestEndUnified: a group of version 2 ends, and all in it, also where this
// version has no controllers.
func TestEndUnified(t *testing.T) {
	t.Parallel()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(controllerFolder(mounts, own, ""), "gaon-test-*")
	if err != nil {
		t.Logf("this machine lets nobody make groups of version 2: %v", err)
		return
	}
	defer os.Remove(dir)
	cmd := exec.Command("sh", "-c", "sleep 60 & sleep 61 & wait")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g := &group{Memory: dir, Processes: dir, Unified: true}
	if err := errors.Join(g.add(cmd.Process.Pid), endFolder(dir)); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if cmd.ProcessState.Success() {
		t.Error("the shell ended well")
	}
}

const (
	mountsV1 = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/pids rw,relatime shared:9 - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`
	mountsPart = "35 31 0:32 /docker/ab /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
	mountsV2   = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
)

// TestGroupsAbove: where groups are looked for on machines of each kind.
func TestGroupsAbove(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, mounts, own, memory, processes string }{
		{"version 1", mountsV1, "8:pids:/\n4:memory:/a/b\n0::/\n", "/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/pids"},
		{"version 1 without pids", mountsPart, "4:memory:/docker/ab/c\n", "/sys/fs/cgroup/memory/c", ""},
		{"outside of what is mounted", mountsPart, "4:memory:/other\n", "", ""},
		{"version 2, a service with a group of its own", mountsV2, "0::/system.slice/gaon.service/centre\n", "/sys/fs/cgroup/system.slice/gaon.service", "/sys/fs/cgroup/system.slice/gaon.service"},
		{"version 2, a service", mountsV2, "0::/system.slice/gaon.service\n", "/sys/fs/cgroup/system.slice/gaon.service", "/sys/fs/cgroup/system.slice/gaon.service"},
		{"nothing mounted", "", "4:memory:/\n0::/\n", "", ""},
		{"nothing said", mountsV1, "", "", ""},
	} {
		g, err := groupsAbove([]byte(row.mounts), []byte(row.own))
		if (err != nil) != (row.memory == "") {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		if err == nil && (g.Memory != row.memory || g.Processes != row.processes || g.Unified != strings.Contains(row.name, "version 2")) {
			t.Errorf("%s: found %+v", row.name, g)
		}
	}
}

// FuzzGroups: whatever the files say, what is found is an absolute path, and a
// count is never negative.
func FuzzGroups(f *testing.F) {
	f.Add([]byte(mountsV1), []byte("4:memory:/a\n8:pids:/\n"))
	f.Add([]byte(mountsPart), []byte("4:memory:/../..\n"))
	f.Add([]byte(mountsV2), []byte("0::/a/centre\n"))
	f.Add([]byte("oom_kill 3\n"), []byte("oom_kill"))
	f.Fuzz(func(t *testing.T, mounts, own []byte) {
		if parseCount(mounts, string(own)) < 0 {
			t.Fatal("a negative count")
		}
		g, err := groupsAbove(mounts, own)
		if err != nil {
			return
		}
		for _, dir := range g.folders() {
			if !filepath.IsAbs(dir) || dir != filepath.Clean(dir) {
				t.Fatalf("found %q", dir)
			}
		}
	})
}
