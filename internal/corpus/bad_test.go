package corpus

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
)

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func zstded(data []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(data, nil)
}

type parquetRow struct {
	ID   string `parquet:"id"`
	Text string `parquet:"text,zstd"`
}

func parquetOf(rows ...parquetRow) []byte {
	var b bytes.Buffer
	if err := parquet.Write(&b, rows); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// refusal is what every error for the user must be.
type refusal interface {
	error
	Code() string
	Hint() string
}

// TestBadInput is a table of inputs that cannot be curated: each ends in a
// refusal that names the file and says what to do, and leaves nothing.
func TestBadInput(t *testing.T) {
	good := jsonLines(Document{ID: "g", Text: prose(1, 12)})
	zeros := bytes.Repeat([]byte{'0'}, 64<<20)
	damaged := func(data []byte, at int) []byte {
		data = bytes.Clone(data)
		for i := at; i < at+8; i++ {
			data[i] ^= 0xA5
		}
		return data
	}
	noisy := make([]parquetRow, 50)
	for i := range noisy {
		noisy[i] = parquetRow{fmt.Sprint(i), prose(uint64(i), 12)}
	}
	for _, row := range []struct {
		given, file string
		data        []byte
		code, says  string
	}{
		{"a gz cut short", "a.jsonl.gz", gzipped(bytes.Repeat(good, 50))[:300], "corpus.file", "a.jsonl.gz"},
		{"a gz that is none", "a.jsonl.gz", good, "corpus.file", "a.jsonl.gz"},
		{"an empty gz", "a.txt.gz", nil, "corpus.file", "a.txt.gz"},
		{"a zst cut short", "a.jsonl.zst", zstded([]byte(prose(1, 900)))[:3000], "corpus.file", "a.jsonl.zst"},
		{"a zst that is none", "a.jsonl.zst", good, "corpus.file", "a.jsonl.zst"},
		{"a zip bomb in gz", "bomb.txt.gz", gzipped(zeros), "corpus.limit", "zip bomb"},
		{"a zip bomb in zst", "bomb.jsonl.zst", zstded(zeros), "corpus.limit", "zip bomb"},
		{"a parquet that is none", "a.parquet", bytes.Repeat(good, 3), "corpus.file", "a.parquet"},
		{"a parquet cut short", "a.parquet", parquetOf(noisy...)[:2000], "corpus.file", "a.parquet"},
		{"a parquet damaged in its pages", "a.parquet", damaged(parquetOf(noisy...), 4), "corpus.file", "a.parquet"},
		{"a parquet without the column", "a.parquet", func() []byte {
			var b bytes.Buffer
			parquet.Write(&b, []struct{ Body string }{{"글"}})
			return b.Bytes()
		}(), "corpus.file", `no column "text"`},
		{"a parquet whose column is a number", "a.parquet", func() []byte {
			var b bytes.Buffer
			parquet.Write(&b, []struct {
				Text int64 `parquet:"text"`
			}{{1}})
			return b.Bytes()
		}(), "corpus.file", "not one text a row"},
	} {
		t.Run(row.given, func(t *testing.T) {
			b := newBench(t)
			b.file("in/0.jsonl", good)
			b.file("in/"+row.file, row.data)
			_, err := Curate(t.Context(), b.config())
			mustRefuse(t, err, row.code, row.says)
			b.nothingUnderFinalNames()
		})
	}
}

func mustRefuse(t *testing.T, err error, code, says string) {
	t.Helper()
	var r refusal
	if !errors.As(err, &r) {
		t.Fatalf("error %v (%T) is no refusal", err, err)
	}
	if r.Code() != code || !strings.Contains(r.Error(), says) || r.Hint() == "" {
		t.Errorf("refused with %s: %v (hint: %s); want %s and %q", r.Code(), r, r.Hint(), code, says)
	}
}

// TestBadConfig is a table of settings that cannot be.
func TestBadConfig(t *testing.T) {
	for _, row := range []struct {
		given string
		set   func(*Config)
		code  string
		says  string
	}{
		{"no input", func(c *Config) { c.Inputs = nil }, "corpus.config", "Inputs"},
		{"no output", func(c *Config) { c.Out = "" }, "corpus.config", "Out"},
		{"an input that is not there", func(c *Config) { c.Inputs = []string{"/nowhere/x"} }, "corpus.file", "no such file"},
		{"an input of unknown form", func(c *Config) { c.Inputs = []string{"limits.go"} }, "corpus.file", "ending is not known"},
		{"a share over half", func(c *Config) { c.HeldOut = 501 }, "corpus.config", "HeldOut"},
		{"a negative share", func(c *Config) { c.HeldOut = -1 }, "corpus.config", "HeldOut"},
		{"an unknown language", func(c *Config) { c.Languages = []string{"xx"} }, "corpus.config", "Languages"},
		{"an unknown token style", func(c *Config) { c.Tokens = "roman" }, "corpus.config", "Tokens"},
		{"no memory to speak of", func(c *Config) { c.Memory = 1000 }, "corpus.config", "Memory"},
		{"too many workers", func(c *Config) { c.Workers = 5000 }, "corpus.config", "Workers"},
		{"negative lines", func(c *Config) { c.LineBytesMax = -1 }, "corpus.config", "LineBytesMax"},
		{"negative pieces", func(c *Config) { c.SplitBytes = -1 }, "corpus.config", "SplitBytes"},
		{"a negative ratio", func(c *Config) { c.ExpandRatioMax = -1 }, "corpus.config", "ExpandRatioMax"},
		{"evaluation that is no jsonl", func(c *Config) { c.Evaluation = []string{"x.txt"} }, "corpus.file", "must be .jsonl"},
		{"evaluation that is not there", func(c *Config) { c.Evaluation = []string{"/nowhere/x.jsonl"} }, "corpus.file", "x.jsonl"},
	} {
		b := newBench(t)
		b.file("in/0.jsonl", jsonLines(Document{ID: "g", Text: prose(1, 12)}))
		c := b.config()
		row.set(&c)
		_, err := Curate(t.Context(), c)
		t.Log(row.given)
		mustRefuse(t, err, row.code, row.says)
		b.nothingUnderFinalNames()
	}
}

// TestBadEvaluation: an evaluation item that cannot be read stops everything.
func TestBadEvaluation(t *testing.T) {
	b := newBench(t)
	b.file("in/0.jsonl", jsonLines(Document{ID: "g", Text: prose(1, 12)}))
	c := b.config()
	c.Evaluation = []string{b.file("e.jsonl", []byte("{\"question\":\"하나 둘 셋 넷\"}\n{broken\n"))}
	_, err := Curate(t.Context(), c)
	mustRefuse(t, err, "corpus.file", "e.jsonl:2")
	b.nothingUnderFinalNames()
}

// TestEmpty: where nothing is left, the refusal says why and the reports that
// show it are there, with no old corpus beside them.
func TestEmpty(t *testing.T) {
	for _, row := range []struct {
		given string
		files map[string]string
		says  string
		hint  string
	}{
		{"no file", nil, "no input file", ".jsonl"},
		{"a file that is no text", map[string]string{"a.bin": "x"}, "no input file", ".jsonl"},
		{"an empty file", map[string]string{"a.txt": ""}, "no document in 1", "no text"},
		{"blank lines", map[string]string{"a.jsonl": "\n\n  \n"}, "no document in 1", "no text"},
		{"the wrong field", map[string]string{"a.jsonl": `{"body":"글"}` + "\n"}, "missing_text 1", "name the field"},
		{"short texts", map[string]string{"a.jsonl": `{"text":"좋은 영화였다"}` + "\n"}, "too_few_words 1", "short"},
		{"another language", map[string]string{"a.txt": "Привет, как дела? Всё хорошо."}, "language 1", "report.html"},
	} {
		b := newBench(t)
		b.file("in/ok.jsonl", jsonLines(Document{ID: "g", Text: prose(1, 12)}))
		b.curate(b.config()) // an earlier run
		b.check(os.Remove(b.path("in", "ok.jsonl")))
		for name, data := range row.files {
			b.file("in/"+name, []byte(data))
		}
		_, err := Curate(t.Context(), b.config())
		mustRefuse(t, err, "corpus.empty", row.says)
		var empty *EmptyError
		if errors.As(err, &empty) && !strings.Contains(empty.Hint(), row.hint) {
			t.Errorf("%s: hint %q, want %q in it", row.given, empty.Hint(), row.hint)
		}
		for name, want := range map[string]bool{ReportFile: true, PageFile: true, DroppedFile: true, TrainFile: false, HeldOutFile: false} {
			if _, err := os.Stat(b.path("out", name)); (err == nil) != want {
				t.Errorf("%s: %s is there: %v, want %v", row.given, name, err == nil, want)
			}
		}
	}
}

// TestOneGigabyteLine reads a line of 1 GiB, plain and packed, in bounded
// memory: it is dropped, and what stands after it is kept.
func TestOneGigabyteLine(t *testing.T) {
	const gigabyte = 1 << 30
	good := jsonLines(Document{ID: "after", Text: prose(1, 12)})
	for _, name := range []string{"big.jsonl", "big.txt.zst"} {
		b := newBench(t)
		file, err := os.Create(b.path("in", name))
		b.check(err)
		if strings.HasSuffix(name, ".zst") {
			z, err := zstd.NewWriter(file)
			b.check(err)
			block := make([]byte, 1<<20)
			for range gigabyte / len(block) {
				z.Write(block)
			}
			z.Write(append([]byte{'\n'}, prose(1, 12)...))
			b.check(z.Close())
		} else { // a hole: the file system gives zeros
			_, err = file.WriteAt(append([]byte{'\n'}, good...), gigabyte)
			b.check(err)
		}
		b.check(file.Close())
		c := b.config()
		c.Memory, c.ExpandRatioMax = memoryMin, 1<<20
		c.LineBytesMax = 8 << 20
		peak := peakHeap(func() {
			r := b.curate(c)
			if r.Reasons.Documents(ReasonTooLong) != 1 || r.DocumentsTrain != 1 {
				t.Errorf("%s: reasons %+v, %d to train on", name, r.Reasons, r.DocumentsTrain)
			}
		})
		t.Logf("%s: the heap grew by %d MiB at most", name, peak>>20)
		if peak > 160<<20 {
			t.Errorf("%s: the heap grew by %d MiB", name, peak>>20)
		}
	}
}

// peakHeap returns by how much the heap in use grew while f ran, at most.
func peakHeap(f func()) uint64 {
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	var peak atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				runtime.ReadMemStats(&now)
				if now.HeapAlloc > before.HeapAlloc {
					peak.Store(max(peak.Load(), now.HeapAlloc-before.HeapAlloc))
				}
			}
		}
	}()
	f()
	close(stop)
	<-stopped
	return peak.Load()
}

// fullDisk is a file on a disk that takes so many bytes in all.
type fullDisk struct {
	io.WriteCloser
	left *atomic.Int64
}

func (f fullDisk) Write(p []byte) (int, error) {
	if f.left.Add(-int64(len(p))) < 0 {
		return 0, &os.PathError{Op: "write", Path: "/disk/x", Err: syscall.ENOSPC}
	}
	return f.WriteCloser.Write(p)
}

// TestDiskFull fills the disk at many points of a run. Until it is big enough,
// nothing may be left; what an earlier run left must still be there.
func TestDiskFull(t *testing.T) {
	b := newBench(t)
	var docs []Document
	for i := range 40 {
		docs = append(docs, Document{ID: fmt.Sprint(i), Text: prose(uint64(i), 12)})
	}
	b.file("in/a.jsonl", jsonLines(docs...))
	c := b.config()
	c.HeldOut = 100
	failed := 0
	for _, room := range []int64{0, 100, 5_000, 20_000, 30_000, 60_000, 400_000, 600_000, 4 << 20} {
		var left atomic.Int64
		left.Store(room)
		c.create = func(path string) (io.WriteCloser, error) {
			f, err := createFile(path)
			return fullDisk{f, &left}, err
		}
		_, err := Curate(t.Context(), c)
		if err == nil {
			t.Logf("room for %d bytes is enough", room)
			break
		}
		failed++
		mustRefuse(t, err, "corpus.disk_full", "no space left")
		if strings.Contains(err.Error(), "/disk/") {
			t.Errorf("the error names a path of this machine: %v", err)
		}
		b.nothingUnderFinalNames()
	}
	if failed < 5 {
		t.Fatalf("only %d points of failure were tried", failed)
	}
	before, err := os.ReadFile(b.path("out", TrainFile))
	b.check(err)
	c.create = func(string) (io.WriteCloser, error) {
		return nil, &os.PathError{Op: "open", Path: "/disk/x", Err: syscall.EROFS}
	}
	_, err = Curate(t.Context(), c)
	mustRefuse(t, err, "corpus.write", "read-only")
	if after, err := os.ReadFile(b.path("out", TrainFile)); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the earlier corpus was touched: %v", err)
	}
}

// TestCancel stops a run at each step: nothing may be left under final names.
func TestCancel(t *testing.T) {
	b := newBench(t)
	var docs []Document
	for i := range 400 {
		docs = append(docs, Document{ID: fmt.Sprint(i), Text: prose(uint64(i), 12)})
	}
	b.file("in/a.jsonl", jsonLines(docs...))
	for stop := range 4 {
		ctx, cancel := context.WithCancel(t.Context())
		c := b.config()
		c.HeldOut = 100
		steps := 0
		c.Progress = func(p Progress) {
			if steps++; steps > stop {
				cancel()
			}
		}
		if stop == 0 {
			cancel()
		}
		if _, err := Curate(ctx, c); !errors.Is(err, context.Canceled) {
			if stop < 3 || err != nil { // after the last step it is done
				t.Errorf("stopped after %d steps: %v", stop, err)
			}
			cancel()
			continue
		}
		cancel()
		b.nothingUnderFinalNames()
	}
}

// TestProgress: steps come in order, numbers only grow, one call at a time,
// and each step ends complete.
func TestProgress(t *testing.T) {
	b := newBench(t)
	var docs []Document
	for i := range 300 {
		docs = append(docs, Document{ID: fmt.Sprint(i), Text: prose(uint64(i), 12)})
	}
	path := b.file("in/a.jsonl", jsonLines(docs...))
	info, err := os.Stat(path)
	b.check(err)
	var inside atomic.Int32
	var calls []Progress
	c := b.config()
	c.HeldOut = 50
	c.Progress = func(p Progress) {
		if inside.Add(1) != 1 {
			t.Error("two calls at once")
		}
		calls = append(calls, p)
		inside.Add(-1)
	}
	report := b.curate(c)
	last := map[string]Progress{}
	var order []string
	for _, p := range calls {
		if before, ok := last[p.Step]; !ok {
			order = append(order, p.Step)
		} else if p.Documents < before.Documents || p.Bytes < before.Bytes {
			t.Errorf("progress went back from %+v to %+v", before, p)
		}
		last[p.Step] = p
	}
	if fmt.Sprint(order) != "[read duplicates heldout filter]" {
		t.Errorf("steps %v", order)
	}
	if p := last["read"]; p.Documents != 300 || p.Bytes != info.Size() || p.BytesTotal != info.Size() {
		t.Errorf("reading ended with %+v", p)
	}
	for _, step := range []string{"duplicates", "heldout", "filter"} {
		if p := last[step]; p.Documents != 300 || p.DocumentsTotal != 300 {
			t.Errorf("%s ended with %+v", step, p)
		}
	}
	if len(report.Timings) != 4 {
		t.Errorf("timings %v", report.Timings)
	}
}
