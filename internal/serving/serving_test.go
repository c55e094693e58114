package serving

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gaon-ai/gaon/internal/tokenizer"
)

func TestAnswersAreExact(t *testing.T) {
	c := newTester(t)
	begun, rest := half()
	asked := int64(1 + len(c.server.words.Encode(begun)))
	drawn := int64(len(c.server.words.Encode(rest)))
	for _, path := range []string{"/v1/completions", "/v1/chat/completions"} {
		body := object{"model": "m", "temperature": 0}
		if path == "/v1/completions" {
			body["prompt"] = begun
		} else {
			// A base model goes on with the last message of the user.
			body["messages"] = []object{{"role": "system", "content": "너는 시인이다."}, {"role": "user", "content": "애국가?"},
				{"role": "assistant", "content": "네."}, {"role": "user", "content": begun}}
		}
		a := c.must(path, body)
		got := a.Choices[0]
		if text := got.Text + got.Message.Content; text != rest || *got.Finish != "stop" {
			t.Errorf("%s: got %q, finish %s, want %q, stop", path, text, *got.Finish, rest)
		}
		if want := (Usage{asked, drawn, asked + drawn}); *a.Usage != want {
			t.Errorf("%s: usage %+v, want %+v", path, *a.Usage, want)
		}
		if a.Model != "m" || a.ID == "" || a.Fingerprint == "" {
			t.Errorf("%s: %+v", path, a)
		}
		events := c.events(path, body)
		if got := texts(events)[0]; got != rest {
			t.Errorf("%s streams %q, want %q", path, got, rest)
		}
		last := events[len(events)-1]
		if f := last.Choices[0].Finish; f == nil || *f != "stop" || last.Usage != nil {
			t.Errorf("%s: last event %+v", path, last)
		}
		body["stream_options"] = object{"include_usage": true}
		events = c.events(path, body)
		if last = events[len(events)-1]; len(last.Choices) != 0 || *last.Usage != *a.Usage {
			t.Errorf("%s: usage event %+v, want %+v", path, last, *a.Usage)
		}
	}
}

// Each event holds whole characters: a token that ends within one waits.
func TestStreamsWholeCharacters(t *testing.T) {
	c := newTester(t)
	begun, _ := half()
	split := false
	for _, id := range c.server.words.Encode(verse) {
		raw, _ := c.server.words.Token(id)
		split = split || !utf8.Valid(raw)
	}
	if !split {
		t.Fatal("no token of the verse ends within a character: the test shows nothing")
	}
	events := c.events("/v1/completions", object{"prompt": begun, "temperature": 0})
	if len(events) < 10 {
		t.Fatalf("only %d events", len(events))
	}
	for _, e := range events {
		if text := e.Choices[0].Text; strings.Contains(text, "\ufffd") {
			t.Errorf("event %q", text)
		}
	}
	// An answer cut within a character says so, rather than hold bytes that are
	// no text.
	for n := 1; n < 6; n++ {
		a := c.must("/v1/completions", object{"prompt": begun, "temperature": 0, "max_tokens": n})
		if text := a.Choices[0].Text; !utf8.ValidString(text) || *a.Choices[0].Finish != "length" || a.Usage.Completion != int64(n) {
			t.Errorf("max_tokens %d: %+v", n, a)
		}
		if streamed := texts(c.events("/v1/completions", object{"prompt": begun, "temperature": 0, "max_tokens": n}))[0]; streamed != a.Choices[0].Text {
			t.Errorf("max_tokens %d: streamed %q, whole %q", n, streamed, a.Choices[0].Text)
		}
	}
}

func TestStopSequences(t *testing.T) {
	c := newTester(t)
	begun, rest := half()
	for _, row := range []struct {
		name string
		stop any
		want string
	}{
		{"a stop over several tokens", "보우하사 우리나라", "하느님이 "},
		{"a stop within a token's text", "사", "하느님이 보우하"},
		{"the first to be complete wins", []string{"우리나라 만세", "나라"}, "하느님이 보우하사 우리"},
		{"a beginning of a stop alone stops nothing", "우리나라 만수무강", rest},
		{"a stop that ends the text", "울었다.", strings.TrimSuffix(rest, "울었다.")},
		{"at the very first character", "하", ""},
	} {
		body := object{"prompt": begun, "temperature": 0, "stop": row.stop}
		a := c.must("/v1/completions", body)
		if got := a.Choices[0].Text; got != row.want || *a.Choices[0].Finish != "stop" {
			t.Errorf("%s: got %q (%s), want %q", row.name, got, *a.Choices[0].Finish, row.want)
		}
		if got := texts(c.events("/v1/completions", body))[0]; got != row.want {
			t.Errorf("%s: streams %q, want %q", row.name, got, row.want)
		}
	}
}

func TestSeedDecides(t *testing.T) {
	c := newTester(t)
	ask := func(seed any) []string {
		a := c.must("/v1/completions", object{"prompt": "봄", "temperature": 2, "max_tokens": 24, "n": 3, "seed": seed})
		var all []string
		for i, choice := range a.Choices {
			if choice.Index != i {
				t.Errorf("choice %d has index %d", i, choice.Index)
			}
			all = append(all, choice.Text)
		}
		if a.Usage.Completion > 72 || a.Usage.Prompt != int64(1+len(c.server.words.Encode("봄"))) {
			t.Errorf("usage %+v", a.Usage)
		}
		return all
	}
	first := ask(11)
	if len(first) != 3 || first[0] == first[1] {
		t.Errorf("three answers: %q", first)
	}
	if again := ask(11); !slices.Equal(first, again) {
		t.Errorf("seed 11 gave %q, then %q", first, again)
	}
	if other := ask(-12); slices.Equal(first, other) {
		t.Errorf("seeds 11 and -12 both gave %q", first)
	}
	if a, b := ask(nil), ask(nil); slices.Equal(a, b) {
		t.Errorf("without a seed twice %q", a)
	}
	// The first of several answers is the one that is given alone.
	alone := c.must("/v1/completions", object{"prompt": "봄", "temperature": 2, "max_tokens": 24, "seed": 11})
	if alone.Choices[0].Text != first[0] {
		t.Errorf("alone %q, among three %q", alone.Choices[0].Text, first[0])
	}
	// A stream of several answers is the same text.
	streamed := texts(c.events("/v1/completions", object{"prompt": "봄", "temperature": 2, "max_tokens": 24, "n": 3, "seed": 11}))
	for i, want := range first {
		if streamed[i] != want {
			t.Errorf("choice %d streams %q, want %q", i, streamed[i], want)
		}
	}
}

func TestSampling(t *testing.T) {
	c := newTester(t)
	begun, rest := half()
	with := func(extra object) string {
		body := object{"prompt": begun, "temperature": 1, "seed": 3, "max_tokens": 20}
		for k, v := range extra {
			body[k] = v
		}
		return c.must("/v1/completions", body).Choices[0].Text
	}
	if got := with(object{"top_p": 0}); !strings.HasPrefix(rest, strings.TrimRight(got, "\ufffd")) {
		t.Errorf("top_p 0 takes the most probable token, got %q", got)
	}
	bias := object{}
	for id := range c.server.words.VocabSize() {
		if id != int(c.server.words.Encode("a")[0]) {
			bias[itoa(id)] = -100
		}
	}
	if got := with(object{"logit_bias": bias}); got != strings.Repeat("a", 20) {
		t.Errorf("bias against all but one gave %q", got)
	}
	// Where two tokens are left, one is repeated until a penalty brings in the
	// other.
	delete(bias, itoa(int(c.server.words.Encode("b")[0])))
	one := with(object{"temperature": 0, "logit_bias": bias})
	both := with(object{"temperature": 0, "logit_bias": bias, "frequency_penalty": 2})
	if rarer(one) >= rarer(both) {
		t.Errorf("without a penalty %q, with %q", one, both)
	}
}

// rarer counts the rarer of a and b.
func rarer(text string) int { return min(strings.Count(text, "a"), strings.Count(text, "b")) }

func itoa(n int) string {
	data, _ := json.Marshal(n)
	return string(data)
}

func TestLogprobs(t *testing.T) {
	c := newTester(t)
	begun, rest := half()
	chat := c.must("/v1/chat/completions", object{"messages": []object{{"role": "user", "content": begun}}, "temperature": 0,
		"logprobs": true, "top_logprobs": 3})
	content := chat.Choices[0].Logprobs.Content
	if len(content) != int(chat.Usage.Completion) {
		t.Fatalf("%d logprobs for %d tokens", len(content), chat.Usage.Completion)
	}
	var raw []byte
	for _, token := range content {
		for _, b := range token.Bytes {
			raw = append(raw, byte(b))
		}
		if len(token.Top) != 3 || token.Top[0].Token != token.Token || math.Abs(token.Top[0].Logprob-token.Logprob) > 1e-6 || token.Logprob > 0 {
			t.Errorf("greedy token %+v is not its own most probable", token)
		}
	}
	if string(raw) != rest {
		t.Errorf("bytes of the tokens: %q", raw)
	}
	// Streamed, each token's entry goes out with its text, none twice.
	n := 0
	for _, e := range c.events("/v1/chat/completions", object{"messages": []object{{"role": "user", "content": begun}}, "temperature": 0, "logprobs": true}) {
		if l := e.Choices[0].Logprobs; l != nil {
			n += len(l.Content)
		}
	}
	if n != len(content) {
		t.Errorf("streamed %d entries, want %d", n, len(content))
	}
	// A token that begins within the stop sequence does not go out; one that
	// begins before it does.
	cut := c.must("/v1/completions", object{"prompt": begun, "temperature": 0, "logprobs": 2, "stop": "우리나라"}).Choices[0]
	tokens := decoded(cut.Logprobs.Tokens)
	all, but := strings.Join(tokens, ""), strings.Join(tokens[:len(tokens)-1], "")
	if cut.Text != "하느님이 보우하사 " || !strings.HasPrefix(all, cut.Text) || len(but) >= len(cut.Text) {
		t.Errorf("tokens before the stop: %q, text %q", tokens, cut.Text)
	}
}

// decoded reads "bytes:\xea" forms back.
func decoded(tokens []string) []string {
	var out []string
	for _, token := range tokens {
		if hex, ok := strings.CutPrefix(token, "bytes:"); ok {
			var text string
			for hex != "" {
				text += string([]byte{unhex(hex[2])<<4 | unhex(hex[3])})
				hex = hex[4:]
			}
			token = text
		}
		out = append(out, token)
	}
	return out
}

func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// Echo with log-probabilities and nothing drawn is how others measure a model;
// it must agree with package lm.
func TestEchoScores(t *testing.T) {
	c := newTester(t)
	ids := c.server.words.AppendEncode([]uint32{uint32(c.server.config.BOS)}, verse)
	want, err := c.server.model.LogProbs(context.Background(), ids)
	if err != nil {
		t.Fatal(err)
	}
	a := c.must("/v1/completions", object{"prompt": ids, "echo": true, "max_tokens": 0, "logprobs": 1})
	got := a.Choices[0].Logprobs
	if a.Choices[0].Text != verse || len(got.Values) != len(ids) || got.Values[0] != nil || got.Top[0] != nil || a.Usage.Completion != 0 {
		t.Fatalf("text %q, %d values, usage %+v", a.Choices[0].Text, len(got.Values), a.Usage)
	}
	for i, v := range got.Values[1:] {
		if math.Abs(*v-want[i]) > 1e-4 {
			t.Errorf("token %d: %g, want %g", i+1, *v, want[i])
		}
	}
	// The same as text: the begin mark is added and not listed.
	text := c.must("/v1/completions", object{"prompt": verse, "echo": true, "max_tokens": 0, "logprobs": 0}).Choices[0].Logprobs
	if len(text.Values) != len(ids)-1 || text.Values[0] == nil || text.Offsets[len(text.Offsets)-1] != utf8.RuneCountInString(verse)-1 {
		t.Errorf("%d values, offsets end at %d", len(text.Values), text.Offsets[len(text.Offsets)-1])
	}
	// With an answer, its tokens follow the prompt's.
	begun, rest := half()
	both := c.must("/v1/completions", object{"prompt": begun, "echo": true, "temperature": 0, "logprobs": 0}).Choices[0]
	if both.Text != begun+rest || strings.Join(decoded(both.Logprobs.Tokens), "") != begun+rest {
		t.Errorf("echo and answer: %q", both.Text)
	}
	if streamed := texts(c.events("/v1/completions", object{"prompt": begun, "echo": true, "temperature": 0}))[0]; streamed != begun+rest {
		t.Errorf("streamed echo: %q", streamed)
	}
}

func TestSeveralPrompts(t *testing.T) {
	c := newTester(t)
	begun, rest := half()
	a := c.must("/v1/completions", object{"prompt": []string{begun, verse}, "temperature": 0, "n": 2})
	if len(a.Choices) != 4 || a.Choices[1].Text != rest || a.Choices[2].Text != "" || a.Choices[3].Index != 3 {
		t.Errorf("%+v", a.Choices)
	}
	tokens := c.must("/v1/completions", object{"prompt": [][]uint32{{0}, c.server.words.Encode("동해")}, "temperature": 0, "max_tokens": 4})
	if len(tokens.Choices) != 2 || tokens.Usage.Prompt != int64(1+len(c.server.words.Encode("동해"))) {
		t.Errorf("%+v", tokens)
	}
}

func TestHealthAndModels(t *testing.T) {
	c := newTester(t)
	for path, want := range map[string]int{"/health": 200, "/v1/models": 200, "/v1/embeddings": 404, "/": 404} {
		response, err := http.Get(c.url + path)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != want || !json.Valid(data) {
			t.Errorf("%s: %d %s", path, response.StatusCode, data)
		}
		if path == "/v1/models" && !strings.Contains(string(data), `"chat":"continuation","context_length":96`) {
			t.Errorf("models: %s", data)
		}
	}
}

// A model whose folder says that it was trained on chat is asked with its
// template.
func TestChatModel(t *testing.T) {
	c := newTesterOf(t, copyFolder(t, `{"gaon_chat": true}`))
	turns := []tokenizer.Message{{Role: "system", Content: "짧게"}, {Role: "user", Content: "봄?"}, {Role: "assistant", Content: "네"}, {Role: "user", Content: "새?"}}
	want, err := c.server.words.Chat(turns, true)
	if err != nil {
		t.Fatal(err)
	}
	a := c.must("/v1/chat/completions", object{"messages": []object{{"role": "developer", "content": "짧게"}, {"role": "user", "content": []object{{"type": "text", "text": "봄"}, {"type": "text", "text": "?"}}},
		{"role": "assistant", "content": "네", "tool_calls": nil, "refusal": nil, "annotations": []int{}}, {"role": "user", "content": "새?"}}, "max_tokens": 3})
	if a.Usage.Prompt != int64(len(want)) || a.Choices[0].Message.Role != "assistant" {
		t.Errorf("%+v, want %d tokens", a, len(want))
	}
	for _, bad := range []string{`{"gaon_chat": "yes"}`, `{`} {
		if _, err := Load(copyFolder(t, bad)); err == nil {
			t.Errorf("loaded with %s", bad)
		}
	}
}

func TestStopsWhenNobodyListens(t *testing.T) {
	c := newTester(t, func(s *Server) { s.SetSlots(1) })
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	// Biased against every end, n of them: far more tokens than will be read.
	body := `{"prompt":"봄","stream":true,"n":16,"logit_bias":{"0":-100,"1":-100,"2":-100,"3":-100,"4":-100}}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/v1/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := bufio.NewReader(response.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	stop()
	// The only slot comes free although the answer was never read to its end.
	if _, err := c.server.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.server.slots <- nil
	drawn := c.server.Drawn()
	time.Sleep(20 * time.Millisecond)
	if later := c.server.Drawn(); later != drawn {
		t.Errorf("%d tokens drawn after the slot was given back", later-drawn)
	}
	if most := int64(16 * (testContext - 2)); drawn >= most {
		t.Logf("all %d tokens were drawn before the client could leave: a slow machine shows little here", drawn)
	}
}

func TestBusy(t *testing.T) {
	c := newTester(t, func(s *Server) { s.SetSlots(1); s.QueueMax = 1 })
	session, err := c.server.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan int)
	go func() {
		status, _, _ := c.post("/v1/completions", object{"prompt": "봄", "max_tokens": 1})
		waits <- status
	}()
	for c.server.waiting.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	status, header, data := c.post("/v1/completions", object{"prompt": "봄", "max_tokens": 1})
	if status != http.StatusTooManyRequests || header.Get("Retry-After") == "" || !bytes.Contains(data, []byte(`"code":"overloaded"`)) {
		t.Errorf("%d %v %s", status, header, data)
	}
	// One who leaves the queue makes room.
	c.server.slots <- session
	if status := <-waits; status != http.StatusOK {
		t.Errorf("the one who waited got %d", status)
	}
	ctx, leave := context.WithCancel(t.Context())
	session, err = c.server.take(ctx)
	if err != nil {
		t.Fatal(err)
	}
	leave()
	if _, err := c.server.take(ctx); err == nil || c.server.waiting.Load() != 0 {
		t.Errorf("after leaving: %v, %d wait", err, c.server.waiting.Load())
	}
	c.server.slots <- session
}
