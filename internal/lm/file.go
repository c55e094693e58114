package lm

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
)

// temporary begins the names of files that are not finished.
const temporary = ".unfinished-"

// writeFile writes a file so that after a crash at any instant the path holds
// either what it held before or the whole new content.
func writeFile(path string, write func(w io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), temporary+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	if err = write(buffered); err != nil {
		return err
	}
	if err = buffered.Flush(); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	// The content is durable under its temporary name; the rename shows it, and
	// syncing the folder makes the rename durable.
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// floatsPart is the number of elements converted at once.
const floatsPart = 1 << 14

// writeFloats writes x, four bytes each, little-endian.
func writeFloats(w io.Writer, x []float32) error {
	buffer := make([]byte, 0, 4*floatsPart)
	for len(x) > 0 {
		n := min(floatsPart, len(x))
		buffer = buffer[:0]
		for _, v := range x[:n] {
			buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(v))
		}
		if _, err := w.Write(buffer); err != nil {
			return err
		}
		x = x[n:]
	}
	return nil
}

// readFloats fills x from what writeFloats wrote.
func readFloats(r io.Reader, x []float32) error {
	buffer := make([]byte, 4*min(floatsPart, len(x)))
	for len(x) > 0 {
		n := min(floatsPart, len(x))
		if _, err := io.ReadFull(r, buffer[:4*n]); err != nil {
			return err
		}
		for i := range n {
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(buffer[4*i:]))
		}
		x = x[n:]
	}
	return nil
}
