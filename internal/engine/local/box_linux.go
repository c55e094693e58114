package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gaon-ai/gaon/internal/unit"
)

// box is the sandbox as its first process has it.
type box struct {
	kind    string
	counted []string // file systems in memory, whose use counts as memory
}

// Places that work sees empty, besides what Config says: other people's files,
// and the sockets of the machine's services, which no network namespace keeps
// anybody from.
var hiddenPlaces = []string{"/home", "/root", "/run"}

// Places in memory of its own that work may write to.
var scratchPlaces = []string{"/tmp", "/var/tmp"}

const (
	programPlace    = "/run/gaon/gaon" // where work finds this program
	scratchBytesMax = 256 << 20
	hiddenBytesMax  = 16 << 20
	deviceBytesMax  = 1 << 20
)

// programInside is the path by which work finds this program.
func programInside(l launch) string {
	if l.Sandbox == SandboxNone {
		return l.Program
	}
	return programPlace
}

// insideCommand is the command that starts the inside in a new sandbox.
func insideCommand(l launch) (*exec.Cmd, error) {
	env := []string{stageVariable + "=" + stageInside, "PATH=" + searchPath, "GOMAXPROCS=2"}
	if l.Sandbox == SandboxBubblewrap {
		return bubblewrap(l, env)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = os.Args
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if l.Sandbox == SandboxNone {
		return cmd, nil
	}
	flags := unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	if !l.Task.Network {
		flags |= unix.CLONE_NEWNET
	}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		// The work keeps its user's number; the inside needs some powers over
		// the new namespaces and gives them up before the work begins.
		flags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_SETPCAP}
	}
	cmd.SysProcAttr.Cloneflags = uintptr(flags)
	return cmd, nil
}

// bubblewrap has bwrap make the sandbox. It is for machines where only bwrap
// may make user namespaces.
func bubblewrap(l launch, env []string) (*exec.Cmd, error) {
	path, err := exec.LookPath("bwrap")
	if err != nil {
		return nil, err
	}
	args := []string{"--die-with-parent", "--as-pid-1", "--unshare-pid", "--unshare-ipc", "--unshare-uts"}
	if !l.Task.Network {
		args = append(args, "--unshare-net")
	}
	scratch := func(dir string, bytes int64) {
		args = append(args, "--perms", "1777", "--size", fmt.Sprint(bytes), "--tmpfs", dir)
	}
	args = append(args, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev")
	scratch("/dev/shm", sharedBytes(l))
	for _, node := range l.DeviceNodes {
		args = append(args, "--dev-bind-try", node, node)
	}
	for _, dir := range scratchPlaces {
		if realFolder(dir) {
			scratch(dir, scratchBytesMax)
		}
	}
	for _, dir := range hidden(l) {
		args = append(args, "--tmpfs", dir)
	}
	// The ways to what is shown are made first: bwrap would make them for root
	// alone.
	for _, path := range append(shown(l), programPlace, filepath.Join(l.Work, "in")) {
		for _, dir := range waysTo(path, slices.Concat(hidden(l), scratchPlaces)) {
			args = append(args, "--perms", "0755", "--dir", dir)
		}
	}
	args = append(args, "--ro-bind", l.Program, programPlace)
	for _, path := range shown(l) {
		args = append(args, "--ro-bind", path, path)
	}
	args = append(args, "--bind", l.Work, l.Work, "--ro-bind", filepath.Join(l.Work, "in"), filepath.Join(l.Work, "in"),
		"--bind", l.Keep, filepath.Join(l.Work, "keep"), "--chdir", "/", "--", programPlace)
	cmd := exec.Command(path, append(args, os.Args[1:]...)...)
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd, nil
}

// waysTo lists the folders above path that lie in one of the places, outer
// ones first.
func waysTo(path string, places []string) []string {
	var list []string
	for dir := filepath.Dir(path); dir != "/" && !slices.Contains(places, dir); dir = filepath.Dir(dir) {
		list = append([]string{dir}, list...)
	}
	for _, place := range places {
		if strings.HasPrefix(path, place+"/") {
			return list
		}
	}
	return nil
}

// hidden lists the folders to hide that are there, outer ones first, without
// those inside others.
func hidden(l launch) []string {
	list := []string{}
	all := slices.Concat(hiddenPlaces, l.Hide)
	slices.Sort(all)
	for _, dir := range all {
		inside := func(outer string) bool { return dir == outer || strings.HasPrefix(dir, outer+"/") }
		if realFolder(dir) && !slices.ContainsFunc(list, inside) && !slices.ContainsFunc(scratchPlaces, inside) {
			list = append(list, dir)
		}
	}
	return list
}

func realFolder(dir string) bool {
	info, err := os.Lstat(dir)
	return err == nil && info.IsDir()
}

// shown lists what is to be seen although it lies in a hidden place.
func shown(l launch) []string {
	list := slices.Clone(l.Show)
	if l.Task.Network {
		// Names are looked up as this file says, which often lies in /run.
		if path, err := filepath.EvalSymlinks("/etc/resolv.conf"); err == nil && strings.HasPrefix(path, "/run/") {
			list = append(list, path)
		}
	}
	return list
}

// furnishBox makes the sandbox what it should be, from inside.
func furnishBox(l launch) (box, error) {
	b := box{kind: l.Sandbox}
	switch l.Sandbox {
	case SandboxNone:
		// Whatever the work leaves behind becomes a child of this process.
		return b, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	case SandboxNamespaces:
		if err := furnishMounts(l); err != nil {
			return b, err
		}
		if !l.Task.Network {
			if err := loopbackUp(); err != nil {
				return b, fmt.Errorf("bring up the loopback interface: %w", err)
			}
		}
	case SandboxBubblewrap:
	default:
		return b, fmt.Errorf("no sandbox of kind %q", l.Sandbox)
	}
	if os.Getpid() != 1 {
		return b, errors.New("the sandbox has no process namespace")
	}
	b.counted = append(slices.Clone(scratchPlaces), "/dev/shm")
	// Work runs under the same user where this program is not root, and must
	// not reach into this process.
	return b, unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

// mounter builds the work's view of the files. What is to be shown is opened
// first, for hiding one place may hide the way to another.
type mounter struct {
	err  error
	open map[string]int
}

func (m *mounter) do(what string, err error) bool {
	if m.err == nil && err != nil {
		m.err = fmt.Errorf("%s: %w", what, err)
	}
	return m.err == nil
}

func (m *mounter) remember(paths ...string) {
	for _, path := range paths {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if !m.do("open "+path, err) {
			return
		}
		m.open[path] = fd
	}
}

// empty mounts an empty file system in memory.
func (m *mounter) empty(dir string, bytes int64, mode uint32) {
	if m.err == nil {
		m.do("hide "+dir, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("size=%d,mode=%o", bytes, mode)))
	}
}

// bind shows what was remembered as from at the path to, made if needed.
func (m *mounter) bind(from, to string, writable bool) {
	if m.err != nil {
		return
	}
	source := fmt.Sprintf("/proc/self/fd/%d", m.open[from])
	if !m.do("show "+from, makePlace(source, to)) {
		return
	}
	if m.do("show "+from, unix.Mount(source, to, "", unix.MS_BIND, "")) {
		m.attribute(to, writable, 0)
	}
}

// attribute makes a mount read-only or writable; never with more rights than
// the machine's own mount has.
func (m *mounter) attribute(path string, writable bool, flags uint) {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}
	if writable {
		attr = unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID, Attr_clr: unix.MOUNT_ATTR_RDONLY}
	}
	if m.err == nil {
		m.do("set the rights of "+path, unix.MountSetattr(unix.AT_FDCWD, path, flags, &attr))
	}
}

// makePlace makes a folder or file to mount on.
func makePlace(source, to string) error {
	if exists(to) {
		return nil
	}
	var info unix.Stat_t
	if err := unix.Stat(source, &info); err != nil {
		return err
	}
	if info.Mode&unix.S_IFMT == unix.S_IFDIR {
		return os.MkdirAll(to, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, nil, 0o444)
}

func furnishMounts(l launch) error {
	m := &mounter{open: map[string]int{}}
	in, places := filepath.Join(l.Work, "in"), hidden(l)
	show, nodes := shown(l), deviceNodes(l)
	m.remember(l.Work, l.Keep, in, l.Program)
	m.remember(show...)
	m.remember(nodes...)
	m.do("leave the machine's mounts", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	// A new /proc comes first: where this program is not root the kernel wants
	// to see the old one whole and writable.
	if m.err == nil {
		m.do("mount /proc", unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""))
	}
	m.attribute("/", false, unix.AT_RECURSIVE)
	m.attribute("/proc", true, 0)
	for _, dir := range scratchPlaces {
		if realFolder(dir) {
			m.empty(dir, scratchBytesMax, 0o1777)
		}
	}
	for _, dir := range places {
		m.empty(dir, hiddenBytesMax, 0o755)
	}
	furnishDevices(m, nodes, sharedBytes(l))
	for _, path := range show {
		m.bind(path, path, false)
	}
	m.bind(l.Program, programPlace, false)
	m.bind(l.Work, l.Work, true)
	m.bind(in, in, false)
	m.bind(l.Keep, filepath.Join(l.Work, "keep"), true)
	for _, dir := range places {
		m.attribute(dir, false, 0)
	}
	for _, fd := range m.open {
		unix.Close(fd)
	}
	return m.err
}

// sharedBytes is the size of /dev/shm, where processes of one work meet.
func sharedBytes(l launch) int64 {
	if l.Task.Memory > 0 {
		return int64(l.Task.Memory)
	}
	return scratchBytesMax
}

// deviceNodes lists the files in /dev that work sees.
func deviceNodes(l launch) []string {
	list := []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"}
	for _, node := range l.DeviceNodes {
		if exists(node) && filepath.IsAbs(node) && strings.HasPrefix(node, "/dev/") {
			list = append(list, node)
		}
	}
	return list
}

// furnishDevices makes a /dev with what every program needs, and the devices
// that the work was given: it cannot open another's.
func furnishDevices(m *mounter, nodes []string, shared int64) {
	m.empty("/dev", deviceBytesMax, 0o755)
	for _, node := range nodes {
		if m.err == nil {
			m.bind(node, node, true)
		}
	}
	for _, dir := range []string{"/dev/shm", "/dev/pts"} {
		if m.err == nil {
			m.do("make "+dir, os.Mkdir(dir, 0o755))
		}
	}
	m.empty("/dev/shm", shared, 0o1777)
	if m.err == nil {
		m.do("mount /dev/pts", unix.Mount("devpts", "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"))
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx"} {
		if m.err == nil {
			m.do("make /dev/"+name, os.Symlink(to, "/dev/"+name))
		}
	}
	m.attribute("/dev", false, 0)
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, request)
}

// confine takes from this thread, and so from the work that is started from
// it, whatever it does not need. It returns how to start the work.
func (b box) confine(l launch) (*syscall.SysProcAttr, error) {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return nil, err
	}
	if len(l.CPUs) > 0 {
		var set unix.CPUSet
		for _, cpu := range l.CPUs {
			set.Set(cpu)
		}
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return nil, fmt.Errorf("bind to CPUs %v: %w", l.CPUs, err)
		}
	}
	attributes := &syscall.SysProcAttr{Setsid: true}
	if b.kind == SandboxNone {
		return attributes, nil
	}
	// Without powers to gain back: an empty bounding set, and no setuid
	// program counts.
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("give up capabilities: %w", err)
	}
	for c := uintptr(0); c < 64; c++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) && b.kind == SandboxBubblewrap {
			break // past the last one, or bwrap has dropped them all
		}
		if err != nil {
			return nil, fmt.Errorf("give up capabilities: %w", err)
		}
	}
	if os.Geteuid() == 0 {
		if l.UserID == 0 {
			return nil, errors.New("work must not run as root")
		}
		id := uint32(l.UserID)
		attributes.Credential = &syscall.Credential{Uid: id, Gid: id, Groups: deviceGroups(l)}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, err
	}
	return attributes, filterCalls()
}

// deviceGroups are the groups that may use the given devices, such as render.
func deviceGroups(l launch) []uint32 {
	list := []uint32{}
	for _, node := range l.DeviceNodes {
		var info unix.Stat_t
		if unix.Stat(node, &info) == nil && info.Gid != 0 && info.Mode&0o060 == 0o060 && !slices.Contains(list, info.Gid) {
			list = append(list, info.Gid)
		}
	}
	return list
}

// started makes the kernel take the work before the centre when memory ends.
func (b box) started(first int) {
	os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", first), []byte("300"), 0) // a wish, no more
}

// signalAll sends a signal to every process of the attempt.
func (b box) signalAll(first int, s syscall.Signal) {
	if b.kind != SandboxNone {
		if os.Getpid() == 1 { // else -1 would be everybody
			syscall.Kill(-1, s)
		}
		return
	}
	for _, p := range descendants(os.Getpid()) {
		syscall.Kill(p, s)
	}
}

// usage returns the memory that the attempt's processes hold, apart from what
// they only map from files, and how many they are.
func (b box) usage(first int) (unit.Bytes, int) {
	pids := []int{}
	if b.kind == SandboxNone {
		pids = descendants(os.Getpid())
	} else {
		for _, p := range processes() {
			if p.pid != 1 {
				pids = append(pids, p.pid)
			}
		}
	}
	var sum int64
	for _, pid := range pids {
		sum += residentPages(pid)
	}
	sum *= int64(os.Getpagesize())
	for _, dir := range b.counted {
		var fs unix.Statfs_t
		if unix.Statfs(dir, &fs) == nil && fs.Type == unix.TMPFS_MAGIC {
			sum += int64(fs.Blocks-fs.Bfree) * fs.Bsize
		}
	}
	return unit.Bytes(sum), len(pids)
}

func maxRSS(use syscall.Rusage) unit.Bytes { return unit.Bytes(use.Maxrss) * 1024 }
