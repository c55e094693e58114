package serving

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/gaon-ai/gaon/internal/lm"
	"github.com/gaon-ai/gaon/internal/tokenizer"
)

// stopper passes text on and looks for stop sequences in it. It keeps back
// what may be the beginning of one, so what it has passed on never has to be
// taken back. What it does depends on the text alone, not on how the text was
// cut into pieces.
type stopper struct {
	stops []string
	held  string
}

// push takes more text. It returns what is surely no part of a stop, and
// whether a stop is complete: the one that ends first, of those the longest.
func (s *stopper) push(text string) (out string, stopped bool) {
	s.held += text
	from, to := -1, math.MaxInt
	for _, stop := range s.stops {
		at := strings.Index(s.held, stop)
		if at < 0 {
			continue
		}
		if end := at + len(stop); end < to || end == to && at < from {
			from, to = at, end
		}
	}
	if from >= 0 {
		out, s.held = s.held[:from], ""
		return out, true
	}
	keep := 0
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(s.held)); n > keep; n-- {
			if strings.HasSuffix(s.held, stop[:n]) {
				keep = n
				break
			}
		}
	}
	out, s.held = s.held[:len(s.held)-keep], s.held[len(s.held)-keep:]
	return out, false
}

// flush ends the text: what was kept back was no stop.
func (s *stopper) flush() string {
	out := s.held
	s.held = ""
	return out
}

// entry is what logprobs tell of one token.
type entry struct {
	id      uint32
	logprob float64
	known   bool // false for a token that nothing stands before
	top     []lm.Candidate
	from    int // bytes of the answer before the token's first character
	runes   int // characters before it
}

// piece is what of an answer goes out at once.
type piece struct {
	text    string
	entries []entry
}

// writing is one answer as it comes: tokens in, pieces out.
type writing struct {
	stream  *tokenizer.Stream
	stopper stopper
	wanted  bool // entries
	pending []entry
	decoded int // bytes that came out of stream
	runes   int
	passed  int // bytes that went out
	stopped bool
}

func newWriting(words *tokenizer.Tokenizer, stops []string, entries bool) *writing {
	return &writing{stream: words.NewStream(), stopper: stopper{stops: stops}, wanted: entries}
}

// skip counts text before the answer: an echoed prompt.
func (w *writing) skip(text string) {
	w.decoded += len(text)
	w.passed += len(text)
	w.runes += utf8.RuneCountInString(text)
}

// push takes a token and returns what may go out now.
func (w *writing) push(e entry) piece {
	if w.wanted {
		e.from, e.runes = w.decoded, w.runes
		w.pending = append(w.pending, e)
	}
	return w.pass(w.stream.Push(e.id))
}

func (w *writing) pass(text string) piece {
	w.decoded += len(text)
	w.runes += utf8.RuneCountInString(text)
	out, stopped := w.stopper.push(text)
	w.stopped = stopped
	return w.send(out)
}

// send pairs text with the tokens that it begins or holds.
func (w *writing) send(text string) piece {
	w.passed += len(text)
	n := 0
	for n < len(w.pending) && w.pending[n].from < w.passed {
		n++
	}
	p := piece{text, w.pending[:n:n]}
	w.pending = w.pending[n:]
	return p
}

// finish returns what is left. A character that never became whole goes out as
// U+FFFD; tokens of a stop sequence do not go out.
func (w *writing) finish() piece {
	if w.stopped {
		return piece{}
	}
	p := w.pass(w.stream.Flush())
	if w.stopped {
		return p
	}
	rest := w.send(w.stopper.flush())
	return piece{p.text + rest.text, append(p.entries, rest.entries...)}
}
