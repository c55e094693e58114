package corpus

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// checkPages walks the page headers of a column chunk and refuses a page that
// states, or really unpacks to, more than the limit. Compressed pages are
// unpacked once more for this, into nothing: what a page states and what its
// stream yields are two things in a hostile file.
func (p *parquetReader) checkPages(m format.ColumnMetaData) error {
	at := m.DataPageOffset
	if m.DictionaryPageOffset != 0 {
		at = m.DictionaryPageOffset
	}
	end := at + m.TotalCompressedSize
	if at < 4 || end < at || end > p.size {
		return &FileError{File: p.file.name, Err: fmt.Errorf("a column chunk claims bytes %d to %d of %d", at, end, p.size)}
	}
	limit := max(int64(p.config.LineBytesMax), parquetPageMin)
	for at < end {
		body := &countReads{r: bufio.NewReaderSize(io.NewSectionReader(p.r, at, end-at), 16<<10)}
		var protocol thrift.CompactProtocol
		var h format.PageHeader
		if err := thrift.NewDecoder(protocol.NewReader(body)).Decode(&h); err != nil {
			return &FileError{File: p.file.name, Err: fmt.Errorf("page header at byte %d: %w", at, err)}
		}
		packed, stated := int64(h.CompressedPageSize), int64(h.UncompressedPageSize)
		if packed < 0 || stated < 0 || packed > end-at-body.n {
			return &FileError{File: p.file.name, Err: fmt.Errorf("page at byte %d claims %d bytes", at, packed)}
		}
		at += body.n + packed
		if seen := max(packed, stated); seen > limit {
			return &LimitError{File: p.file.name, Limit: limitParquetPage, Max: limit, Seen: seen}
		}
		if v2 := &h.DataPageHeaderV2; v2.Valid { // its levels stand uncompressed before the values
			levels := int64(v2.V.RepetitionLevelsByteLength) + int64(v2.V.DefinitionLevelsByteLength)
			if levels < 0 || levels > packed {
				return &FileError{File: p.file.name, Err: fmt.Errorf("page at byte %d claims %d bytes of levels", at, levels)}
			}
			if _, err := body.r.Discard(int(levels)); err != nil {
				return &FileError{File: p.file.name, Err: io.ErrUnexpectedEOF}
			}
			packed, stated = packed-levels, stated-levels
		}
		if err := p.checkUnpacked(m.Codec, io.LimitReader(body.r, packed), packed, stated, limit); err != nil {
			return err
		}
	}
	return nil
}

// countReads counts the bytes of a page header.
type countReads struct {
	r *bufio.Reader
	n int64
}

func (c *countReads) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *countReads) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

// checkUnpacked unpacks the body of one page into nothing. Damage is left for
// the library to report, save where it would not: it answers any damage in an
// LZ4 page with ever larger buffers.
func (p *parquetReader) checkUnpacked(codec format.CompressionCodec, body io.Reader, packed, stated, limit int64) error {
	var unpacked io.Reader
	switch codec {
	case format.Gzip:
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil
		}
		unpacked = z
	case format.Zstd:
		z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindowMax), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil
		}
		defer z.Close()
		unpacked = z
	case format.Brotli:
		unpacked = brotli.NewReader(body)
	case format.Snappy:
		head, _ := io.ReadAll(io.LimitReader(body, 10))
		if n, err := snappy.DecodedLen(head); err == nil && int64(n) > limit {
			return p.pageOver(int64(n), limit)
		}
		return nil
	case format.Lz4Raw:
		data, err := io.ReadAll(body)
		if err == nil && packed > 0 {
			_, err = lz4.UncompressBlock(data, make([]byte, stated))
		}
		if err != nil || int64(len(data)) < packed {
			return &FileError{File: p.file.name, Err: errors.New("an LZ4 page is damaged")}
		}
		return nil
	default:
		return nil
	}
	if n, _ := io.Copy(io.Discard, io.LimitReader(unpacked, limit+1)); n > limit {
		return p.pageOver(n, limit)
	}
	return nil
}

func (p *parquetReader) pageOver(seen, limit int64) error {
	return &LimitError{File: p.file.name, Limit: limitParquetPage, Max: limit, Seen: seen}
}
