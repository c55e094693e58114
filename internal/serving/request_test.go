package serving

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRefusals(t *testing.T) {
	c := newTester(t)
	long := strings.Repeat("가", 200)
	for _, row := range []struct {
		name, path, body string
		status           int
		param, code      string
		says             string
	}{
		{"no JSON", "completions", `{"prompt":`, 400, "", "invalid_value", "no JSON object"},
		{"an array", "completions", `[]`, 400, "", "invalid_value", "no JSON object"},
		{"null", "completions", `null`, 400, "", "invalid_value", "null"},
		{"no UTF-8", "completions", "{\"prompt\":\"\xff\"}", 400, "", "invalid_value", "not UTF-8"},
		{"nested too deeply", "completions", `{"prompt":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, 400, "", "invalid_value", "nested deeper"},
		{"too large", "completions", `{"prompt":"` + strings.Repeat("a", BodyBytesMax) + `"}`, 413, "", "", "larger than"},
		{"no prompt", "completions", `{}`, 400, "prompt", "invalid_value", "missing"},
		{"a prompt of another kind", "completions", `{"prompt":{"a":1}}`, 400, "prompt", "invalid_value", "want a string"},
		{"a null among tokens", "completions", `{"prompt":[1,null]}`, 400, "prompt", "invalid_value", "want a string"},
		{"no prompts", "completions", `{"prompt":[]}`, 400, "prompt", "invalid_value", "0 entries"},
		{"a prompt without tokens", "completions", `{"prompt":[[1],[]]}`, 400, "prompt", "invalid_value", "no tokens"},
		{"a token that is not there", "completions", `{"prompt":[100000]}`, 400, "prompt", "invalid_value", "below 300"},
		{"a negative token", "completions", `{"prompt":[-1]}`, 400, "prompt", "invalid_value", "want a string"},
		{"a long prompt", "completions", `{"prompt":"` + long + `"}`, 400, "prompt", "context_length_exceeded", "maximum context length is 96 tokens"},
		{"prompt and answer too long together", "completions", `{"prompt":"봄","max_tokens":96}`, 400, "prompt", "context_length_exceeded", "96 in the completion"},
		{"a long chat", "chat/completions", `{"messages":[{"role":"user","content":"` + long + `"}]}`, 400, "messages", "context_length_exceeded", "in the messages"},
		{"no messages", "chat/completions", `{}`, 400, "messages", "invalid_value", "missing"},
		{"empty messages", "chat/completions", `{"messages":[]}`, 400, "messages", "invalid_value", "0 entries"},
		{"a message that is none", "chat/completions", `{"messages":[null]}`, 400, "messages[0]", "invalid_value", "want an object"},
		{"an unknown role", "chat/completions", `{"messages":[{"role":"king","content":"a"}]}`, 400, "messages[0].role", "invalid_value", "king"},
		{"a tool's message", "chat/completions", `{"messages":[{"role":"tool","content":"a","tool_call_id":"1"}]}`, 400, "messages[0].role", "invalid_value", "tool"},
		{"no content", "chat/completions", `{"messages":[{"role":"user"}]}`, 400, "messages[0].content", "invalid_value", "missing"},
		{"an image", "chat/completions", `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}`, 400, "messages[0].content", "unsupported_parameter", "text only"},
		{"a name", "chat/completions", `{"messages":[{"role":"user","content":"a","name":"kim"}]}`, 400, "messages[0].name", "unsupported_parameter", "not supported"},
		{"only a system message", "chat/completions", `{"messages":[{"role":"system","content":"a"}]}`, 400, "messages", "invalid_value", "base model"},
		{"tools", "chat/completions", `{"messages":[{"role":"user","content":"a"}],"tools":[{"type":"function"}]}`, 400, "tools", "unsupported_parameter", "not supported"},
		{"JSON mode", "chat/completions", `{"messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_object"}}`, 400, "response_format", "unsupported_parameter", "not supported"},
		{"two maxima", "chat/completions", `{"messages":[{"role":"user","content":"a"}],"max_tokens":3,"max_completion_tokens":4}`, 400, "max_completion_tokens", "unsupported_parameter", ""},
		{"nothing to draw in a chat", "chat/completions", `{"messages":[{"role":"user","content":"a"}],"max_tokens":0}`, 400, "max_tokens", "invalid_value", "want 1"},
		{"top_logprobs alone", "chat/completions", `{"messages":[{"role":"user","content":"a"}],"top_logprobs":2}`, 400, "top_logprobs", "invalid_value", "logprobs"},
		{"an unknown parameter", "completions", `{"prompt":"a","magic":1}`, 400, "magic", "unknown_parameter", "unrecognized request argument: magic"},
		{"a parameter in another case", "completions", `{"prompt":"a","Temperature":1}`, 400, "Temperature", "unknown_parameter", "unrecognized"},
		{"a suffix", "completions", `{"prompt":"a","suffix":"b"}`, 400, "suffix", "unsupported_parameter", "not supported"},
		{"best_of", "completions", `{"prompt":"a","best_of":3}`, 400, "best_of", "unsupported_parameter", "not supported"},
		{"a hot temperature", "completions", `{"prompt":"a","temperature":2.5}`, 400, "temperature", "invalid_value", "0 to 2"},
		{"a temperature in words", "completions", `{"prompt":"a","temperature":"hot"}`, 400, "temperature", "invalid_value", "want a number"},
		{"top_p", "completions", `{"prompt":"a","top_p":-0.1}`, 400, "top_p", "invalid_value", "0 to 1"},
		{"a penalty", "completions", `{"prompt":"a","presence_penalty":3}`, 400, "presence_penalty", "invalid_value", "-2 to 2"},
		{"a bias", "completions", `{"prompt":"a","logit_bias":{"3":101}}`, 400, "logit_bias", "invalid_value", "-100 to 100"},
		{"a bias for no token", "completions", `{"prompt":"a","logit_bias":{"x":1}}`, 400, "logit_bias", "invalid_value", "below 300"},
		{"a bias beyond the vocabulary", "completions", `{"prompt":"a","logit_bias":{"300":1}}`, 400, "logit_bias", "invalid_value", "below 300"},
		{"five stops", "completions", `{"prompt":"a","stop":["a","b","c","d","e"]}`, 400, "stop", "invalid_value", "at most 4"},
		{"an empty stop", "completions", `{"prompt":"a","stop":""}`, 400, "stop", "invalid_value", "0 bytes"},
		{"a stop that is a number", "completions", `{"prompt":"a","stop":1}`, 400, "stop", "invalid_value", "want a string"},
		{"no answers", "completions", `{"prompt":"a","n":0}`, 400, "n", "invalid_value", "want 1"},
		{"many answers", "completions", `{"prompt":"a","n":17}`, 400, "n", "invalid_value", "to 16"},
		{"prompts times answers", "completions", `{"prompt":["a","b","c","d","e","f","g","h","i"],"n":16}`, 400, "n", "invalid_value", "at most 128"},
		{"half a token", "completions", `{"prompt":"a","max_tokens":1.5}`, 400, "max_tokens", "invalid_value", "whole number"},
		{"logprobs true", "completions", `{"prompt":"a","logprobs":true}`, 400, "logprobs", "invalid_value", "whole number"},
		{"many logprobs", "completions", `{"prompt":"a","logprobs":6}`, 400, "logprobs", "invalid_value", "0 to 5"},
		{"a seed in words", "completions", `{"prompt":"a","seed":"s"}`, 400, "seed", "invalid_value", "whole number"},
		{"stream options without a stream", "completions", `{"prompt":"a","stream_options":{"include_usage":true}}`, 400, "stream_options", "invalid_value", "stream: true"},
		{"an unknown stream option", "completions", `{"prompt":"a","stream":true,"stream_options":{"x":1}}`, 400, "stream_options.x", "unknown_parameter", ""},
	} {
		status, _, data := c.post("/v1/"+row.path, row.body)
		var a answer
		if err := json.Unmarshal(data, &a); err != nil || a.Error == nil {
			t.Errorf("%s: %d %s", row.name, status, data)
			continue
		}
		if status != row.status || a.Error.Param != row.param || a.Error.Code != row.code || !strings.Contains(a.Error.Message, row.says) || a.Error.Type != InvalidRequest {
			t.Errorf("%s: %d %s, want %d, param %q, code %q and %q", row.name, status, data, row.status, row.param, row.code, row.says)
		}
	}
}

// What asks for nothing is let through: clients send it unasked.
func TestHarmlessParameters(t *testing.T) {
	c := newTester(t)
	for _, row := range []struct{ path, body string }{
		{"completions", `{"model":"m","prompt":"a","max_tokens":1,"user":"u1","suffix":null,"best_of":1,"stop":null,"seed":null,"logit_bias":null,"logprobs":null,"echo":false,"n":null,"stream":false}`},
		{"completions", `{"prompt":"","max_tokens":1}`},
		{"chat/completions", `{"messages":[{"role":"user","content":""}],"max_tokens":1,"max_completion_tokens":1}`},
		{"chat/completions", `{"messages":[{"role":"user","content":"a"}],"max_completion_tokens":1,"tools":[],"tool_choice":"none","response_format":{ "type" : "text" },"store":false,"metadata":{"a":"b"},"parallel_tool_calls":true,"service_tier":"auto","modalities":["text"],"logprobs":false}`},
	} {
		if status, _, data := c.post("/v1/"+row.path, row.body); status != http.StatusOK {
			t.Errorf("%s: %d %s", row.body, status, data)
		}
	}
	response, err := http.Post(c.url+"/v1/completions", "text/plain", strings.NewReader(`{"prompt":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("text/plain: %d", response.StatusCode)
	}
}

// The stopper's output does not depend on how the text is cut.
func TestStopperIsBlindToCuts(t *testing.T) {
	for _, row := range []struct {
		stops   []string
		text    string
		want    string
		stopped bool
	}{
		{[]string{"abc", "b"}, "xabcd", "xa", true},
		{[]string{"aab"}, "aaaab", "aa", true},
		{[]string{"abab", "ba"}, "ababab", "a", true},
		{[]string{"bc", "abc"}, "abc", "", true},
		{[]string{"xyz"}, "xyxyxy", "xyxyxy", false},
		{nil, "text", "text", false},
		{[]string{"나라"}, "우리나라", "우리", true},
	} {
		for cut := range len(row.text) + 1 {
			for cut2 := cut; cut2 <= len(row.text); cut2++ {
				s := stopper{stops: row.stops}
				got, stopped := "", false
				for _, part := range []string{row.text[:cut], row.text[cut:cut2], row.text[cut2:]} {
					if !stopped {
						var out string
						out, stopped = s.push(part)
						got += out
					}
				}
				if !stopped {
					got += s.flush()
				}
				if got != row.want || stopped != row.stopped {
					t.Errorf("stops %q, text %q cut at %d and %d: %q %v, want %q %v", row.stops, row.text, cut, cut2, got, stopped, row.want, row.stopped)
				}
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"prompt":["a","b"],"n":2,"stop":["x"],"logit_bias":{"1":2},"stream":true,"stream_options":{"include_usage":true}}`,
		`{"prompt":[[1,2],[3]],"echo":true,"logprobs":3,"max_tokens":0}`,
		`{"messages":[{"role":"user","content":[{"type":"text","text":"가"}]},{"role":"assistant","content":"b"}],"top_logprobs":2,"logprobs":true}`,
		`{"messages":[{"role":"user","content":"a"}],"tools":[],"seed":-1,"temperature":1e-300}`, `{"prompt":"\ud800"}`, `[[[`, `{"a":"\"[{"}`,
	} {
		f.Add([]byte(seed))
	}
	dir, err := build(1) // what it would answer is no matter
	if err != nil {
		f.Fatal(err)
	}
	server, err := Load(dir)
	os.RemoveAll(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		body, err := ParseBody(data)
		if err != nil {
			mustBeProblem(t, err)
			return
		}
		for _, parse := range []func(map[string]json.RawMessage) (*request, error){parseChat, parseCompletion} {
			q, err := parse(body)
			if err != nil {
				mustBeProblem(t, err)
				continue
			}
			a, err := server.ready(q)
			if err != nil {
				mustBeProblem(t, err)
				continue
			}
			if q.n < 1 || len(a.inputs) < 1 || len(a.inputs)*q.n > choicesMax || len(q.stops) > stopsMax {
				t.Fatalf("%d inputs, n %d, %d stops", len(a.inputs), q.n, len(q.stops))
			}
			for _, in := range a.inputs {
				if len(in.ids) == 0 || in.max < 0 || len(in.ids)+in.max > testContext {
					t.Fatalf("%d tokens and %d to draw", len(in.ids), in.max)
				}
			}
		}
	})
}

// mustBeProblem: whatever is wrong is told in the API's own form.
func mustBeProblem(t *testing.T, err error) {
	t.Helper()
	p, ok := err.(*Problem)
	if !ok {
		t.Fatalf("%T: %v", err, err)
	}
	data, err := json.Marshal(p)
	if err != nil || !utf8.ValidString(p.Message) || p.Message == "" || p.Status < 400 {
		t.Fatal(fmt.Sprintf("%s %v: %d %q", data, err, p.Status, p.Message))
	}
}
