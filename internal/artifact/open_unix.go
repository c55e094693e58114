//go:build unix

package artifact

import "syscall"

// openFlags: a link put in a file's place is not followed, and a pipe put
// there does not block.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
