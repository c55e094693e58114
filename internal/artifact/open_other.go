//go:build !unix

package artifact

// openFlags: os.Root alone keeps the path inside the folder here.
const openFlags = 0
