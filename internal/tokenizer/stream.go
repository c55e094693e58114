package tokenizer

import (
	"unicode/utf8"
)

// Stream decodes ids one by one as a model makes them, and lets out only whole
// characters: a Korean syllable is three bytes and often two or three tokens.
// Special tokens are left out. The zero value is of no use; call NewStream. A
// Stream belongs to one goroutine.
type Stream struct {
	t       *Tokenizer
	pending []byte // the beginning of a character, at most utf8.UTFMax-1 bytes
}

// NewStream returns a stream with nothing pending.
func (t *Tokenizer) NewStream() *Stream { return &Stream{t: t} }

// Push takes the next id and returns the characters now complete, which may be
// none. Bytes that can never become a character come out as U+FFFD, one for
// each byte, so what Push and Flush return is always UTF-8.
func (s *Stream) Push(id uint32) string {
	if int(id) >= len(s.t.tokens) || s.t.special[id] {
		return ""
	}
	s.pending = append(s.pending, s.t.tokens[id]...)
	end := len(s.pending)
	for back := 1; back < utf8.UTFMax && back <= len(s.pending); back++ {
		tail := s.pending[len(s.pending)-back:]
		if utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				end -= back
			}
			break
		}
	}
	out := validUTF8(s.pending[:end])
	s.pending = append(s.pending[:0], s.pending[end:]...)
	return out
}

// Flush ends the stream and returns what was pending, as U+FFFD.
func (s *Stream) Flush() string {
	out := validUTF8(s.pending)
	s.pending = s.pending[:0]
	return out
}

// validUTF8 replaces each byte that is no part of a character.
func validUTF8(text []byte) string {
	if utf8.Valid(text) {
		return string(text)
	}
	out := make([]byte, 0, len(text)+8)
	for len(text) > 0 {
		r, width := utf8.DecodeRune(text)
		out = utf8.AppendRune(out, r)
		text = text[width:]
	}
	return string(out)
}
