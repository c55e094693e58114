package corpus

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// form is what a file holds, once unpacked.
type form uint8

const (
	formText form = iota + 1
	formLines
	formParquet
)

var endings = []struct {
	ending string
	form   form
}{
	{".txt", formText}, {".jsonl", formLines}, {".ndjson", formLines},
	{".txt.gz", formText}, {".jsonl.gz", formLines}, {".ndjson.gz", formLines},
	{".txt.zst", formText}, {".jsonl.zst", formLines}, {".ndjson.zst", formLines},
	{".parquet", formParquet},
}

func knownEndings() []string {
	names := make([]string, len(endings))
	for i, e := range endings {
		names[i] = e.ending
	}
	return names
}

func formOf(path string) form {
	lower := strings.ToLower(path)
	for _, e := range endings {
		if strings.HasSuffix(lower, e.ending) {
			return e.form
		}
	}
	return 0
}

// inputFile is one file to read.
type inputFile struct {
	path  string
	name  string // as reports call it: never a path of this machine's folders
	input string // last element of the input it was found in
	form  form
	size  int64
}

// inputFilesMax bounds the list of files that is held in memory.
const inputFilesMax = 1 << 20

// listInputs resolves files and folders into files, in a fixed order, and the
// names of those it skipped.
// The folder for the results is never read, even where it lies in an input.
func listInputs(inputs []string, results string) (files []inputFile, skipped []string, err error) {
	out, err := os.Stat(results)
	if err != nil {
		return nil, nil, &FileError{File: filepath.Base(results), Err: plain(err)}
	}
	for _, in := range inputs {
		info, err := os.Stat(in)
		if err != nil {
			return nil, nil, &FileError{File: in, Err: plain(err)}
		}
		if !info.IsDir() {
			f := formOf(in)
			if f == 0 {
				return nil, nil, &FileError{File: in, Err: errors.New("its ending is not known"),
					hint: "known endings: " + strings.Join(knownEndings(), " ")}
			}
			files = append(files, inputFile{in, filepath.Base(in), filepath.Base(in), f, info.Size()})
			continue
		}
		err = filepath.WalkDir(in, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return &FileError{File: path, Err: plain(err)}
			}
			if strings.HasPrefix(d.Name(), ".") && path != in {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			if d.IsDir() {
				if info, err := d.Info(); err == nil && os.SameFile(info, out) {
					return fs.SkipDir
				}
				return nil
			}
			rel, err := filepath.Rel(in, path)
			if err != nil {
				rel = d.Name()
			}
			name := filepath.ToSlash(rel)
			info, err := os.Stat(path)
			if err != nil {
				return &FileError{File: name, Err: plain(err)}
			}
			f := formOf(path)
			if f == 0 || !info.Mode().IsRegular() {
				if len(skipped) < reportSkippedMax {
					skipped = append(skipped, name)
				}
				return nil
			}
			if len(files) >= inputFilesMax {
				return &LimitError{File: in, Limit: "inputFilesMax", Max: inputFilesMax, Seen: inputFilesMax + 1}
			}
			files = append(files, inputFile{path, name, filepath.Base(in), f, info.Size()})
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	nameApart(files)
	return files, skipped, nil
}

// nameApart gives files of one name a number, so that a source names one file.
func nameApart(files []inputFile) {
	seen := map[string]int{}
	for i := range files {
		name := files[i].name
		if seen[name]++; seen[name] > 1 {
			files[i].name = fmt.Sprintf("%s(%d)", name, seen[name])
		}
	}
}

// plain takes the path out of an error of package os: the caller names the file.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// source is an opened text or jsonl file: unpacked and guarded.
type source struct {
	*bufio.Reader
	closers []func()
}

func (s *source) Close() {
	for _, f := range slices.Backward(s.closers) {
		f()
	}
}

const (
	readBufferBytes = 1 << 20
	zstdWindowMax   = 128 << 20 // what zstd --long=27 writes
)

// openSource opens a text or jsonl file, unpacking by its ending. Bytes read
// from disk are added to progress.
func openSource(f inputFile, c Config, progress *atomic.Int64) (*source, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, &FileError{File: f.name, Err: plain(err)}
	}
	s := &source{closers: []func(){func() { file.Close() }}}
	packed := &countingReader{r: file, total: progress}
	var r io.Reader = packed
	lower := strings.ToLower(f.path)
	switch {
	case strings.HasSuffix(lower, ".gz"):
		z, err := gzip.NewReader(bufio.NewReaderSize(packed, readBufferBytes/4))
		if err != nil {
			s.Close()
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, &FileError{File: f.name, Err: err}
		}
		s.closers = append(s.closers, func() { z.Close() })
		r = &guardedReader{r: z, packed: packed, file: f.name, ratioMax: int64(c.ExpandRatioMax), bytesMax: int64(c.ExpandBytesMax)}
	case strings.HasSuffix(lower, ".zst"):
		z, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindowMax), zstd.WithDecoderLowmem(true))
		if err != nil {
			s.Close()
			return nil, &FileError{File: f.name, Err: err}
		}
		s.closers = append(s.closers, z.Close)
		r = &guardedReader{r: z, packed: packed, file: f.name, ratioMax: int64(c.ExpandRatioMax), bytesMax: int64(c.ExpandBytesMax)}
	}
	s.Reader = bufio.NewReaderSize(r, readBufferBytes)
	return s, nil
}

type countingReader struct {
	r     io.Reader
	n     int64
	total *atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.total != nil {
		c.total.Add(int64(n))
	}
	return n, err
}

// guardedReader stops a file that unpacks to far more than it is: memory is
// safe anyway, but a bomb would fill the disk and hold the cores for days.
type guardedReader struct {
	r        io.Reader
	packed   *countingReader
	out      int64
	file     string
	ratioMax int64
	bytesMax int64
}

func (g *guardedReader) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	g.out += int64(n)
	if g.out > expandRatioFloor && g.out > g.packed.n*g.ratioMax {
		return 0, &LimitError{File: g.file, Limit: limitExpandRatio, Max: g.ratioMax, Seen: g.out / max(1, g.packed.n)}
	}
	if g.out > g.bytesMax {
		return 0, &LimitError{File: g.file, Limit: limitExpandBytes, Max: g.bytesMax, Seen: g.out}
	}
	return n, err
}

// readError names the file and line of a failed read.
func readError(file string, line int64, err error) error {
	var limit *LimitError
	if errors.As(err, &limit) {
		return err
	}
	return &FileError{File: file, Line: line, Err: plain(err)}
}
