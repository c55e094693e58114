package corpus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// A batch is what one worker takes at a time. Its bounds depend on the input
// alone, never on the number of workers, so that results do not either.
const (
	batchBytesMin = 512 << 10 // a batch goes out once it holds so much text
	batchDocsMax  = 1024      // or so many documents
)

// raw is a document as it stands in a file: a piece of its batch's buffer.
type raw struct {
	file       *inputFile
	line       int64
	start, end int    // the piece of batch.buf
	id         string // a name given by the file; empty: made from file and line
	reason     string // set when the reader itself drops it
	detail     string
}

func (r *raw) source() string { return fmt.Sprintf("%s:%d", r.file.name, r.line) }

// batch is a run of documents in the order of the input.
type batch struct {
	docs []raw
	buf  []byte
}

// batcher gathers documents into batches and hands them on.
type batcher struct {
	ctx    context.Context
	config Config
	bytes  *atomic.Int64
	emit   func(*batch) error
	now    *batch
}

func (b *batcher) open() *batch {
	if b.now == nil {
		b.now = &batch{}
	}
	return b.now
}

// put adds a document that lies at buf[start:] and sends the batch on if full.
func (b *batcher) put(r raw) error {
	b.now.docs = append(b.now.docs, r)
	if len(b.now.buf) >= batchBytesMin || len(b.now.docs) >= batchDocsMax {
		return b.flush()
	}
	return nil
}

func (b *batcher) flush() error {
	if b.now == nil || len(b.now.docs) == 0 {
		return nil
	}
	full := b.now
	b.now = nil
	return b.emit(full)
}

// readAll reads every file in order.
func (b *batcher) readAll(files []inputFile) error {
	for i := range files {
		f := &files[i]
		var err error
		switch f.form {
		case formParquet:
			err = b.readParquet(f)
		case formLines:
			err = b.readSource(f, b.readLines)
		default:
			err = b.readSource(f, b.readText)
		}
		if err != nil {
			return err
		}
	}
	return b.flush()
}

func (b *batcher) readSource(f *inputFile, read func(*inputFile, *source) error) error {
	s, err := openSource(*f, b.config, b.bytes)
	if err != nil {
		return err
	}
	defer s.Close()
	return read(f, s)
}

func tooLong(length int64, c Config) string {
	return fmt.Sprintf("%d bytes, the limit is %d (LineBytesMax)", length, int64(c.LineBytesMax))
}

// readLines reads one document a line of JSON; the worker parses it.
func (b *batcher) readLines(f *inputFile, s *source) error {
	lines := lineReader{r: s.Reader, max: int64(b.config.LineBytesMax)}
	for {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		at := b.open()
		start := len(at.buf)
		buf, long, err := lines.next(at.buf)
		at.buf = buf
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return readError(f.name, lines.line+1, err)
		}
		doc := raw{file: f, line: lines.line, start: start, end: len(buf)}
		if long > 0 {
			doc.reason, doc.detail = ReasonTooLong, tooLong(long, b.config)
		} else if blankLine(buf[start:]) {
			at.buf = buf[:start]
			continue
		}
		if err := b.put(doc); err != nil {
			return err
		}
	}
}

func blankLine(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' {
			return false
		}
	}
	return true
}

// textReader cuts a .txt file into documents.
type textReader struct {
	*batcher
	file  *inputFile
	lines lineReader
	parts int   // documents so far
	first int64 // line the open document began at
	start int   // where it lies in the batch
	long  int64 // its length once over the limit
}

// readText reads a .txt file: documents end at the separator line or, without
// one, at the first empty line after SplitBytes, at any line after twice that.
func (b *batcher) readText(f *inputFile, s *source) error {
	t := textReader{batcher: b, file: f, lines: lineReader{r: s.Reader, max: int64(b.config.LineBytesMax)}, first: 1}
	t.start = len(b.open().buf)
	for {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		at := b.open()
		from := len(at.buf)
		buf, long, err := t.lines.next(at.buf)
		at.buf = buf
		if errors.Is(err, io.EOF) {
			return t.end()
		}
		if err != nil {
			return readError(f.name, t.lines.line+1, err)
		}
		if long > 0 {
			if err := t.dropLine(long); err != nil {
				return err
			}
			continue
		}
		if err := t.line(from); err != nil {
			return err
		}
	}
}

// line takes in the line at buf[from:].
func (t *textReader) line(from int) error {
	at := t.now
	line := at.buf[from:]
	if sep := t.config.Separator; sep != "" && string(line) == sep {
		at.buf = at.buf[:from]
		return t.end()
	}
	empty := blankLine(line)
	at.buf = append(at.buf, '\n')
	size := int64(len(at.buf) - t.start)
	if t.config.Separator == "" {
		if limit := int64(t.config.SplitBytes); empty && size >= limit || size >= 2*limit {
			return t.end()
		}
		return nil
	}
	if t.long > 0 || size > int64(t.config.LineBytesMax) {
		t.long += size
		at.buf = at.buf[:t.start]
	}
	return nil
}

// dropLine ends the open document and drops the line that is too long.
func (t *textReader) dropLine(long int64) error {
	line := t.lines.line
	t.lines.line--
	if err := t.end(); err != nil {
		return err
	}
	t.lines.line = line
	at := t.open()
	t.parts++
	err := t.put(raw{file: t.file, line: line, start: len(at.buf), end: len(at.buf), id: t.id(), reason: ReasonTooLong, detail: tooLong(long, t.config)})
	t.first, t.start = line+1, len(t.open().buf)
	return err
}

// end closes the open document; one of blanks alone is none.
func (t *textReader) end() error {
	at := t.open()
	doc := raw{file: t.file, line: t.first, start: t.start, end: len(at.buf)}
	var err error
	switch {
	case t.long > 0:
		t.parts++
		doc.end, doc.id, doc.reason, doc.detail = doc.start, t.id(), ReasonTooLong, tooLong(t.long, t.config)
		err = t.put(doc)
	case !blankText(at.buf[t.start:]):
		t.parts++
		doc.id = t.id()
		err = t.put(doc)
	default:
		at.buf = at.buf[:t.start]
	}
	t.long, t.first, t.start = 0, t.lines.line+1, len(t.open().buf)
	return err
}

func blankText(text []byte) bool {
	for _, c := range text {
		if c > ' ' {
			return false
		}
	}
	return true
}

func (t *textReader) id() string {
	if t.parts == 1 {
		return t.file.name
	}
	return fmt.Sprintf("%s#%d", t.file.name, t.parts)
}
