package corpus

import (
	"bufio"
	"cmp"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
)

// entry is a key and the number of the document that has it.
type entry struct {
	hi, lo uint64
	doc    uint32
}

func compareEntries(a, b entry) int {
	if a.hi != b.hi {
		return cmp.Compare(a.hi, b.hi)
	}
	if a.lo != b.lo {
		return cmp.Compare(a.lo, b.lo)
	}
	return cmp.Compare(a.doc, b.doc)
}

const (
	entryBytes      = 20
	entryMemory     = 24
	sortRunsMax     = 4096
	sortMergeBuffer = 64 << 10
	sortMergeMin    = 4 << 10
	sortCheckEvery  = 1 << 16 // entries between two looks at whether to go on
)

// sorter sorts any number of entries in bounded memory: full buffers are
// sorted and written to files, which are merged at the end.
type sorter struct {
	dir, name string
	create    createFunc
	memory    int64
	buf       []entry
	max       int
	runs      []string
	total     int64 // entries added
}

func newSorter(dir, name string, memory int64, create createFunc) *sorter {
	return &sorter{dir: dir, name: name, create: create, memory: memory, max: int(max(1024, memory/entryMemory))}
}

func (s *sorter) add(e entry) error {
	if len(s.buf) == s.max {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.buf = append(s.buf, e)
	s.total++
	return nil
}

func (s *sorter) spill() error {
	if len(s.runs) == sortRunsMax {
		return &LimitError{File: s.name, Limit: "sortRunsMax (raise Memory)", Max: sortRunsMax, Seen: sortRunsMax + 1}
	}
	slices.SortFunc(s.buf, compareEntries)
	path := filepath.Join(s.dir, fmt.Sprintf("%s-%04d.run", s.name, len(s.runs)))
	file, err := s.create(path)
	if err != nil {
		return &WriteError{File: filepath.Base(path), Err: plain(err)}
	}
	w := bufio.NewWriterSize(file, 1<<20)
	var b [entryBytes]byte
	for _, e := range s.buf {
		binary.LittleEndian.PutUint64(b[:], e.hi)
		binary.LittleEndian.PutUint64(b[8:], e.lo)
		binary.LittleEndian.PutUint32(b[16:], e.doc)
		if _, err = w.Write(b[:]); err != nil {
			break
		}
	}
	if err == nil {
		err = w.Flush()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return &WriteError{File: filepath.Base(path), Err: plain(err)}
	}
	s.runs, s.buf = append(s.runs, path), s.buf[:0]
	return nil
}

// groups calls f with the documents of each key that more than one document
// has, in ascending order. A very long group is handed over in pieces of at
// most groupDocsMax that all begin with the first document of the key. The
// entries read are added to seen.
func (s *sorter) groups(ctx context.Context, seen *atomic.Int64, f func(docs []uint32) error) error {
	next, done, err := s.merged()
	if err != nil {
		return err
	}
	defer done()
	var docs []uint32
	var key entry
	flush := func() error {
		if len(docs) > 1 {
			return f(docs)
		}
		return nil
	}
	for n := 1; ; n++ {
		if n%sortCheckEvery == 0 {
			seen.Add(sortCheckEvery)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		e, err := next()
		if errors.Is(err, io.EOF) {
			seen.Add(int64(n%sortCheckEvery) - 1)
			return flush()
		}
		if err != nil {
			return err
		}
		if len(docs) > 0 && e.hi == key.hi && e.lo == key.lo {
			if len(docs) == groupDocsMax {
				if err := f(docs); err != nil {
					return err
				}
				docs = docs[:1]
			}
			docs = append(docs, e.doc)
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		key, docs = e, append(docs[:0], e.doc)
	}
}

// groupDocsMax bounds how many documents of one key are held at once.
const groupDocsMax = 1 << 16

// merged returns the entries in order.
func (s *sorter) merged() (next func() (entry, error), done func(), err error) {
	slices.SortFunc(s.buf, compareEntries)
	m := &merge{}
	m.heads = append(m.heads, &sortRun{memory: s.buf})
	buffer := int(max(sortMergeMin, min(sortMergeBuffer, s.memory/int64(1+len(s.runs)))))
	for _, path := range s.runs {
		file, err := os.Open(path)
		if err != nil {
			m.close()
			return nil, nil, &FileError{File: filepath.Base(path), Err: plain(err)}
		}
		m.heads = append(m.heads, &sortRun{file: file, r: bufio.NewReaderSize(file, buffer)})
	}
	live := m.heads[:0]
	for _, r := range m.heads {
		switch err := r.advance(); {
		case err == nil:
			live = append(live, r)
		case !errors.Is(err, io.EOF):
			m.close()
			return nil, nil, err
		}
	}
	m.heads = live
	heap.Init(m)
	return m.next, m.close, nil
}

// sortRun is one sorted sequence, in memory or in a file.
type sortRun struct {
	head   entry
	memory []entry
	file   *os.File
	r      *bufio.Reader
}

func (r *sortRun) advance() error {
	if r.file == nil {
		if len(r.memory) == 0 {
			return io.EOF
		}
		r.head, r.memory = r.memory[0], r.memory[1:]
		return nil
	}
	var b [entryBytes]byte
	if _, err := io.ReadFull(r.r, b[:]); err != nil {
		r.file.Close()
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		return &FileError{File: filepath.Base(r.file.Name()), Err: err}
	}
	r.head = entry{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint32(b[16:])}
	return nil
}

// merge is a heap of runs.
type merge struct{ heads []*sortRun }

func (m *merge) Len() int           { return len(m.heads) }
func (m *merge) Less(i, j int) bool { return compareEntries(m.heads[i].head, m.heads[j].head) < 0 }
func (m *merge) Swap(i, j int)      { m.heads[i], m.heads[j] = m.heads[j], m.heads[i] }
func (m *merge) Push(any)           {}

func (m *merge) Pop() any {
	m.heads = m.heads[:len(m.heads)-1]
	return nil
}

func (m *merge) next() (entry, error) {
	if len(m.heads) == 0 {
		return entry{}, io.EOF
	}
	e := m.heads[0].head
	switch err := m.heads[0].advance(); {
	case err == nil:
		heap.Fix(m, 0)
	case errors.Is(err, io.EOF):
		heap.Pop(m)
	default:
		return entry{}, err
	}
	return e, nil
}

func (m *merge) close() {
	for _, r := range m.heads {
		if r.file != nil {
			r.file.Close()
		}
	}
}
