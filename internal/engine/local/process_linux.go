package local

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gaon-ai/gaon/internal/unit"
)

// processID names a process for ever: numbers are used again, but not with the
// same start in the same run of the machine.
type processID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot
	Boot  string `json:"boot"`
}

// process is a line of the process table.
type process struct {
	pid, parent int
	state       byte
	start       uint64
}

func (p process) dead() bool { return p.state == 'Z' || p.state == 'X' }

func bootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func readProcess(pid int) (process, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, err
	}
	return parseStat(pid, data)
}

// parseStat reads /proc/PID/stat. The name in it is in parentheses and may
// hold anything, parentheses too, so fields count from the last one.
func parseStat(pid int, data []byte) (process, error) {
	end := bytes.LastIndexByte(data, ')')
	fields := strings.Fields(string(data[end+1:]))
	if end < 0 || len(fields) < 20 {
		return process{}, fmt.Errorf("process %d: cannot read its state", pid)
	}
	parent, err := strconv.Atoi(fields[1])
	start, err2 := strconv.ParseUint(fields[19], 10, 64)
	if err := errors.Join(err, err2); err != nil {
		return process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return process{pid: pid, parent: parent, state: fields[0][0], start: start}, nil
}

// processes lists the process table as far as it can be read.
func processes() []process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var list []process
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if p, err := readProcess(pid); err == nil {
				list = append(list, p)
			}
		}
	}
	return list
}

// descendants lists the living processes below one.
func descendants(root int) []int {
	children := map[int][]int{}
	for _, p := range processes() {
		if !p.dead() {
			children[p.parent] = append(children[p.parent], p.pid)
		}
	}
	var list []int
	for queue := children[root]; len(queue) > 0; queue = queue[1:] {
		list = append(list, queue[0])
		queue = append(queue, children[queue[0]]...)
	}
	return list
}

func residentPages(pid int) int64 {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 3 {
		return 0
	}
	resident, _ := strconv.ParseInt(fields[1], 10, 64)
	shared, _ := strconv.ParseInt(fields[2], 10, 64)
	return max(resident-shared, 0)
}

// identify names the first process of the sandbox that the command made.
func identify(kind string, pid int) (processID, error) {
	if kind == SandboxBubblewrap {
		// bwrap waits outside; the first process is its child, and is soon
		// there.
		var err error
		if pid, err = childOf(pid); err != nil {
			return processID{}, err
		}
	}
	p, err := readProcess(pid)
	if err != nil {
		return processID{}, fmt.Errorf("identify the sandbox: %w", err)
	}
	return processID{PID: pid, Start: p.start, Boot: bootID()}, nil
}

func childOf(parent int) (int, error) {
	for range 500 {
		for _, p := range processes() {
			if p.parent == parent && !p.dead() {
				return p.pid, nil
			}
		}
		if p, err := readProcess(parent); err != nil || p.dead() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return 0, errors.New("bwrap made no sandbox")
}

// remainsMax is how long the end of what is left of an attempt may take.
const remainsMax = 5 * time.Second

// endRemains kills what is left of an attempt whose supervisor died, and
// returns nil when nothing is. With the first process of a process namespace
// the kernel ends all others before that one counts as ended. Where there was
// no namespace, what is left is known by its environment.
func endRemains(id processID, work string) error {
	if id.Boot != bootID() {
		return nil // nothing outlives the machine's own end
	}
	for deadline := time.Now().Add(remainsMax); ; time.Sleep(10 * time.Millisecond) {
		alive := killIf(id)
		for _, pid := range withHome(work) {
			alive = true
			syscall.Kill(pid, syscall.SIGKILL)
		}
		if !alive {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d does not end", id.PID)
		}
	}
}

// killIf kills the process if it is still that one, and says whether it was.
func killIf(id processID) bool {
	// The process is held by a handle before it is looked at, so that the one
	// that is killed is the one that was looked at.
	held, err := os.FindProcess(id.PID)
	if err != nil {
		return false
	}
	defer held.Release()
	p, err := readProcess(id.PID)
	if err != nil || p.start != id.Start || p.dead() {
		return false
	}
	held.Kill()
	return true
}

// withHome lists the processes whose home is the working folder.
func withHome(work string) []int {
	want := []byte("\x00HOME=" + work + "\x00")
	var list []int
	for _, p := range processes() {
		if p.dead() || p.pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "environ"))
		if err == nil && bytes.Contains(append([]byte{0}, env...), want) {
			list = append(list, p.pid)
		}
	}
	return list
}

// affinity turns slot numbers into the CPUs that this process may use; with
// more slots than CPUs, slots share.
func affinity(slots []int) []int {
	var set unix.CPUSet
	if len(slots) == 0 || unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	var cpus, use []int
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	if len(cpus) == 0 {
		return nil
	}
	for _, slot := range slots {
		use = append(use, cpus[slot%len(cpus)])
	}
	return use
}

// machineMemory is what the machine has, or what it is held to.
func machineMemory() (unit.Bytes, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, err
	}
	memory := unit.Bytes(info.Totalram) * unit.Bytes(info.Unit)
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil && limit > 0 {
			memory = min(memory, unit.Bytes(limit))
		}
	}
	return memory, nil
}
