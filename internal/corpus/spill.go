package corpus

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// The spill is the work file between the steps: documents as the first step
// left them, in frames, one a batch, each packed by the worker that made it.

const spillHeaderBytes = 16

// spillFrame is one batch of documents, packed.
type spillFrame struct {
	first, count uint32 // numbers of its documents
	raw          uint32 // bytes once unpacked
	packed       []byte
}

// packers are shared: EncodeAll and DecodeAll may be called from many
// goroutines.
var packer = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(true))
	if err != nil {
		panic("corpus: zstd options: " + err.Error())
	}
	return e
})

var unpacker = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(spillRecordBytesMax))
	if err != nil {
		panic("corpus: zstd options: " + err.Error())
	}
	return d
})

// workFile is a file in the work folder that is written once and then read.
type workFile struct {
	path string
	file io.WriteCloser
	w    *bufio.Writer
}

func createWork(dir, name string, create createFunc) (*workFile, error) {
	path := filepath.Join(dir, name)
	file, err := create(path)
	if err != nil {
		return nil, &WriteError{File: name, Err: plain(err)}
	}
	return &workFile{path, file, bufio.NewWriterSize(file, readBufferBytes)}, nil
}

func (f *workFile) write(parts ...[]byte) error {
	for _, p := range parts {
		if _, err := f.w.Write(p); err != nil {
			return &WriteError{File: filepath.Base(f.path), Err: plain(err)}
		}
	}
	return nil
}

// finish makes what was written readable under path.
func (f *workFile) finish() error {
	err := f.w.Flush()
	if cerr := f.file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return &WriteError{File: filepath.Base(f.path), Err: plain(err)}
	}
	return nil
}

// pack closes the records of a batch into a frame without its numbers.
func pack(records []byte, count int) spillFrame {
	return spillFrame{count: uint32(count), raw: uint32(len(records)), packed: packer().EncodeAll(records, nil)}
}

func (f *workFile) writeFrame(s spillFrame) error {
	var head [spillHeaderBytes]byte
	for i, v := range [...]uint32{s.first, s.count, s.raw, uint32(len(s.packed))} {
		binary.LittleEndian.PutUint32(head[4*i:], v)
	}
	return f.write(head[:], s.packed)
}

// readFrames emits the frames of a spill that want says yes to.
func readFrames(path string, want func(first, count uint32) bool, emit func(s spillFrame, weight int64) error) error {
	file, err := os.Open(path)
	if err != nil {
		return &FileError{File: filepath.Base(path), Err: plain(err)}
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, readBufferBytes)
	for {
		var head [spillHeaderBytes]byte
		if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return &FileError{File: filepath.Base(path), Err: errSpill}
		}
		at := func(i int) uint32 { return binary.LittleEndian.Uint32(head[4*i:]) }
		s := spillFrame{first: at(0), count: at(1), raw: at(2)}
		if want != nil && !want(s.first, s.count) {
			if _, err := r.Discard(int(at(3))); err != nil {
				return &FileError{File: filepath.Base(path), Err: errSpill}
			}
			continue
		}
		s.packed = make([]byte, at(3))
		if _, err := io.ReadFull(r, s.packed); err != nil {
			return &FileError{File: filepath.Base(path), Err: errSpill}
		}
		if err := emit(s, documentWeight*int64(s.raw)); err != nil {
			return err
		}
	}
}

// documents calls f with each document of the frame and its number.
func (s *spillFrame) documents(f func(number uint32, d *draft) error) error {
	records, err := unpacker().DecodeAll(s.packed, make([]byte, 0, s.raw))
	if err != nil {
		return &FileError{File: spillFile, Err: errSpill}
	}
	for number := s.first; number < s.first+s.count; number++ {
		var d draft
		if d, records, err = readDraft(records); err != nil {
			return &FileError{File: spillFile, Err: err}
		}
		if err := f(number, &d); err != nil {
			return err
		}
	}
	return nil
}
