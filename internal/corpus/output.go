package corpus

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/gaon-ai/gaon/internal/unit"
)

// createFunc makes a file for writing.
type createFunc func(path string) (io.WriteCloser, error)

// createFile makes a file that only this user may read: work files hold the
// corpus before it was judged.
func createFile(path string) (io.WriteCloser, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

// output is one result file. It is written in the work folder and stands under
// its final name only after commit.
type output struct {
	name, path string
	file       io.WriteCloser
	packed     *zstd.Encoder // nil: as it is
	sum        hash.Hash
	bytes      int64
}

// outputConcurrency is fixed, so that the bytes do not depend on the machine.
const outputConcurrency = 2

func newOutput(work, name string, pack bool, create createFunc) (*output, error) {
	o := &output{name: name, path: filepath.Join(work, name), sum: sha256.New()}
	var err error
	if o.file, err = create(o.path); err != nil {
		return nil, o.wrap(err)
	}
	if pack {
		o.packed, err = zstd.NewWriter(sink{o}, zstd.WithEncoderConcurrency(outputConcurrency), zstd.WithEncoderCRC(true))
		if err != nil {
			panic("corpus: zstd options: " + err.Error())
		}
	}
	return o, nil
}

func (o *output) wrap(err error) error { return &WriteError{File: o.name, Err: plain(err)} }

// sink takes the bytes as they go to disk.
type sink struct{ o *output }

func (s sink) Write(p []byte) (int, error) {
	n, err := s.o.file.Write(p)
	s.o.sum.Write(p[:n])
	s.o.bytes += int64(n)
	return n, err
}

func (o *output) write(p []byte) error {
	var err error
	if o.packed != nil {
		_, err = o.packed.Write(p)
	} else {
		_, err = sink{o}.Write(p)
	}
	if err != nil {
		return o.wrap(err)
	}
	return nil
}

// finish writes what is left and makes the file durable, not yet visible.
func (o *output) finish() error {
	var err error
	if o.packed != nil {
		err = o.packed.Close()
	}
	if s, ok := o.file.(interface{ Sync() error }); ok && err == nil {
		err = s.Sync()
	}
	if cerr := o.file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return o.wrap(err)
	}
	return nil
}

// abandon lets go of a file that will not be finished; the work folder goes later.
func (o *output) abandon() {
	if o != nil && o.file != nil {
		if o.packed != nil {
			o.packed.Reset(io.Discard)
			o.packed.Close()
		}
		o.file.Close()
	}
}

func (o *output) describe() OutputFile {
	return OutputFile{o.name, o.bytes, unit.NewDigest([sha256.Size]byte(o.sum.Sum(nil)))}
}

// commit gives the files their final names, the report last. The old report
// goes first: a folder with a report in it is always one whole run. If we stop
// in between, files of two runs may stand there, but no report speaks for them.
func commit(out string, files []*output) error {
	written := map[string]bool{}
	for _, f := range files {
		written[f.name] = true
	}
	for _, name := range []string{ReportFile, PageFile, TrainFile, HeldOutFile, DroppedFile} {
		if written[name] && name != ReportFile {
			continue
		}
		if err := os.Remove(filepath.Join(out, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return &WriteError{File: name, Err: plain(err)}
		}
	}
	for _, f := range files {
		if err := os.Chmod(f.path, 0o644); err != nil {
			return f.wrap(err)
		}
		if err := os.Rename(f.path, filepath.Join(out, f.name)); err != nil {
			var link *os.LinkError
			if errors.As(err, &link) {
				err = link.Err
			}
			return f.wrap(err)
		}
		if f.name == PageFile { // everything but the report: make it durable before the report says so
			syncFolder(out)
		}
	}
	syncFolder(out)
	return nil
}

// syncFolder makes the names in a folder durable where the system can; where
// it cannot, a crash at this instant may lose the run, never spoil it.
func syncFolder(path string) {
	if d, err := os.Open(path); err == nil {
		_ = d.Sync()
		d.Close()
	}
}
