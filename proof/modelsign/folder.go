package modelsign

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/gaon-ai/gaon/internal/unit"
)

// readBytes is what each worker holds in memory while it hashes a file of any
// size; hashersMax bounds the workers, since a disk gains nothing from more.
const (
	readBytes  = 1 << 20
	hashersMax = 16
)

// Measure hashes every regular file below dir and returns the manifest to be
// signed, named after the folder. The paths in ignore (exact, relative to dir)
// and the standard exclusions stay out, with all below them. Symbolic links
// and special files are refused, wherever they point.
//
// dir may also be a single file; it is then the whole model (OMS 6.1.2).
func Measure(dir string, ignore []string) (Manifest, error) {
	ignored := append(Excluded(), ignore...)
	slices.Sort(ignored)
	ignored = slices.Compact(ignored)
	if err := checkIgnored(ignored, "ignore"); err != nil {
		return Manifest{}, err
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return Manifest{}, fmt.Errorf("model folder %q: %w", dir, err)
	}
	resources, err := hashFolder(dir, ignored)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{Name: filepath.Base(absolute), Resources: resources, Ignored: ignored}
	return m, m.check()
}

// Compare checks the files below dir against the manifest, which must come
// from a verified signature. All differences are returned in one error, joined
// in the order of the names: ChangedError, MissingError, ExtraError, at most
// differencesMax of them. The paths in ignore are left out besides those the
// manifest names.
func (m Manifest) Compare(dir string, ignore ...string) error {
	if err := checkIgnored(ignore, "ignore"); err != nil {
		return err
	}
	ignored := slices.Concat(Excluded(), m.Ignored, ignore)
	found, err := hashFolder(dir, ignored)
	if err != nil {
		return err
	}
	return errors.Join(differences(m.Resources, found)...)
}

// differencesMax bounds an error's length; whoever has a hundred changed files
// needs no longer list to know that this is not the model that was signed.
const differencesMax = 100

// differences merges two lists that are sorted by name.
func differences(want, got []Resource) []error {
	var found []error
	for (len(want) > 0 || len(got) > 0) && len(found) < differencesMax {
		switch {
		case len(got) == 0 || len(want) > 0 && want[0].Name < got[0].Name:
			found = append(found, &MissingError{Name: want[0].Name})
			want = want[1:]
		case len(want) == 0 || got[0].Name < want[0].Name:
			found = append(found, &ExtraError{Name: got[0].Name})
			got = got[1:]
		default:
			if want[0].Digest != got[0].Digest {
				found = append(found, &ChangedError{Name: want[0].Name, Want: want[0].Digest, Got: got[0].Digest})
			}
			want, got = want[1:], got[1:]
		}
	}
	return found
}

// hashFolder lists dir and hashes what it found on all cores. The result is
// sorted by name.
func hashFolder(dir string, ignored []string) ([]Resource, error) {
	names, err := listFolder(dir, ignored)
	if err != nil {
		return nil, err
	}
	resources := make([]Resource, len(names))
	failures := make([]error, len(names))
	// A folder of small files needs no large buffers.
	bufferBytes := int64(1)
	for _, l := range names {
		bufferBytes = max(bufferBytes, min(l.info.Size()+1, readBytes))
	}
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), hashersMax, max(len(names), 1)) {
		workers.Go(func() {
			buffer := make([]byte, bufferBytes)
			for i := range next {
				digest, err := hashFile(dir, names[i], buffer)
				resources[i], failures[i] = Resource{Name: names[i].name, Digest: digest}, err
			}
		})
	}
	for i := range names {
		next <- i
	}
	close(next)
	workers.Wait()
	return resources, errors.Join(failures...)
}

// listed is a file that was seen; info says which one, so that another put in
// its place between listing and reading is noticed.
type listed struct {
	name string // slash separated, below the model's folder
	file string // where to open it
	info fs.FileInfo
}

// listFolder returns the regular files below dir in the order of their names.
func listFolder(dir string, ignored []string) ([]listed, error) {
	skip := make(map[string]bool, len(ignored))
	for _, p := range ignored {
		skip[p] = true
	}
	top, err := os.Lstat(dir)
	if err != nil {
		return nil, fmt.Errorf("model folder: %w", err)
	}
	if top.Mode().IsRegular() {
		return []listed{{name: filepath.Base(dir), file: dir, info: top}}, nil
	}
	var files []listed
	err = filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("model folder: %w", err)
		}
		relative, err := filepath.Rel(dir, file)
		if err != nil {
			return fmt.Errorf("model folder: %w", err)
		}
		name := filepath.ToSlash(relative)
		if name != "." && skip[name] {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if kind := kindOf(entry.Type()); kind != "" {
			return &KindError{Name: name, Kind: kind}
		}
		if entry.IsDir() {
			return nil
		}
		if !utf8.ValidString(name) || len(name) > nameBytesMax {
			return &FormatError{Field: fmt.Sprintf("file %q", name), Problem: fmt.Sprintf("the path must be UTF-8 and at most %d bytes", nameBytesMax)}
		}
		if len(files) == filesMax {
			return &FormatError{Field: "model folder", Problem: fmt.Sprintf("more than %d files", filesMax)}
		}
		info, err := entry.Info()
		if err != nil {
			return fmt.Errorf("model folder: %w", err)
		}
		files = append(files, listed{name: name, file: file, info: info})
		return nil
	})
	slices.SortFunc(files, func(a, b listed) int { return strings.Compare(a.name, b.name) })
	return files, err
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsRegular(), mode.IsDir():
		return ""
	case mode&fs.ModeSymlink != 0:
		return "symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}

func hashFile(dir string, l listed, buffer []byte) (unit.Digest, error) {
	f, err := os.Open(l.file)
	if err != nil {
		return "", fmt.Errorf("read file %q: %w", l.name, err)
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("read file %q: %w", l.name, err)
	}
	if !opened.Mode().IsRegular() || !os.SameFile(opened, l.info) {
		return "", &UnsteadyError{Name: l.name}
	}
	sum := sha256.New()
	// The wrappers hide ReadFrom and WriteTo, so that the buffer is used.
	read, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{f}, buffer)
	if err != nil {
		return "", fmt.Errorf("read file %q: %w", l.name, err)
	}
	if read != opened.Size() {
		return "", &UnsteadyError{Name: l.name}
	}
	return unit.NewDigest([sha256.Size]byte(sum.Sum(nil))), nil
}
