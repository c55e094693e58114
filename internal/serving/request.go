package serving

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/gaon-ai/gaon/internal/lm"
	"github.com/gaon-ai/gaon/internal/tokenizer"
)

// Limits of one request.
const (
	promptsMax    = 64
	nMax          = 16
	choicesMax    = 128 // prompts × n
	stopsMax      = 4
	stopBytesMax  = 1024
	biasesMax     = 1024
	messagesMax   = 1024
	chatTopMax    = 20 // top_logprobs of a chat
	textTopMax    = 5  // logprobs of a completion
	modelBytesMax = 512
)

// request is what was asked, checked as far as that goes without the model.
type request struct {
	chat     bool
	model    string
	messages []tokenizer.Message // of a chat
	prompts  []prompt            // of a completion

	n        int
	max      int // tokens, -1: as many as fit
	sampling lm.Sampling
	bias     map[string]float64
	seeded   bool
	stops    []string
	logprobs bool
	top      int // most probable tokens beside the drawn one
	echo     bool

	stream       bool
	includeUsage bool
}

// prompt is text or, if ids is not nil, tokens.
type prompt struct {
	text string
	ids  []uint32
}

// fields takes parameters out of a body; what nobody took is refused at the
// end. The first problem is kept and everything after it does nothing.
type fields struct {
	body    map[string]json.RawMessage
	taken   map[string]bool
	problem *Problem
}

func (f *fields) fail(p *Problem) {
	if f.problem == nil {
		f.problem = p
	}
}

// take decodes a parameter and says whether it was there and not null.
func (f *fields) take(name string, to any, want string) bool {
	f.taken[name] = true
	raw := f.body[name]
	if f.problem != nil || isNull(raw) {
		return false
	}
	if err := json.Unmarshal(raw, to); err != nil {
		f.fail(bad(name, "%s is %s, want %s", name, clip(raw), want))
		return false
	}
	return true
}

// clip shortens a value for a message.
func clip(raw json.RawMessage) string {
	const most = 60
	if len(raw) <= most {
		return string(raw)
	}
	cut := most
	for !utf8.RuneStart(raw[cut]) {
		cut--
	}
	return string(raw[:cut]) + "…"
}

func (f *fields) integer(name string, standard, least, most int) int {
	v := standard
	if f.take(name, &v, "a whole number") && (v < least || v > most) {
		f.fail(bad(name, "%s is %d, want %d to %d", name, v, least, most))
	}
	return v
}

func (f *fields) number(name string, standard float64) float64 {
	v := standard
	f.take(name, &v, "a number")
	return v
}

func (f *fields) flag(name string) bool {
	var v bool
	f.take(name, &v, "true or false")
	return v
}

// only refuses a parameter that asks for what is not done here. The values
// given ask for nothing.
func (f *fields) only(name string, nothing ...string) {
	f.taken[name] = true
	raw := f.body[name]
	if isNull(raw) || slices.Contains(nothing, string(compact(raw))) {
		return
	}
	f.fail(&Problem{Status: http.StatusBadRequest, Type: InvalidRequest, Param: name, Kind: CodeUnsupported,
		Message: fmt.Sprintf("%s is not supported by this server: leave it out", name)})
}

func compact(raw json.RawMessage) []byte {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return raw
	}
	data, err := json.Marshal(v)
	if err != nil {
		return raw
	}
	return data
}

// ignored have no part in an answer.
var ignored = []string{"user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier"}

// end refuses parameters that nobody took.
func (f *fields) end() error {
	for _, name := range ignored {
		f.taken[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(f.body)) {
		if !f.taken[name] {
			f.fail(&Problem{Status: http.StatusBadRequest, Type: InvalidRequest, Param: name, Kind: CodeUnknown,
				Message: fmt.Sprintf("unrecognized request argument: %s", clip(json.RawMessage(name)))})
		}
	}
	if f.problem != nil {
		return f.problem
	}
	return nil
}

// parseChat reads the body of a chat.
func parseChat(body map[string]json.RawMessage) (*request, error) {
	f := &fields{body: body, taken: map[string]bool{}}
	q := &request{chat: true}
	f.common(q)
	q.max = f.integer("max_tokens", -1, 1, 1<<30)
	if isNull(body["max_tokens"]) {
		q.max = f.integer("max_completion_tokens", -1, 1, 1<<30)
	} else {
		f.only("max_completion_tokens", string(body["max_tokens"]))
	}
	q.logprobs = f.flag("logprobs")
	q.top = f.integer("top_logprobs", 0, 0, chatTopMax)
	if q.top > 0 && !q.logprobs {
		f.fail(bad("top_logprobs", "top_logprobs needs logprobs to be true"))
	}
	f.only("response_format", `{"type":"text"}`)
	f.only("tools", "[]")
	f.only("tool_choice", `"none"`, `"auto"`)
	f.only("functions", "[]")
	f.only("function_call", `"none"`, `"auto"`)
	f.only("modalities", `["text"]`)
	f.only("store", "false")
	for _, name := range []string{"audio", "prediction", "reasoning_effort", "verbosity", "web_search_options"} {
		f.only(name)
	}
	f.only("parallel_tool_calls", "true", "false") // of no matter without tools
	var messages []json.RawMessage
	switch {
	case !f.take("messages", &messages, "an array of messages"):
		f.fail(bad("messages", "messages is missing"))
	case len(messages) == 0 || len(messages) > messagesMax:
		f.fail(bad("messages", "messages has %d entries, want 1 to %d", len(messages), messagesMax))
	}
	for i, raw := range messages {
		f.message(fmt.Sprintf("messages[%d]", i), raw, q)
	}
	return q, f.end()
}

// message reads one turn. Fields that a client sends back as it got them are
// let through where they are empty.
func (f *fields) message(at string, raw json.RawMessage, q *request) {
	var keys map[string]json.RawMessage
	if json.Unmarshal(raw, &keys) != nil || keys == nil {
		f.fail(bad(at, "%s is %s, want an object with role and content", at, clip(raw)))
		return
	}
	m := &fields{body: keys, taken: map[string]bool{}}
	var role string
	m.take("role", &role, "a string")
	switch role {
	case "user", "assistant", "system":
	case "developer":
		role = "system"
	default:
		m.fail(bad("role", "role is %q, want system, developer, user or assistant", role))
	}
	content := m.content()
	for _, name := range []string{"name", "refusal", "tool_calls", "function_call", "annotations", "audio", "tool_call_id"} {
		m.only(name, "[]", `""`)
	}
	if err := m.end(); err != nil {
		p := *m.problem
		p.Message = at + ": " + p.Message
		p.Param = at + "." + p.Param
		f.fail(&p)
		return
	}
	q.messages = append(q.messages, tokenizer.Message{Role: role, Content: content})
}

// content is a string or parts of type text.
func (f *fields) content() string {
	f.taken["content"] = true
	raw := f.body["content"]
	var text string
	if isNull(raw) {
		f.fail(bad("content", "content is missing"))
		return ""
	}
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var parts []map[string]json.RawMessage
	if json.Unmarshal(raw, &parts) != nil {
		f.fail(bad("content", "content is %s, want a string or an array of parts", clip(raw)))
		return ""
	}
	for i, part := range parts {
		var kind, more string
		if json.Unmarshal(part["type"], &kind) != nil || kind != "text" {
			f.fail(&Problem{Status: http.StatusBadRequest, Type: InvalidRequest, Param: "content", Kind: CodeUnsupported,
				Message: fmt.Sprintf("content[%d] has type %s: this server reads text only", i, clip(part["type"]))})
			return ""
		}
		if isNull(part["text"]) || json.Unmarshal(part["text"], &more) != nil {
			f.fail(bad("content", "content[%d].text is %s, want a string", i, clip(part["text"])))
			return ""
		}
		text += more
	}
	return text
}

// parseCompletion reads the body of a completion.
func parseCompletion(body map[string]json.RawMessage) (*request, error) {
	f := &fields{body: body, taken: map[string]bool{}}
	q := &request{}
	f.common(q)
	q.max = f.integer("max_tokens", -1, 0, 1<<30)
	q.echo = f.flag("echo")
	q.top = f.integer("logprobs", 0, 0, textTopMax)
	q.logprobs = !isNull(body["logprobs"])
	f.only("best_of", "1", strconv.Itoa(q.n))
	f.only("suffix", `""`)
	f.prompt(q)
	if len(q.prompts)*q.n > choicesMax {
		f.fail(bad("n", "%d prompts with n %d make %d answers, at most %d", len(q.prompts), q.n, len(q.prompts)*q.n, choicesMax))
	}
	return q, f.end()
}

// prompt is a string, an array of strings, an array of token ids or an array
// of such arrays.
func (f *fields) prompt(q *request) {
	f.taken["prompt"] = true
	raw := f.body["prompt"]
	var (
		text  string
		texts []*string
		ids   []uint32
		many  [][]uint32
	)
	// A null among numbers would be read as 0. Where numbers alone decode, no
	// string can hold the word.
	whole := func(v any) bool { return json.Unmarshal(raw, v) == nil && !bytes.Contains(raw, []byte("null")) }
	switch {
	case isNull(raw):
		f.fail(bad("prompt", "prompt is missing"))
	case json.Unmarshal(raw, &text) == nil:
		q.prompts = []prompt{{text: text}}
	case whole(&ids) && len(ids) > 0:
		q.prompts = []prompt{{ids: ids}}
	case json.Unmarshal(raw, &texts) == nil && !slices.Contains(texts, nil):
		for _, text := range texts {
			q.prompts = append(q.prompts, prompt{text: *text})
		}
	case whole(&many):
		for i, ids := range many {
			if len(ids) == 0 {
				f.fail(bad("prompt", "prompt[%d] has no tokens", i))
			}
			q.prompts = append(q.prompts, prompt{ids: ids})
		}
	default:
		f.fail(bad("prompt", "prompt is %s, want a string, an array of strings, or token ids", clip(raw)))
	}
	if n := len(q.prompts); n == 0 || n > promptsMax {
		f.fail(bad("prompt", "prompt has %d entries, want 1 to %d", n, promptsMax))
	}
}

// common takes what both kinds have.
func (f *fields) common(q *request) {
	f.take("model", &q.model, "a string")
	if len(q.model) > modelBytesMax {
		f.fail(bad("model", "model is longer than %d bytes", modelBytesMax))
	}
	q.n = f.integer("n", 1, 1, nMax)
	q.sampling = lm.Sampling{
		Temperature: f.number("temperature", 1), TopP: f.number("top_p", 1),
		FrequencyPenalty: f.number("frequency_penalty", 0), PresencePenalty: f.number("presence_penalty", 0),
	}
	if err := q.sampling.Validate(); err != nil {
		f.fail(samplingProblem(err))
	}
	if q.sampling.TopP == 0 {
		q.sampling.TopP = 1e-9 // package lm takes zero for all; here it means the first alone
	}
	var seed int64
	if q.seeded = f.take("seed", &seed, "a whole number"); q.seeded {
		q.sampling.Seed = uint64(seed)
	}
	f.take("logit_bias", &q.bias, "an object of token ids and numbers")
	if len(q.bias) > biasesMax {
		f.fail(bad("logit_bias", "logit_bias has %d entries, at most %d", len(q.bias), biasesMax))
	}
	f.stop(q)
	q.stream = f.flag("stream")
	var options map[string]json.RawMessage
	if f.take("stream_options", &options, "an object") {
		if !q.stream {
			f.fail(bad("stream_options", "stream_options is only for stream: true"))
		}
		o := &fields{body: options, taken: map[string]bool{}}
		q.includeUsage = o.flag("include_usage")
		o.flag("include_obfuscation") // padding against watchers of the wire, never sent
		if o.end() != nil {
			p := *o.problem
			p.Param = "stream_options." + p.Param
			f.fail(&p)
		}
	}
}

func samplingProblem(err error) *Problem {
	if e, ok := err.(*lm.SamplingError); ok {
		return bad(e.Parameter, "%v", e)
	}
	return bad("", "%v", err)
}

func (f *fields) stop(q *request) {
	f.taken["stop"] = true
	raw := f.body["stop"]
	var one string
	switch {
	case isNull(raw):
		return
	case json.Unmarshal(raw, &one) == nil:
		q.stops = []string{one}
	case json.Unmarshal(raw, &q.stops) != nil:
		f.fail(bad("stop", "stop is %s, want a string or up to %d of them", clip(raw), stopsMax))
	}
	if len(q.stops) > stopsMax {
		f.fail(bad("stop", "stop has %d entries, at most %d", len(q.stops), stopsMax))
	}
	for _, s := range q.stops {
		if s == "" || len(s) > stopBytesMax {
			f.fail(bad("stop", "a stop has %d bytes, want 1 to %d", len(s), stopBytesMax))
		}
	}
}

// reading is a request made ready for the model.
type reading struct {
	*request
	inputs []input
}

// input is one prompt as the model reads it.
type input struct {
	ids   []uint32
	added int    // of ids, begin marks put before what was asked
	text  string // for echo
	max   int    // tokens to draw
}

// ready turns the request into what the model reads, and refuses what does not
// fit it.
func (s *Server) ready(q *request) (*reading, error) {
	a := &reading{request: q}
	a.sampling.LogitBias = map[uint32]float64{}
	for text, bias := range q.bias {
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil || id >= uint64(s.config.VocabSize) {
			return nil, bad("logit_bias", "logit_bias names token %s, want an id below %d", clip(json.RawMessage(text)), s.config.VocabSize)
		}
		a.sampling.LogitBias[uint32(id)] = bias
	}
	if err := a.sampling.Validate(); err != nil {
		return nil, samplingProblem(err)
	}
	if q.chat {
		in, err := s.readChat(q.messages)
		if err != nil {
			return nil, err
		}
		a.inputs = []input{in}
	}
	for i, p := range q.prompts {
		in, err := s.readPrompt(i, p)
		if err != nil {
			return nil, err
		}
		a.inputs = append(a.inputs, in)
	}
	for i := range a.inputs {
		if err := s.fit(a, &a.inputs[i]); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// readChat lays a conversation out. A base model has seen prose only; marks of
// turns mean nothing to it. It goes on with what the user said last.
func (s *Server) readChat(messages []tokenizer.Message) (input, error) {
	if s.chat {
		ids, err := s.words.Chat(messages, true)
		if err != nil {
			return input{}, bad("messages", "%v", err)
		}
		return input{ids: ids}, nil
	}
	for _, m := range slices.Backward(messages) {
		if m.Role == "user" {
			return s.readPrompt(0, prompt{text: m.Content})
		}
	}
	return input{}, bad("messages", "messages has none of role user, and this is a base model: it goes on with the last user message")
}

// readPrompt puts the begin mark before text, as before each document of the
// training. Tokens are read as they are.
func (s *Server) readPrompt(i int, p prompt) (input, error) {
	if p.ids != nil {
		for at, id := range p.ids {
			if int64(id) >= int64(s.config.VocabSize) {
				return input{}, bad("prompt", "token %d of prompt %d is %d, want an id below %d", at, i, id, s.config.VocabSize)
			}
		}
		in := input{ids: p.ids}
		for stream := s.words.NewStream(); len(p.ids) > 0; p.ids = p.ids[1:] {
			if in.text += stream.Push(p.ids[0]); len(p.ids) == 1 {
				in.text += stream.Flush()
			}
		}
		return in, nil
	}
	in := input{text: p.text}
	if s.config.BOS >= 0 {
		in.ids, in.added = append(in.ids, uint32(s.config.BOS)), 1
	}
	in.ids = s.words.AppendEncode(in.ids, p.text)
	if len(in.ids) == 0 {
		return input{}, bad("prompt", "the prompt is empty and the model has no begin mark to start from")
	}
	return in, nil
}

// fit holds prompt and answer together against the model's context.
func (s *Server) fit(a *reading, in *input) error {
	limit, param, part := s.config.ContextLength, "prompt", "in the prompt"
	if a.chat {
		param, part = "messages", "in the messages"
	}
	in.max = a.max
	if a.max < 0 {
		in.max = limit - len(in.ids)
	}
	if len(in.ids) > limit || len(in.ids) == limit && a.max != 0 {
		return &Problem{Status: http.StatusBadRequest, Type: InvalidRequest, Param: param, Kind: CodeContext,
			Message: fmt.Sprintf("This model's maximum context length is %d tokens. However, there are %d tokens %s, which leaves none for an answer. Please reduce the length of the %s.",
				limit, len(in.ids), part, param)}
	}
	if len(in.ids)+in.max > limit {
		return &Problem{Status: http.StatusBadRequest, Type: InvalidRequest, Param: param, Kind: CodeContext,
			Message: fmt.Sprintf("This model's maximum context length is %d tokens. However, you requested %d tokens (%d %s, %d in the completion). Please reduce the length of the %s or completion.",
				limit, len(in.ids)+in.max, len(in.ids), part, in.max, param)}
	}
	return nil
}
