package serving

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gaon-ai/gaon/internal/lm"
)

// null is a field that is there and says nothing.
var null = json.RawMessage("null")

// envelope is an answer or one chunk of it. Usage comes last, where package
// gateway expects it.
type envelope struct {
	ID          string `json:"id"`
	Object      string `json:"object"`
	Created     int64  `json:"created"` // Unix seconds
	Model       string `json:"model"`
	Fingerprint string `json:"system_fingerprint"`
	Choices     []any  `json:"choices"`
	Usage       any    `json:"usage,omitempty"`
}

func (s *Server) head(a *reading) envelope {
	e := envelope{ID: "cmpl-" + rand.Text(), Object: "text_completion", Created: time.Now().Unix(), Model: a.model, Fingerprint: s.fingerprint}
	if a.chat {
		e.ID, e.Object = "chatcmpl-"+rand.Text(), "chat.completion"
		if a.stream {
			e.Object = "chat.completion.chunk"
		}
	}
	return e
}

type chatMessage struct {
	Role    string          `json:"role"`
	Content string          `json:"content"`
	Refusal json.RawMessage `json:"refusal"`
}

type chatChoice struct {
	Index    int         `json:"index"`
	Message  chatMessage `json:"message"`
	Logprobs any         `json:"logprobs"`
	Finish   string      `json:"finish_reason"`
}

type chatDelta struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
}

type chatChunk struct {
	Index    int       `json:"index"`
	Delta    chatDelta `json:"delta"`
	Logprobs any       `json:"logprobs"`
	Finish   *string   `json:"finish_reason"`
}

type textChoice struct {
	Text     string  `json:"text"`
	Index    int     `json:"index"`
	Logprobs any     `json:"logprobs"`
	Finish   *string `json:"finish_reason"`
}

type chatToken struct {
	Token   string       `json:"token"`
	Logprob float64      `json:"logprob"`
	Bytes   []int        `json:"bytes"`
	Top     *[]chatToken `json:"top_logprobs,omitempty"`
}

type textLogprobs struct {
	Tokens  []string             `json:"tokens"`
	Values  []*float64           `json:"token_logprobs"`
	Top     []map[string]float64 `json:"top_logprobs"`
	Offsets []int                `json:"text_offset"` // in characters
}

// logprobMin stands for anything less probable, as in the OpenAI API.
const logprobMin = -9999.0

func (s *Server) chatToken(id uint32, logprob float64) chatToken {
	raw, _ := s.words.Token(id)
	t := chatToken{Token: strings.ToValidUTF8(string(raw), "\ufffd"), Logprob: math.Max(logprob, logprobMin), Bytes: make([]int, len(raw))}
	for i, b := range raw {
		t.Bytes[i] = int(b)
	}
	return t
}

// logprobs renders entries; nil if none were asked for.
func (s *Server) logprobs(a *reading, entries []entry) any {
	switch {
	case !a.logprobs:
		return nil
	case a.chat:
		content := []chatToken{}
		for _, e := range entries {
			t := s.chatToken(e.id, e.logprob)
			t.Top = &[]chatToken{}
			for _, c := range e.top {
				*t.Top = append(*t.Top, s.chatToken(c.ID, c.LogProb))
			}
			content = append(content, t)
		}
		return map[string]any{"content": content, "refusal": null}
	}
	out := textLogprobs{Tokens: []string{}, Values: []*float64{}, Offsets: []int{}}
	for _, e := range entries {
		out.Tokens = append(out.Tokens, s.tokenName(e.id))
		out.Offsets = append(out.Offsets, e.runes)
		if !e.known {
			out.Values = append(out.Values, nil)
		} else {
			v := math.Max(e.logprob, logprobMin)
			out.Values = append(out.Values, &v)
		}
		if a.top > 0 {
			out.Top = append(out.Top, s.topByName(e))
		}
	}
	return out
}

// topByName holds the most probable tokens and the drawn one.
func (s *Server) topByName(e entry) map[string]float64 {
	if !e.known {
		return nil
	}
	top := map[string]float64{s.tokenName(e.id): math.Max(e.logprob, logprobMin)}
	for _, c := range e.top {
		top[s.tokenName(c.ID)] = math.Max(c.LogProb, logprobMin)
	}
	return top
}

// tokenName is a token as a completion's logprobs write it: its text, or
// "bytes:\xea\xb0" for part of a character, so that two never look alike.
func (s *Server) tokenName(id uint32) string {
	raw, _ := s.words.Token(id)
	if utf8.Valid(raw) {
		return string(raw)
	}
	var b strings.Builder
	b.WriteString("bytes:")
	for _, c := range raw {
		fmt.Fprintf(&b, `\x%02x`, c)
	}
	return b.String()
}

// collected is the sink of an answer that goes out whole.
type collected struct {
	server  *Server
	a       *reading
	text    strings.Builder
	entries []entry
	choices []any
}

func (c *collected) begin(int, Usage) error {
	c.text.Reset()
	c.entries = nil
	return nil
}

func (c *collected) write(_ int, p piece, _ Usage) error {
	c.text.WriteString(p.text)
	c.entries = append(c.entries, p.entries...)
	return nil
}

func (c *collected) end(index int, reason string, _ Usage) error {
	logprobs := c.server.logprobs(c.a, c.entries)
	if c.a.chat {
		c.choices = append(c.choices, chatChoice{index, chatMessage{"assistant", c.text.String(), null}, logprobs, reason})
	} else {
		c.choices = append(c.choices, textChoice{c.text.String(), index, logprobs, &reason})
	}
	return nil
}

// MeteringHeader, sent with a request, asks for a comment before each event of
// a stream that says how much has been used by then:
//
//	: usage PROMPT COMPLETION
//
// so that whoever meters can count a stream that is broken off. Readers of
// event streams pass over comments.
const MeteringHeader = "Gaon-Metering"

// MeteringComment begins such a comment.
const MeteringComment = ": usage "

// DoneEvent is the data of a stream's last event.
const DoneEvent = "[DONE]"

// writeTimeout bounds how long one piece of an answer may take to go out: a
// listener that does not read must not hold a slot for ever.
const writeTimeout = 30 * time.Second

func extendDeadline(w http.ResponseWriter) {
	// Not every writer has a deadline; a recorder in a test has none.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
}

// streamed is the sink of an answer that goes out as server-sent events
// (HTML Living Standard, section 9.2).
type streamed struct {
	server  *Server
	a       *reading
	w       http.ResponseWriter
	head    envelope
	metered bool
}

func (s *Server) serveStream(ctx context.Context, w http.ResponseWriter, r *http.Request, session *lm.Session, a *reading, head envelope) {
	out := &streamed{server: s, a: a, w: w, head: head, metered: r.Header.Get(MeteringHeader) != ""}
	if a.includeUsage {
		out.head.Usage = null
	}
	StartStream(w)
	usage, err := s.answer(ctx, session, a, out)
	if err == nil && a.includeUsage {
		last := out.head
		last.Choices, last.Usage = []any{}, usage
		err = out.event(last, usage)
	}
	if err == nil {
		err = SendEvent(w, "", []byte(DoneEvent))
	}
	if err != nil {
		if ctx.Err() == nil {
			slog.Error("answer broken off", "err", err)
		}
		BreakStream(w, ctx, internal())
	}
}

// StartStream begins an event stream.
func StartStream(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would gather events otherwise
	w.WriteHeader(http.StatusOK)
}

// SendEvent sends one event, with a comment line before it if there is one.
func SendEvent(w http.ResponseWriter, comment string, data []byte) error {
	extendDeadline(w)
	line := make([]byte, 0, len(comment)+len(data)+10)
	if comment != "" {
		line = append(append(line, comment...), '\n')
	}
	line = append(append(append(line, "data: "...), data...), "\n\n"...)
	if _, err := w.Write(line); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

// BreakStream ends a stream that failed so that nobody takes it for whole: the
// error as an event, which the OpenAI clients raise, then no [DONE] and a
// connection cut before the end of the body. It does not return.
func BreakStream(w http.ResponseWriter, ctx context.Context, p *Problem) {
	if ctx.Err() == nil {
		if data, err := encode(p); err == nil {
			_ = SendEvent(w, "", data) // the connection is cut anyhow
		}
	}
	panic(http.ErrAbortHandler)
}

func (s *streamed) event(e envelope, u Usage) error {
	data, err := encode(e)
	if err != nil {
		return err
	}
	comment := ""
	if s.metered {
		comment = MeteringComment + strconv.FormatInt(u.Prompt, 10) + " " + strconv.FormatInt(u.Completion, 10)
	}
	return SendEvent(s.w, comment, data)
}

func (s *streamed) choice(c any, u Usage) error {
	e := s.head
	e.Choices = []any{c}
	return s.event(e, u)
}

func (s *streamed) begin(index int, u Usage) error {
	if !s.a.chat {
		return nil
	}
	none := ""
	return s.choice(chatChunk{Index: index, Delta: chatDelta{"assistant", &none}}, u)
}

func (s *streamed) write(index int, p piece, u Usage) error {
	logprobs := s.server.logprobs(s.a, p.entries)
	if s.a.chat {
		return s.choice(chatChunk{Index: index, Delta: chatDelta{Content: &p.text}, Logprobs: logprobs}, u)
	}
	return s.choice(textChoice{Text: p.text, Index: index, Logprobs: logprobs}, u)
}

func (s *streamed) end(index int, reason string, u Usage) error {
	if s.a.chat {
		return s.choice(chatChunk{Index: index, Finish: &reason}, u)
	}
	return s.choice(textChoice{Index: index, Finish: &reason}, u)
}
