package gateway

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/serving"
)

// FuzzPrepare: whatever body is let through goes on as one JSON object in
// which nothing has changed but that a stream tells its usage.
func FuzzPrepare(f *testing.F) {
	for _, seed := range []string{`{"model":"a","stream":true}`, `{"stream":true,"stream_options":{"include_usage":false,"x":[1]}}`, `{"stream":null,"stream_options":null}`,
		`{"stream":"yes"}`, `{"model":"a","model":"b","prompt":"\u0000"}`, `{"seed":12345678901234567890}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		body, err := serving.ParseBody(data)
		if err != nil {
			return
		}
		before := map[string]string{}
		for name, raw := range body {
			var b bytes.Buffer
			if err := json.Compact(&b, raw); err != nil {
				t.Fatal(err)
			}
			before[name] = b.String()
		}
		_, _ = modelName(body)
		x := &exchange{}
		out, err := x.prepare(body)
		if err != nil {
			if _, ok := err.(*serving.Problem); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		again, err := serving.ParseBody(out)
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		for name, raw := range again {
			if name != "stream_options" && !bytes.Equal(canonical(t, raw), canonical(t, []byte(before[name]))) {
				t.Fatalf("%s was %s and is %s", name, before[name], raw)
			}
		}
		if x.stream && !strings.Contains(string(again["stream_options"]), `"include_usage":true`) {
			t.Fatalf("a stream that does not tell usage: %s", out)
		}
	})
}

// canonical undoes the escapes that encoding/json adds to what is special in
// HTML.
func canonical(t *testing.T, raw []byte) []byte {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// FuzzRelay: whatever a service sends, the client gets events that end in
// [DONE] or a connection that is cut, and no count is negative.
func FuzzRelay(f *testing.F) {
	for _, seed := range []string{": usage 3 4\ndata: {\"choices\":[{}],\"usage\":null}\n\ndata: [DONE]\n\n", "data: {\"usage\":{\"prompt_tokens\":1}}\n\n",
		"data: \r\n\r\ndata: [DONE]", ": usage 99999999999999999999 1\ndata: x\n\n", "event: a\nid: 1\n\n", "data: {\"error\":1}\n\n"} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, asked bool) {
		rw := httptest.NewRecorder()
		x := &exchange{Gateway: &Gateway{Config: Config{Log: slog.New(slog.DiscardHandler)}}, w: rw, ctx: t.Context(), stream: true, asked: asked}
		cut := func() (cut bool) {
			defer func() {
				if r := recover(); r != nil {
					if r != http.ErrAbortHandler {
						panic(r)
					}
					cut = true
				}
			}()
			x.relay(bytes.NewReader(data))
			return false
		}()
		if done := strings.HasSuffix(rw.Body.String(), "data: [DONE]\n\n"); done == cut {
			t.Fatalf("done %v, cut %v: %q", done, cut, rw.Body)
		}
		if c := x.counted; c.Requests < 0 || c.Prompt < 0 || c.Completion < 0 {
			t.Fatalf("counted %+v", c)
		}
	})
}
