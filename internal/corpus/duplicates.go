package corpus

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
)

// What is known of each document in memory: one byte of flags and its place
// in the forest of duplicates.
const (
	flagEarly      = 1 << iota // dropped before it was compared
	flagKept                   // no rule drops it
	flagMeasurable             // long enough to be held out
	flagExact                  // a copy of an earlier one
	flagNear                   // nearly a copy of an earlier one
	flagHeldOut                // kept apart
	flagOverlap                // shares words with a text that was to be kept apart
)

// documents is the table of all documents by number: 9 bytes each.
type documents struct {
	flags  []uint8
	parent []uint32 // of a union-find forest; a root is the first of its cluster
	sizes  []uint32 // of each root's cluster, filled at the end
}

func (t *documents) add(flags []uint8) {
	for _, f := range flags {
		t.parent = append(t.parent, uint32(len(t.flags)))
		t.flags = append(t.flags, f)
	}
}

func (t *documents) root(d uint32) uint32 {
	for t.parent[d] != d {
		t.parent[d] = t.parent[t.parent[d]] // halving keeps paths short (Tarjan and van Leeuwen 1984)
		d = t.parent[d]
	}
	return d
}

// join puts two documents into one cluster; the earlier root stays root.
func (t *documents) join(a, b uint32) {
	a, b = t.root(a), t.root(b)
	if a > b {
		a, b = b, a
	}
	t.parent[b] = a
}

// settle flags everything in a cluster but its first document and counts.
func (t *documents) settle() {
	t.sizes = make([]uint32, len(t.flags))
	for d := range t.flags {
		root := t.root(uint32(d))
		t.parent[d] = root
		t.sizes[root]++
		if root != uint32(d) && t.flags[d]&flagExact == 0 {
			t.flags[d] |= flagNear
		}
	}
}

// stays reports a document that no rule and no earlier copy drops.
func (t *documents) stays(d uint32) bool {
	return t.flags[d]&(flagKept|flagExact|flagNear) == flagKept
}

// records is the file with a record for each document.
type records struct {
	path string
	file *os.File
	buf  [recordBytes]byte
}

func openRecords(path string) (*records, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, &FileError{File: filepath.Base(path), Err: plain(err)}
	}
	return &records{path: path, file: file}, nil
}

func (r *records) close() { r.file.Close() }

// record is what the file of records holds besides the signature.
type record struct {
	bucket uint16 // digest per mille
	bytes  uint32
	file   uint32
	line   uint64
}

func parseRecord(b []byte) record {
	b = b[signatureBytes:]
	return record{binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint32(b[2:]), binary.LittleEndian.Uint32(b[6:]), binary.LittleEndian.Uint64(b[10:])}
}

// read reads the record of one document; it may be called from many goroutines.
func (r *records) read(d uint32, b []byte) error {
	if _, err := r.file.ReadAt(b[:recordBytes], int64(d)*recordBytes); err != nil {
		return &FileError{File: filepath.Base(r.path), Err: errSpill}
	}
	return nil
}

// groupRepresentativesMax bounds how many different texts of one band are told
// apart. A band's texts are compared with these alone: comparing all pairs
// takes quadratic time on a page that stands ten thousand times in a crawl.
const groupRepresentativesMax = 8

// findDuplicates joins documents of one exact digest, then those that share a
// band and agree in enough rows.
func (r *run) findDuplicates(ctx context.Context) error {
	t := &r.table
	err := r.exact.groups(ctx, &r.meter.done, func(docs []uint32) error {
		for _, d := range docs[1:] {
			t.join(docs[0], d)
			t.flags[d] |= flagExact
		}
		return nil
	})
	if err != nil {
		return err
	}
	recs, err := openRecords(r.records.path)
	if err != nil {
		return err
	}
	defer recs.close()
	m := matcher{table: t, records: recs}
	if err := r.bands.groups(ctx, &r.meter.done, m.group); err != nil {
		return err
	}
	t.settle()
	return nil
}

// matcher compares the documents of one band.
type matcher struct {
	table   *documents
	records *records
	docs    [groupRepresentativesMax]uint32
	marks   [groupRepresentativesMax][recordBytes]byte
}

func (m *matcher) group(docs []uint32) error {
	n := 0
next:
	for _, d := range docs {
		if m.table.flags[d]&flagExact != 0 {
			continue
		}
		for i := range n {
			if m.table.root(d) == m.table.root(m.docs[i]) {
				continue next
			}
		}
		if err := m.records.read(d, m.records.buf[:]); err != nil {
			return err
		}
		for i := range n {
			if agreement(m.records.buf[:signatureBytes], m.marks[i][:signatureBytes]) >= similarRows {
				m.table.join(m.docs[i], d)
				continue next
			}
		}
		if n < groupRepresentativesMax {
			m.docs[n], m.marks[n] = d, m.records.buf
			n++
		}
	}
	return nil
}
