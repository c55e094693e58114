package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/ledger/sqlite"
	"github.com/gaon-ai/gaon/proof"
)

const mounted = "a small disk is mounted"

func init() { children["full"] = fullChild }

// TestFullDisk lets a real file system of two megabytes run full under the
// ledger, in a namespace of a process of its own. Where the machine lets
// nobody mount one, TestFull alone stands for it.
func TestFullDisk(t *testing.T) {
	c := child(t, "full", t.TempDir(), 0)
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	if err != nil && !strings.Contains(out.String(), mounted) {
		t.Logf("this machine lets nobody mount a small disk (%v): the full disk is played by TestFull alone", err)
		return
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log(out.String())
}

// fullChild fills the disk up to a few pages, appends until that fails, makes
// room and goes on; each time all that was acknowledged must be there.
func fullChild(ctx context.Context, dir, _ string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	fmt.Println(mounted)
	data, filler := filepath.Join(dir, "data"), filepath.Join(dir, "filler")
	l, err := sqlite.Open(ctx, sqlite.Config{Dir: data, Key: key()})
	if err != nil {
		return err
	}
	size, full, fatal := int64(0), 0, 0
	for pages := range 24 {
		if err := fill(filler, pages*4096); err != nil {
			return err
		}
		for {
			var batch [][]byte
			for i := range int64(20) {
				batch = append(batch, entryAt(size+i))
			}
			head, err := l.Append(ctx, size, batch)
			if err == nil {
				size = head.Size
				continue
			}
			if !errors.Is(err, ledger.ErrFull) && !errors.Is(err, ledger.ErrFatal) {
				return fmt.Errorf("with %d pages free: %w, want ErrFull", pages, err)
			}
			full++
			if errors.Is(err, ledger.ErrFatal) {
				fatal++
			}
			break
		}
		if err := os.Remove(filler); err != nil {
			return err
		}
		if l, size, err = again(ctx, l, data, size); err != nil {
			return fmt.Errorf("with %d pages free: %w", pages, err)
		}
	}
	fmt.Printf("%d appends met the full disk, %d of them with an unknown outcome; %d entries hold\n", full, fatal, size)
	return l.Close()
}

// fill writes a file until the disk is full, then gives some bytes back.
func fill(name string, free int) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	size := 0
	for {
		n, err := f.Write(make([]byte, 4096))
		size += n
		if err != nil {
			break
		}
	}
	return errors.Join(f.Truncate(int64(max(0, size-free))), f.Close())
}

// again checks the ledger as it is and as it is after opening it again.
func again(ctx context.Context, l *sqlite.Ledger, dir string, size int64) (*sqlite.Ledger, int64, error) {
	for range 2 {
		seen := int64(0)
		report, err := proof.VerifyLedger(ctx, l, proof.Options{Keys: []proof.VerifierKey{key().Verifier()}, Each: func(seq int64, data []byte) error {
			if seen++; !bytes.Equal(data, entryAt(seq)) {
				return fmt.Errorf("entry %d is %q", seq, data)
			}
			return nil
		}})
		if err != nil {
			return l, size, err
		}
		if seen < size || report.Checkpoint.Size != seen {
			return l, size, fmt.Errorf("%d entries, %d were acknowledged", seen, size)
		}
		size = seen
		if err := l.Close(); err != nil {
			return l, size, err
		}
		if l, err = sqlite.Open(ctx, sqlite.Config{Dir: dir, Key: key()}); err != nil {
			return l, size, err
		}
	}
	return l, size, nil
}
