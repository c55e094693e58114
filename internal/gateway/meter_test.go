package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/serving"
	"github.com/gaon-ai/gaon/internal/unit"
)

// What the ledger has is the sum of the usages that the answers told, over
// whole answers, streams with and without usage, and several keys at once.
func TestMeteringIsExact(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.FlushEvery = 5 * time.Millisecond })
	id := w.serve(w.first, "ours", policy.Public, realService(t).Handler())
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() {
		w.gateway.Run(ctx)
		close(ran)
	}()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var mu sync.Mutex
	want := map[party.KeyID]model.Tokens{}
	var all sync.WaitGroup
	for i, c := range []company{w.first, w.other, w.first, w.other} {
		chance := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			for range 15 {
				ask := map[string]any{"model": "ours", "prompt": strings.Repeat("가온 ", chance.IntN(5)), "seed": chance.IntN(1000), "max_tokens": 1 + chance.IntN(20), "n": 1 + chance.IntN(3)}
				streams, tells := chance.IntN(2) == 0, chance.IntN(2) == 0
				// What a stream uses without telling is known by asking again.
				alone, err := w.usage(c.key, ask, false)
				if err != nil {
					t.Error(err)
					return
				}
				n := int64(1)
				if streams {
					if tells {
						ask["stream_options"] = map[string]any{"include_usage": true}
					}
					again, err := w.usage(c.key, ask, true)
					if err != nil || tells && again != alone || !tells && again != (serving.Usage{}) {
						t.Errorf("%v: streamed %+v, whole %+v, %v", ask, again, alone, err)
						return
					}
					n = 2
				}
				mu.Lock()
				sum := want[c.keyID]
				want[c.keyID] = model.Tokens{Requests: sum.Requests + n, Prompt: sum.Prompt + n*alone.Prompt, Completion: sum.Completion + n*alone.Completion}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	stop()
	<-ran
	for key, tokens := range want {
		if got := w.used(id, key); got != tokens {
			t.Errorf("key %s: metered %+v, want %+v", key, got, tokens)
		}
	}
	// Nothing begins after the end.
	response, body, _ := w.post("/v1/completions", w.first.key, question)
	w.mustProblem("after the end", response, body, 503, "model_not_ready", "stopping")
}

// usage asks and returns what the answer says of itself.
func (w *world) usage(key string, ask map[string]any, stream bool) (u serving.Usage, err error) {
	ask["stream"] = stream
	body, err := json.Marshal(ask)
	if err != nil {
		return u, err
	}
	response, text, err := w.post("/v1/completions", key, string(body))
	if err != nil || response.StatusCode != 200 {
		return u, fmt.Errorf("%d %s: %w", response.StatusCode, text, err)
	}
	if !stream {
		u, _, _ = usageOf([]byte(text))
		return u, nil
	}
	if !strings.HasSuffix(text, "data: [DONE]\n\n") || strings.Contains(text, serving.MeteringComment) {
		return u, fmt.Errorf("stream %q", text)
	}
	asked := ask["stream_options"] != nil
	for line := range strings.SplitSeq(text, "\n") {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok || data == serving.DoneEvent {
			continue
		}
		if !asked && strings.Contains(data, "usage") {
			return u, fmt.Errorf("event tells usage unasked: %s", data)
		}
		if found, choices, ok := usageOf([]byte(data)); ok && choices == 0 {
			u = found
		}
	}
	return u, nil
}

// listener counts the events it takes and breaks at the limit-th.
type listener struct {
	*httptest.ResponseRecorder
	left int
}

func (l *listener) Write(p []byte) (int, error) {
	if l.left == 0 {
		return 0, errors.New("the client has gone")
	}
	l.left--
	return l.ResponseRecorder.Write(p)
}

// ask runs a request against the gateway itself, with the writer given, and
// says whether the connection was cut.
func (w *world) ask(rw http.ResponseWriter, ctx context.Context, key, body string) (cut bool) {
	defer func() {
		if r := recover(); r != nil {
			if r != http.ErrAbortHandler {
				panic(r)
			}
			cut = true
		}
	}()
	mux := http.NewServeMux()
	w.gateway.Register(mux)
	r := httptest.NewRequest("POST", "/v1/completions", strings.NewReader(body)).WithContext(ctx)
	r.Header.Set("Authorization", "Bearer "+key)
	mux.ServeHTTP(rw, r)
	return false
}

const streamed = `{"model":"ours","prompt":"a","stream":true}`

// chunk is an event as the service writes it.
func chunk(text string) string {
	return `{"choices":[{"text":"` + text + `","index":0,"logprobs":null,"finish_reason":null}],"usage":null}`
}

func TestBrokenStreams(t *testing.T) {
	say := func(w http.ResponseWriter, comment, data string) {
		if err := serving.SendEvent(w, comment, []byte(data)); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	const total = `{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}}`
	for _, row := range []struct {
		name    string
		service func(w http.ResponseWriter)
		reads   int // events the client takes; -1 all
		cut     bool
		want    model.Tokens
		last    string // what the client got ends with
	}{
		{"a whole stream", func(w http.ResponseWriter) {
			say(w, ": usage 7 4", chunk("a"))
			say(w, ": usage 7 9", chunk("b"))
			say(w, ": usage 7 9", total)
			say(w, "", "[DONE]")
		}, -1, false, model.Tokens{Requests: 1, Prompt: 7, Completion: 9}, "data: [DONE]\n\n"},
		{"the service dies in the middle", func(w http.ResponseWriter) {
			say(w, ": usage 7 4", chunk("a"))
			panic(http.ErrAbortHandler)
		}, -1, true, model.Tokens{Requests: 1, Prompt: 7, Completion: 4}, `"code":"service_failed"}}` + "\n\n"},
		{"the service ends without [DONE]", func(w http.ResponseWriter) {
			say(w, ": usage 7 4", chunk("a"))
		}, -1, true, model.Tokens{Requests: 1, Prompt: 7, Completion: 4}, `"code":"service_failed"}}` + "\n\n"},
		{"the service sends an error", func(w http.ResponseWriter) {
			say(w, ": usage 7 4", chunk("a"))
			say(w, "", `{"error":{"message":"secret"}}`)
			say(w, "", "[DONE]")
		}, -1, true, model.Tokens{Requests: 1, Prompt: 7, Completion: 4}, `"code":"service_failed"}}` + "\n\n"},
		{"the service sends an endless line", func(w http.ResponseWriter) {
			say(w, ": usage 7 4", chunk("a"))
			say(w, "", strings.Repeat("x", eventBytesMax))
		}, -1, true, model.Tokens{Requests: 1, Prompt: 7, Completion: 4}, `"code":"service_failed"}}` + "\n\n"},
		{"the client goes after two events", func(w http.ResponseWriter) {
			for i := range 1000 {
				say(w, fmt.Sprintf(": usage 7 %d", i+1), chunk("a"))
			}
		}, 2, true, model.Tokens{Requests: 1, Prompt: 7, Completion: 2}, `"finish_reason":null}]}` + "\n\n"},
		{"the client goes before the first event", func(w http.ResponseWriter) {
			say(w, ": usage 7 1", chunk("a"))
		}, 0, true, model.Tokens{}, ""},
		{"a service that tells no usage is counted by its events", func(w http.ResponseWriter) {
			say(w, "", chunk("a"))
			say(w, "", chunk("b"))
		}, -1, true, model.Tokens{Requests: 1, Completion: 2}, "\n\n"},
		{"a comment that is none", func(w http.ResponseWriter) {
			say(w, ": usage -7 x", chunk("a"))
			say(w, "", total)
			say(w, "", "[DONE]")
		}, -1, false, model.Tokens{Requests: 1, Prompt: 7, Completion: 9}, "data: [DONE]\n\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			id := w.serve(w.first, "ours", policy.Internal, script(func(rw http.ResponseWriter, r *http.Request, body map[string]any) {
				if options, _ := body["stream_options"].(map[string]any); options["include_usage"] != true || r.Header.Get(serving.MeteringHeader) == "" {
					t.Errorf("the service is not asked to tell usage: %v", body)
				}
				serving.StartStream(rw)
				row.service(rw)
			}))
			rw := &listener{httptest.NewRecorder(), row.reads}
			if cut := w.ask(rw, t.Context(), w.first.key, streamed); cut != row.cut {
				t.Errorf("cut %v, want %v", cut, row.cut)
			}
			w.flushed()
			if got := w.used(id, w.first.keyID); got != row.want {
				t.Errorf("metered %+v, want %+v", got, row.want)
			}
			if got := rw.Body.String(); !strings.HasSuffix(got, row.last) || strings.Contains(got, "secret") || strings.Contains(got, "usage") {
				t.Errorf("the client got %q", got)
			}
			if row.cut && strings.Contains(rw.Body.String(), serving.DoneEvent) {
				t.Error("a broken stream says [DONE]")
			}
		})
	}
}

func TestBrokenAnswers(t *testing.T) {
	for _, row := range []struct {
		name    string
		service func(w http.ResponseWriter)
		status  int
		code    string
	}{
		{"half an answer", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			w.Write([]byte(`{"choices":[`))
		}, 502, "service_failed"},
		{"no JSON", func(w http.ResponseWriter) { w.Write([]byte("hello")) }, 502, "service_failed"},
		{"no usage", func(w http.ResponseWriter) { w.Write([]byte(`{"choices":[]}`)) }, 502, "service_failed"},
		{"negative usage", func(w http.ResponseWriter) {
			w.Write([]byte(`{"choices":[],"usage":{"prompt_tokens":-5,"completion_tokens":1}}`))
		}, 502, "service_failed"},
		{"an error in another form", func(w http.ResponseWriter) { http.Error(w, "secret", 500) }, 502, "service_failed"},
		{"an error in the API's form", func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
			w.Write([]byte(`{"error":{"message":"busy","type":"rate_limit_error","code":"overloaded"}}`))
		}, 429, "overloaded"},
		{"death before the answer", func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }, 503, "model_not_ready"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			id := w.serve(w.first, "ours", policy.Internal, script(func(rw http.ResponseWriter, _ *http.Request, _ map[string]any) { row.service(rw) }))
			response, body, err := w.post("/v1/completions", w.first.key, question)
			if err != nil || strings.Contains(body, "secret") {
				t.Errorf("%s %v", body, err)
			}
			w.mustProblem(row.name, response, body, row.status, row.code, "")
			if response.StatusCode >= 429 && response.StatusCode != 502 && response.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			w.flushed()
			if got := w.used(id, w.first.keyID); got != (model.Tokens{}) {
				t.Errorf("metered %+v", got)
			}
		})
	}
}

// A client that leaves stops the model within a token.
func TestLeavingStopsTheModel(t *testing.T) {
	w := newWorld(t)
	service := realService(t)
	id := w.serve(w.first, "ours", policy.Internal, service.Handler())
	before := service.Drawn()
	// Without ends, 16 answers of 4,000 tokens: seconds of work.
	body := `{"model":"ours","prompt":"가온","stream":true,"n":16,"seed":5,"logit_bias":{"0":-100,"1":-100,"2":-100,"3":-100,"4":-100}}`
	rw := &listener{httptest.NewRecorder(), 20}
	if !w.ask(rw, t.Context(), w.first.key, body) {
		t.Error("the stream ended well")
	}
	w.soon("rest in the model", func() bool {
		drawn := service.Drawn()
		time.Sleep(5 * time.Millisecond)
		return service.Drawn() == drawn
	})
	drawn := service.Drawn() - before
	if drawn > 16*contextLength/2 {
		t.Errorf("%d tokens were drawn for 20 events", drawn)
	}
	w.flushed()
	got := w.used(id, w.first.keyID)
	if got.Requests != 1 || got.Completion < 15 || got.Completion > drawn || got.Prompt < 2 {
		t.Errorf("metered %+v of %d drawn", got, drawn)
	}
}

// A stop of the centre gives answers time, then cuts them, and loses no count.
func TestStopCutsAndCounts(t *testing.T) {
	w := newWorld(t)
	entered := make(chan struct{})
	id := w.serve(w.first, "ours", policy.Internal, script(func(rw http.ResponseWriter, r *http.Request, _ map[string]any) {
		serving.StartStream(rw)
		serving.SendEvent(rw, ": usage 3 2", []byte(chunk("a")))
		close(entered)
		<-r.Context().Done() // an answer that would never end
	}))
	ctx, stop := context.WithCancel(context.Background())
	ran, ended := make(chan struct{}), make(chan error)
	go func() {
		w.gateway.Run(ctx)
		close(ran)
	}()
	go func() {
		_, body, err := w.post("/v1/completions", w.first.key, streamed)
		if strings.Contains(body, serving.DoneEvent) {
			err = fmt.Errorf("ended well: %s", body)
		} else if err != nil {
			err = nil
		} else {
			err = errors.New("the connection was not cut")
		}
		ended <- err
	}()
	<-entered
	stop()
	w.soon("the refusal of new requests", func() bool { return !w.begins() })
	w.gateway.cutNow() // what drainTimeMax brings
	<-ran
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := w.used(id, w.first.keyID); got != (model.Tokens{Requests: 1, Prompt: 3, Completion: 2}) {
		t.Errorf("metered %+v", got)
	}
}

func (w *world) begins() bool {
	w.gateway.mu.Lock()
	defer w.gateway.mu.Unlock()
	return !w.gateway.stopping
}

// Whatever becomes of a write, tokens are recorded once.
func TestMeteringOverFaults(t *testing.T) {
	for _, step := range ledger.Steps() {
		w := newWorld(t)
		id := w.serve(w.first, "ours", policy.Internal, script(func(rw http.ResponseWriter, _ *http.Request, _ map[string]any) {
			rw.Write([]byte(`{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}`))
		}))
		w.post("/v1/completions", w.first.key, question)
		w.post("/v1/completions", w.first.api, question)
		w.gateway.underway.Wait()
		fails := ledger.Fault(func(s ledger.Step) error {
			if s == step {
				return errors.New("disk")
			}
			return nil
		})
		w.fault.Store(&fails)
		w.gateway.flush(context.Background())
		w.fault.Store(nil)
		if step == ledger.StepCommitted {
			// Nobody knows what became of the write, and the writer stops. Sent
			// again under their names, batches that are in the ledger are known.
			<-w.writer.Done()
			w.reopen()
			w.gateway.Writer = w.writer
		}
		w.flushed()
		w.flushed()
		if got := w.used(id, w.first.keyID); got != (model.Tokens{Requests: 1, Prompt: 3, Completion: 2}) {
			t.Errorf("step %v: metered %+v", step, got)
		}
	}
}

func TestMeteredSpans(t *testing.T) {
	w := newWorld(t)
	m := newMeter()
	a, b := user{"E2", "K1"}, user{"E1", "K9"}
	m.add(a, model.Tokens{Requests: 1, Prompt: 2, Completion: 3}, 100)
	m.add(b, model.Tokens{Requests: 1}, 150)
	m.add(a, model.Tokens{Requests: 1, Prompt: 20, Completion: 30}, 200)
	m.take(unit.Instant(300))
	m.take(unit.Instant(400)) // nothing new
	if len(m.batches) != 2 || m.batches[0].metered.Endpoint != "E1" || m.batches[0].name == m.batches[1].name {
		t.Fatalf("%+v", m.batches)
	}
	want := model.Metered{Endpoint: "E2", Key: "K1", From: 100, Until: 300, Tokens: model.Tokens{Requests: 2, Prompt: 22, Completion: 33}}
	if got := m.batches[1].metered; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	// A batch that the core refuses stands in nobody's way.
	w.gateway.meter.add(user{"E999", "K1"}, model.Tokens{Requests: 1}, w.now())
	if left := w.gateway.flush(t.Context()); left != 0 {
		t.Errorf("%d batches left", left)
	}
	// The same batch sent twice is recorded once.
	id := w.serve(w.first, "ours", policy.Internal, http.NotFoundHandler())
	once := batch{"meter/x/1", model.Metered{Endpoint: id, Key: w.first.keyID, Tokens: model.Tokens{Requests: 1}}}
	if !w.gateway.record(t.Context(), once) || !w.gateway.record(t.Context(), once) {
		t.Error("not recorded")
	}
	if got := w.used(id, w.first.keyID); got.Requests != 1 {
		t.Errorf("metered %+v", got)
	}
	w.do(w.first.person, centre.CloseEndpoint{Endpoint: id})
}
