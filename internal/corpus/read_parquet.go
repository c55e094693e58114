package corpus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/parquet-go/parquet-go"
)

const (
	parquetFooterMax  = 64 << 20
	parquetPageMin    = 64 << 20 // pages up to this size are read whatever LineBytesMax says
	parquetValuesRead = 256
)

// readParquet reads the text column of a parquet file, row group by row
// group, page by page. The library trusts the sizes a file states, so each
// page is checked before it is decoded.
func (b *batcher) readParquet(f *inputFile) error {
	file, err := os.Open(f.path)
	if err != nil {
		return &FileError{File: f.name, Err: plain(err)}
	}
	defer file.Close()
	p := parquetReader{batcher: b, file: f, r: file, size: f.size}
	if err := p.read(); err != nil {
		return err
	}
	if b.bytes != nil {
		b.bytes.Add(f.size)
	}
	return nil
}

type parquetReader struct {
	*batcher
	file *inputFile
	r    io.ReaderAt
	size int64
	row  int64
	out  int64
}

// read recovers from panics of the library: a damaged file is the input's
// fault, not a bug of ours.
func (p *parquetReader) read() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &FileError{File: p.file.name, Line: p.row, Err: fmt.Errorf("parquet is damaged: %v", v)}
		}
	}()
	if err := p.checkFooter(); err != nil {
		return &FileError{File: p.file.name, Err: err}
	}
	opened, err := parquet.OpenFile(p.r, p.size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(256<<10))
	if err != nil {
		return &FileError{File: p.file.name, Err: err}
	}
	text, ok := lookupColumn(opened.Schema(), p.config.TextField)
	if !ok {
		return &FileError{File: p.file.name, Err: fmt.Errorf("no column %q", p.config.TextField),
			hint: "name the column that holds the text; there are: " + columnNames(opened.Schema())}
	}
	if kind := text.Node.Type().Kind(); kind != parquet.ByteArray && kind != parquet.FixedLenByteArray || text.MaxRepetitionLevel > 0 {
		return &FileError{File: p.file.name, Err: fmt.Errorf("column %q is not one text a row", p.config.TextField),
			hint: "name a column of type string; there are: " + columnNames(opened.Schema())}
	}
	id, hasID := lookupColumn(opened.Schema(), p.config.IDField)
	hasID = hasID && id.MaxRepetitionLevel == 0
	for g, group := range opened.RowGroups() {
		if err := p.rowGroup(opened, g, group, text.ColumnIndex, id.ColumnIndex, hasID); err != nil {
			return err
		}
	}
	return nil
}

func (p *parquetReader) checkFooter() error {
	var tail [8]byte
	if p.size < 12 {
		return errors.New("too short to be parquet")
	}
	if _, err := p.r.ReadAt(tail[:], p.size-8); err != nil {
		return plain(err)
	}
	if string(tail[4:]) != "PAR1" {
		return errors.New("it does not end as parquet does: cut short or encrypted")
	}
	if n := int64(binary.LittleEndian.Uint32(tail[:])); n > p.size-12 || n > parquetFooterMax {
		return fmt.Errorf("its footer claims %d bytes", n)
	}
	return nil
}

func lookupColumn(s *parquet.Schema, field string) (parquet.LeafColumn, bool) {
	if c, ok := s.Lookup(field); ok {
		return c, true
	}
	return s.Lookup(strings.Split(field, ".")...)
}

func columnNames(s *parquet.Schema) string {
	var names []string
	for _, path := range s.Columns() {
		if names = append(names, strings.Join(path, ".")); len(names) == 20 {
			break
		}
	}
	return strings.Join(names, ", ")
}

func (p *parquetReader) rowGroup(opened *parquet.File, g int, group parquet.RowGroup, text, id int, hasID bool) error {
	columns := []int{text}
	if hasID {
		columns = append(columns, id)
	}
	for _, c := range columns {
		if err := p.checkPages(opened.Metadata().RowGroups[g].Columns[c].MetaData); err != nil {
			return err
		}
	}
	chunks := group.ColumnChunks()
	texts := columnReader{pages: chunks[text].Pages()}
	defer texts.close()
	var ids *columnReader
	if hasID {
		ids = &columnReader{pages: chunks[id].Pages()}
		defer ids.close()
	}
	for {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		v, err := texts.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		p.row++
		if err != nil {
			return &FileError{File: p.file.name, Line: p.row, Err: err}
		}
		name := ""
		if ids != nil {
			n, err := ids.next()
			if err != nil {
				return &FileError{File: p.file.name, Line: p.row, Err: fmt.Errorf("column %q: %w", p.config.IDField, err)}
			}
			if !n.IsNull() {
				name = strings.ToValidUTF8(clipBytes(n.String(), idBytesMax), "")
			}
		}
		if err := p.document(v, name); err != nil {
			return err
		}
	}
}

func (p *parquetReader) document(v parquet.Value, name string) error {
	at := p.open()
	doc := raw{file: p.file, line: p.row, start: len(at.buf), end: len(at.buf), id: name}
	if name == "" {
		doc.id = doc.source()
	}
	text := v.ByteArray()
	switch {
	case v.IsNull():
		doc.reason, doc.detail = ReasonMissingText, "the row has no text"
	case int64(len(text)) > int64(p.config.LineBytesMax):
		doc.reason, doc.detail = ReasonTooLong, tooLong(int64(len(text)), p.config)
	default:
		at.buf = append(at.buf, text...)
		doc.end = len(at.buf)
	}
	p.out += int64(len(text))
	if p.out > expandRatioFloor && p.out > p.size*int64(p.config.ExpandRatioMax) {
		return &LimitError{File: p.file.name, Limit: limitExpandRatio, Max: int64(p.config.ExpandRatioMax), Seen: p.out / p.size}
	}
	if p.out > int64(p.config.ExpandBytesMax) {
		return &LimitError{File: p.file.name, Limit: limitExpandBytes, Max: int64(p.config.ExpandBytesMax), Seen: p.out}
	}
	return p.put(doc)
}

// columnReader reads the values of one column in order.
type columnReader struct {
	pages  parquet.Pages
	page   parquet.Page
	values parquet.ValueReader
	buf    [parquetValuesRead]parquet.Value
	at, n  int
}

func (c *columnReader) next() (parquet.Value, error) {
	for c.at == c.n {
		if c.values == nil {
			c.release()
			page, err := c.pages.ReadPage()
			if err != nil {
				return parquet.Value{}, err
			}
			c.page, c.values = page, page.Values()
		}
		n, err := c.values.ReadValues(c.buf[:])
		c.at, c.n = 0, n
		if errors.Is(err, io.EOF) {
			c.values = nil
		} else if err != nil {
			return parquet.Value{}, err
		} else if n == 0 {
			return parquet.Value{}, io.ErrNoProgress
		}
	}
	c.at++
	return c.buf[c.at-1], nil
}

func (c *columnReader) release() {
	if c.page != nil {
		parquet.Release(c.page)
		c.page = nil
	}
}

func (c *columnReader) close() {
	c.release()
	c.pages.Close()
}
