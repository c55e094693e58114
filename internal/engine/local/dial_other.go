//go:build !linux

package local

import (
	"context"
	"net"
)

// dialSocket connects by name; a name longer than the system allows fails.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", path)
}
