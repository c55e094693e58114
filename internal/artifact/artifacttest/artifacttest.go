// Package artifacttest holds every artifact store to the same contract: what
// is put can be read, what is changed is found, what is young stays.
//
// It is not a test of trees and collection, which stand on the contract alone;
// those are in package artifact.
//
// Begin with Run, from the store's own test.
package artifacttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Config is what the suite needs to know of a store.
type Config struct {
	// Open returns a new, empty store.
	Open func(t *testing.T) artifact.Store

	// Change replaces the stored bytes of a blob behind the store's back.
	Change func(t *testing.T, s artifact.Store, d unit.Digest, to []byte)
}

// Run holds the store to the contract.
func Run(t *testing.T, c Config) {
	for _, test := range []struct {
		name string
		run  func(tc *testCase)
	}{
		{"what is put can be read", putAndRead},
		{"the same bytes are one blob", sameBytes},
		{"what is absent is said to be", absent},
		{"what is no digest is refused", noDigest},
		{"a failed put leaves nothing", failedPut},
		{"any flipped byte is found", flippedByte},
		{"cut and grown blobs are found", cutAndGrown},
		{"putting again heals", heals},
		{"each goes in order", inOrder},
		{"delete leaves what is young", deletes},
		{"a context ends a put and a read", ends},
		{"many put at once", concurrentPuts},
		{"a put and a delete of the same bytes", putAgainstDelete},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(&testCase{T: t, Store: c.Open(t), change: c.Change})
		})
	}
}

// forever is after anything that a test puts.
const forever = unit.Instant(1) << 50

var ctx = context.Background()

type testCase struct {
	*testing.T
	artifact.Store
	change func(t *testing.T, s artifact.Store, d unit.Digest, to []byte)
}

func (tc *testCase) mustPut(data []byte) unit.Digest {
	tc.Helper()
	d, size, err := tc.Put(ctx, bytes.NewReader(data))
	if err != nil || size != unit.Bytes(len(data)) || d != unit.DigestOf(data) {
		tc.Fatalf("put %d bytes: %s, %d, %v; want %s", len(data), d, size, err, unit.DigestOf(data))
	}
	return d
}

func (tc *testCase) read(d unit.Digest) ([]byte, error) {
	r, err := tc.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (tc *testCase) mustRead(d unit.Digest, want []byte) {
	tc.Helper()
	got, err := tc.read(d)
	if err != nil || !bytes.Equal(got, want) {
		tc.Fatalf("read %s: %d bytes, %v; want %d bytes", d, len(got), err, len(want))
	}
}

func (tc *testCase) mustBeAbsent(err error, d unit.Digest) {
	tc.Helper()
	var absent *artifact.AbsentError
	if !errors.As(err, &absent) || absent.Digest != d || absent.Code() != "artifact.absent" {
		tc.Fatalf("want %s absent, got %v", d, err)
	}
}

func (tc *testCase) mustBeCorrupt(what string, d unit.Digest, now []byte) {
	tc.Helper()
	_, err := tc.read(d)
	var corrupt *artifact.CorruptError
	if !errors.As(err, &corrupt) || corrupt.Digest != d || corrupt.Found != unit.DigestOf(now) {
		tc.Fatalf("%s: want %s corrupt and found %s, got %v", what, d, unit.DigestOf(now), err)
	}
}

func (tc *testCase) names() []unit.Digest {
	tc.Helper()
	var all []unit.Digest
	for d, err := range tc.Each(ctx) {
		if err != nil {
			tc.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func putAndRead(tc *testCase) {
	for _, size := range []int{0, 1, 1000, 1 << 20} {
		data := bytes.Repeat([]byte("가온 "), size/7+1)[:size]
		d := tc.mustPut(data)
		tc.mustRead(d, data)
		if got, err := tc.Size(ctx, d); err != nil || got != unit.Bytes(size) {
			tc.Errorf("size of %d bytes: %d, %v", size, got, err)
		}
	}
	slow := []byte("one byte at a time")
	d, _, err := tc.Put(ctx, iotest.OneByteReader(bytes.NewReader(slow)))
	if err != nil {
		tc.Fatal(err)
	}
	tc.mustRead(d, slow)
}

func sameBytes(tc *testCase) {
	first, second := tc.mustPut([]byte("same")), tc.mustPut([]byte("same"))
	if first != second || len(tc.names()) != 1 {
		tc.Fatalf("%s and %s, %d blobs", first, second, len(tc.names()))
	}
}

func absent(tc *testCase) {
	d := unit.DigestOf([]byte("never put"))
	_, err := tc.Open(ctx, d)
	tc.mustBeAbsent(err, d)
	_, err = tc.Size(ctx, d)
	tc.mustBeAbsent(err, d)
	_, err = tc.Stored(ctx, d)
	tc.mustBeAbsent(err, d)
	tc.mustBeAbsent(tc.Renew(ctx, d), d)
	if gone, err := tc.Delete(ctx, d, forever); gone || err != nil {
		tc.Fatalf("delete what is absent: %v, %v", gone, err)
	}
}

func noDigest(tc *testCase) {
	for _, d := range []unit.Digest{"", "sha256:", "sha256:../../../../etc/passwd", "../x", unit.DigestOf(nil) + "0", "SHA256:" + unit.Digest(unit.DigestOf(nil).Hex())} {
		if r, err := tc.Open(ctx, d); err == nil {
			r.Close()
			tc.Errorf("%q was opened", d)
		}
		if _, err := tc.Size(ctx, d); err == nil {
			tc.Errorf("%q has a size", d)
		}
		if _, err := tc.Delete(ctx, d, forever); err == nil {
			tc.Errorf("%q was deleted", d)
		}
	}
}

func failedPut(tc *testCase) {
	broken := errors.New("the line broke")
	_, _, err := tc.Put(ctx, io.MultiReader(bytes.NewReader(make([]byte, 100_000)), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		tc.Fatalf("want the reader's error, got %v", err)
	}
	if names := tc.names(); len(names) != 0 {
		tc.Fatalf("a failed put left %v", names)
	}
}

func flippedByte(tc *testCase) {
	data := []byte("a small blob of which every byte matters")
	d := tc.mustPut(data)
	for i := range data {
		for _, bit := range []byte{1, 0x80} {
			changed := bytes.Clone(data)
			changed[i] ^= bit
			tc.change(tc.T, tc.Store, d, changed)
			tc.mustBeCorrupt(fmt.Sprintf("byte %d ^ %#x", i, bit), d, changed)
		}
	}
	tc.change(tc.T, tc.Store, d, data)
	tc.mustRead(d, data)
}

func cutAndGrown(tc *testCase) {
	data := []byte("neither shorter nor longer")
	d := tc.mustPut(data)
	for _, changed := range [][]byte{nil, data[:1], data[:len(data)-1], append(bytes.Clone(data), 0), append(bytes.Clone(data), data...)} {
		tc.change(tc.T, tc.Store, d, changed)
		tc.mustBeCorrupt(fmt.Sprintf("%d bytes", len(changed)), d, changed)
	}
}

func heals(tc *testCase) {
	data := []byte("put again")
	d := tc.mustPut(data)
	tc.change(tc.T, tc.Store, d, []byte("something else"))
	tc.mustBeCorrupt("changed", d, []byte("something else"))
	tc.mustPut(data)
	tc.mustRead(d, data)
}

func inOrder(tc *testCase) {
	var want []unit.Digest
	for i := range 50 {
		want = append(want, tc.mustPut(fmt.Append(nil, "blob ", i)))
	}
	slices.Sort(want)
	if got := tc.names(); !slices.Equal(got, want) {
		tc.Fatalf("got %v, want %v", got, want)
	}
	for d := range tc.Each(ctx) {
		if d != want[0] {
			tc.Fatalf("first is %s, want %s", d, want[0])
		}
		break
	}
}

func deletes(tc *testCase) {
	data := []byte("young, then old, then young again")
	d := tc.mustPut(data)
	stored, err := tc.Stored(ctx, d)
	if err != nil {
		tc.Fatal(err)
	}
	if age := time.Since(time.UnixMilli(int64(stored))); age < -time.Minute || age > time.Minute {
		tc.Fatalf("stored %s ago", age)
	}
	if gone, err := tc.Delete(ctx, d, stored); gone || err != nil {
		tc.Fatalf("put at the very instant: %v, %v", gone, err)
	}
	tc.mustRead(d, data)
	for name, again := range map[string]func(){
		"put":   func() { tc.mustPut(data) },
		"renew": func() { tc.mustRenew(d) },
	} {
		later := tc.after(stored)
		again()
		if gone, err := tc.Delete(ctx, d, later); gone || err != nil {
			tc.Fatalf("after %s it is young, yet: %v, %v", name, gone, err)
		}
		tc.mustRead(d, data)
	}
	if gone, err := tc.Delete(ctx, d, forever); !gone || err != nil {
		tc.Fatalf("delete: %v, %v", gone, err)
	}
	_, err = tc.Open(ctx, d)
	tc.mustBeAbsent(err, d)
}

func (tc *testCase) mustRenew(d unit.Digest) {
	tc.Helper()
	if err := tc.Renew(ctx, d); err != nil {
		tc.Fatal(err)
	}
}

// after waits until the clock has passed the instant, and returns the present.
func (tc *testCase) after(t unit.Instant) unit.Instant {
	for {
		if now := unit.Instant(time.Now().UnixMilli()); now > t {
			return now
		}
		time.Sleep(time.Millisecond)
	}
}

func ends(tc *testCase) {
	d := tc.mustPut(make([]byte, 100_000))
	ended, cancel := context.WithCancel(ctx)
	r, err := tc.Open(ended, d)
	if err != nil {
		tc.Fatal(err)
	}
	defer r.Close()
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		tc.Errorf("read: %v", err)
	}
	if _, _, err := tc.Put(ended, bytes.NewReader([]byte("never"))); !errors.Is(err, context.Canceled) {
		tc.Errorf("put: %v", err)
	}
	if n := len(tc.names()); n != 1 {
		tc.Errorf("%d blobs, want the one from before", n)
	}
}

func concurrentPuts(tc *testCase) {
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 10 {
				data := bytes.Repeat(fmt.Append(nil, "shared ", (w+i)%10), 1000)
				d, _, err := tc.Put(ctx, bytes.NewReader(data))
				if err != nil || d != unit.DigestOf(data) {
					tc.Errorf("put: %s, %v", d, err)
					continue
				}
				if got, err := tc.read(d); err != nil || sha256.Sum256(got) != sha256.Sum256(data) {
					tc.Errorf("read after put: %v", err)
				}
			}
		})
	}
	writers.Wait()
	if n := len(tc.names()); n != 10 {
		tc.Errorf("%d blobs, want 10", n)
	}
}

// putAgainstDelete: whoever was told that its put is durable finds the blob,
// however many deletions of the old one run beside it.
func putAgainstDelete(tc *testCase) {
	data := []byte("wanted again just now")
	for range 50 {
		d := tc.mustPut(data)
		stored, err := tc.Stored(ctx, d)
		if err != nil {
			tc.Fatal(err)
		}
		before := tc.after(stored)
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := tc.Delete(ctx, d, before); err != nil {
				tc.Error(err)
			}
		})
		both.Go(func() {
			if _, _, err := tc.Put(ctx, bytes.NewReader(data)); err != nil {
				tc.Error(err)
			}
		})
		both.Wait()
		tc.mustRead(d, data)
	}
}
