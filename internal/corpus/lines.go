package corpus

import (
	"bufio"
	"errors"
	"io"
)

// lineReader reads lines without ever holding more than max bytes of one.
type lineReader struct {
	r    *bufio.Reader
	max  int64
	line int64 // lines read so far
}

// next appends the next line, without its end, to dst. A line longer than max
// is read to its end and thrown away: long is then its whole length and dst
// comes back as it was. At the end of the input err is io.EOF.
func (l *lineReader) next(dst []byte) (out []byte, long int64, err error) {
	start, length := len(dst), int64(0)
	for {
		part, err := l.r.ReadSlice('\n')
		length += int64(len(part))
		ended := err == nil
		if ended {
			part = part[:len(part)-1]
		}
		if length-int64(boolByte(ended)) <= l.max {
			dst = append(dst, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !(errors.Is(err, io.EOF) && length > 0):
			return dst[:start], 0, err
		}
		l.line++
		if ended {
			length--
		}
		if length > l.max {
			return dst[:start], length, nil
		}
		if n := len(dst); n > start && dst[n-1] == '\r' {
			dst = dst[:n-1]
		}
		return dst, 0, nil
	}
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
