package local

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// deniedCalls are the system calls that work is refused: those that widen its
// CPUs, and those that only an administrator needs, or whoever looks for a way
// out through a new namespace.
var deniedCalls = []uint32{
	unix.SYS_SCHED_SETAFFINITY,
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT,
	unix.SYS_FSOPEN, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_MOUNT_SETATTR,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD,
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL,
	unix.SYS_KEXEC_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
	unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_SYSLOG,
}

// namespaceFlags are those with which clone makes namespaces.
const namespaceFlags = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// x32Bit marks calls of the x32 ABI, which have other numbers.
const x32Bit = 0x40000000

// Offsets in struct seccomp_data: nr, arch, instruction pointer, arguments.
const (
	offsetCall     = 0
	offsetArch     = 4
	offsetFirstArg = 16 // its low half, on a little-endian machine
)

func auditArch() (uint32, bool) {
	switch runtime.GOARCH {
	case "amd64":
		return unix.AUDIT_ARCH_X86_64, true
	case "arm64":
		return unix.AUDIT_ARCH_AARCH64, true
	}
	return 0, false
}

// filterCalls puts the filter on this thread. The work inherits it and cannot
// take it off. On other processors there is none, and the probe finds that out.
func filterCalls() error {
	arch, known := auditArch()
	if !known {
		return nil
	}
	program := callFilter(arch)
	p := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&p)), 0, 0); err != nil {
		return fmt.Errorf("filter system calls: %w", err)
	}
	runtime.KeepAlive(program)
	return nil
}

// callFilter writes the filter, see Documentation/userspace-api/seccomp_filter
// in the kernel's source.
func callFilter(arch uint32) []unix.SockFilter {
	statement := func(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }
	load := func(offset uint32) unix.SockFilter { return statement(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset) }
	jump := func(test uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, Jt: yes, Jf: no, K: k}
	}
	refuse := func(errno uint32) unix.SockFilter {
		return statement(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ERRNO|errno)
	}
	allow := statement(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ALLOW)
	program := []unix.SockFilter{
		load(offsetArch),
		jump(unix.BPF_JEQ, arch, 1, 0),
		refuse(uint32(unix.EPERM)),
		load(offsetCall),
		jump(unix.BPF_JGE, x32Bit, 0, 1),
		refuse(uint32(unix.EPERM)),
		// The flags of clone3 lie in memory, where a filter cannot look; told
		// that there is no such call, libraries use clone.
		jump(unix.BPF_JEQ, unix.SYS_CLONE3, 0, 1),
		refuse(uint32(unix.ENOSYS)),
		jump(unix.BPF_JEQ, unix.SYS_CLONE, 0, 4),
		load(offsetFirstArg),
		jump(unix.BPF_JSET, namespaceFlags, 0, 1),
		refuse(uint32(unix.EPERM)),
		allow,
	}
	for _, call := range deniedCalls {
		program = append(program, jump(unix.BPF_JEQ, call, 0, 1), refuse(uint32(unix.EPERM)))
	}
	return append(program, allow)
}
