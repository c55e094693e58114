package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/ledger/sqlite"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof"
)

// payload is an entry of the size of a usual batch of events.
var payload = []byte(`{"at":1795500000123456,"by":"person-17","key":"0f0e0d","events":["` + strings.Repeat("x", 180) + `"]}`)

func payloads(n int) [][]byte {
	batch := make([][]byte, n)
	for i := range batch {
		batch[i] = payload
	}
	return batch
}

// BenchmarkAppend counts entries a second, durable, with tiles and signed head
// in the same transaction.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l, err := sqlite.Open(b.Context(), sqlite.Config{Dir: b.TempDir(), Key: key()})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			batch, size := payloads(n), int64(0)
			for b.Loop() {
				head, err := l.Append(b.Context(), size, batch)
				if err != nil {
					b.Fatal(err)
				}
				size = head.Size
			}
			b.ReportMetric(float64(size)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkRawFile is what the same disk does with a file and fsync, without
// any of a ledger.
func BenchmarkRawFile(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			var block []byte
			for _, data := range payloads(n) {
				if block, err = proof.AppendEntry(block, data); err != nil {
					b.Fatal(err)
				}
			}
			done := 0
			for b.Loop() {
				if _, err := f.Write(block); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
				done += n
			}
			b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// filled is a ledger of n entries.
func filled(t testing.TB, dir string, n int64) *sqlite.Ledger {
	t.Helper()
	l, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Key: key()})
	if err != nil {
		t.Fatal(err)
	}
	for size := int64(0); size < n; {
		head, err := l.Append(t.Context(), size, payloads(int(min(n-size, 4000))))
		if err != nil {
			t.Fatal(err)
		}
		size = head.Size
	}
	return l
}

func BenchmarkReplay(b *testing.B) {
	const size = 100_000
	l := filled(b, b.TempDir(), size)
	defer l.Close()
	read := int64(0)
	for b.Loop() {
		for from := int64(0); from < size; {
			list, err := l.Read(b.Context(), from, 10_000)
			if err != nil {
				b.Fatal(err)
			}
			from += int64(len(list))
			read += int64(len(list))
		}
	}
	b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkVerify(b *testing.B) {
	const size = 100_000
	l := filled(b, b.TempDir(), size)
	defer l.Close()
	checked := int64(0)
	for b.Loop() {
		report, err := proof.VerifyLedger(b.Context(), l, proof.Options{Keys: []proof.VerifierKey{key().Verifier()}})
		if err != nil {
			b.Fatal(err)
		}
		checked += report.Checkpoint.Size
	}
	b.ReportMetric(float64(checked)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkReceipt(b *testing.B) {
	const size = 100_000
	l := filled(b, b.TempDir(), size)
	defer l.Close()
	for i := int64(0); b.Loop(); i += 7919 {
		if _, err := proof.MakeReceipt(b.Context(), l, nil, i%size); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRestart opens a ledger of a million entries, finds its snapshot of
// 16 MiB and reads the 1,000 entries after it: all of a restart but decoding.
func BenchmarkRestart(b *testing.B) {
	const size = 1_000_000
	dir := b.TempDir()
	l := filled(b, dir, size-1000)
	data := make([]byte, 16<<20)
	if err := l.SaveSnapshot(b.Context(), ledger.Snapshot{Size: size - 1000, StateHash: unit.DigestOf(data), Data: data}); err != nil {
		b.Fatal(err)
	}
	if _, err := l.Append(b.Context(), size-1000, payloads(1000)); err != nil {
		b.Fatal(err)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	var slowest time.Duration
	for b.Loop() {
		start := time.Now()
		if err := restart(b.Context(), dir, 1000); err != nil {
			b.Fatal(err)
		}
		slowest = max(slowest, time.Since(start))
	}
	b.ReportMetric(float64(slowest.Milliseconds()), "slowest-ms")
}

func restart(ctx context.Context, dir string, want int) error {
	l, err := sqlite.Open(ctx, sqlite.Config{Dir: dir, Key: key()})
	if err != nil {
		return err
	}
	defer l.Close()
	s, err := l.LatestSnapshot(ctx)
	if err != nil {
		return err
	}
	list, err := l.Read(ctx, s.Size, 65536)
	if err == nil && len(list) != want {
		err = fmt.Errorf("%d entries after the snapshot, want %d", len(list), want)
	}
	return err
}

func BenchmarkExport(b *testing.B) {
	const size = 100_000
	l := filled(b, b.TempDir(), size)
	defer l.Close()
	dir := b.TempDir()
	for i := 0; b.Loop(); i++ {
		if _, err := proof.Export(b.Context(), l, filepath.Join(dir, fmt.Sprint(i)), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(size*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
