package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gaon-ai/gaon/internal/controller"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/serving"
)

// Limits of what a service may answer.
const (
	answerBytesMax  = 32 << 20 // an answer that comes whole
	eventBytesMax   = 1 << 20  // one event of a stream
	problemBytesMax = 64 << 10
	detailsTimeout  = 2 * time.Second
	detailsRetry    = time.Minute
)

// backend is the connection to one attempt at serving an endpoint.
type backend struct {
	attempt engine.Attempt
	node    fleet.NodeID
	client  *http.Client

	mu    sync.Mutex
	known *serving.Details // guarded by mu
	asked time.Time        // guarded by mu: last time details were asked for in vain
}

// backend returns the connection to the target's present attempt; nil when no
// engine here runs it.
func (g *Gateway) backend(t target) *backend {
	g.mu.Lock()
	defer g.mu.Unlock()
	attempt := engine.Attempt{Job: t.endpoint.Job, Number: t.job.Attempt}
	b := g.backends[t.id]
	if b != nil && b.attempt == attempt && b.node == t.job.Placement.Node {
		return b
	}
	client := controller.ServiceClient(g.Engines, t.endpoint.Job, t.job)
	if client == nil {
		return nil
	}
	if b != nil {
		b.client.CloseIdleConnections()
	}
	b = &backend{attempt: attempt, node: t.job.Placement.Node, client: client}
	g.backends[t.id] = b
	return b
}

// details asks the service, once, what it says of itself; nil while it does
// not answer.
func (b *backend) details(ctx context.Context) *serving.Details {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known != nil || time.Since(b.asked) < detailsRetry {
		return b.known
	}
	b.asked = time.Now()
	ctx, stop := context.WithTimeout(ctx, detailsTimeout)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, serviceURL+"/v1/models", nil)
	if err != nil {
		return nil
	}
	response, err := b.client.Do(r)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	var list serving.Models
	if json.NewDecoder(io.LimitReader(response.Body, problemBytesMax)).Decode(&list) == nil && len(list.Data) > 0 {
		b.known = list.Data[0].Details
	}
	return b.known
}

// serviceURL has a host only because a URL must: the connection is the
// engine's.
const serviceURL = "http://service"

// fail answers with a problem; anything else is the world's fault.
func fail(w http.ResponseWriter, err error) {
	var p *serving.Problem
	if !errors.As(err, &p) {
		p = &serving.Problem{Status: http.StatusInternalServerError, Type: serving.ServerError, Kind: "internal_error", Message: "the centre could not do this"}
	}
	p.Write(w)
}

// exchange is one request on its way to a service and back.
type exchange struct {
	*Gateway
	w       http.ResponseWriter
	ctx     context.Context // ends when the client goes, or the centre stops
	caller  caller
	target  target
	stream  bool
	asked   bool // the client asked for the usage of a stream
	counted model.Tokens
}

// ask answers one request. An empty path is decided by the body.
func (g *Gateway) ask(w http.ResponseWriter, r *http.Request, c caller, path string) {
	if err := g.limits.begin(c.key, g.Now(), w.Header()); err != nil {
		fail(w, err)
		return
	}
	defer g.limits.end(c.key)
	body, err := serving.ReadBody(w, r)
	if err != nil {
		fail(w, err)
		return
	}
	if path == "" {
		path = "/v1/chat/completions"
		if _, ok := body["prompt"]; ok {
			path = "/v1/completions"
		}
	}
	name, err := modelName(body)
	if err != nil {
		fail(w, err)
		return
	}
	t, err := g.find(c, name)
	if err != nil {
		fail(w, err)
		return
	}
	if !g.begin() {
		opening(name, "is not answering, the centre is stopping").Write(w)
		return
	}
	defer g.underway.Done()
	ctx, stop := context.WithTimeout(r.Context(), answerTimeMax)
	defer stop()
	defer context.AfterFunc(g.cut, stop)()
	x := &exchange{Gateway: g, w: w, ctx: ctx, caller: c, target: t}
	// Whatever becomes of the answer, what has been sent of it is counted; the
	// answer may end in a panic that cuts the connection.
	defer x.count()
	x.run(name, path, body)
}

// modelName reads the model that a body asks for.
func modelName(body map[string]json.RawMessage) (string, error) {
	var name string
	if err := json.Unmarshal(body["model"], &name); err != nil || name == "" {
		return "", &serving.Problem{Status: http.StatusBadRequest, Type: serving.InvalidRequest, Param: "model", Kind: serving.CodeInvalid,
			Message: "you must provide a model parameter: its name, as listed by GET /v1/models"}
	}
	return name, nil
}

func (x *exchange) count() {
	if x.counted.Requests > 0 {
		x.meter.add(user{x.target.id, x.caller.key}, x.counted, x.Now())
	}
}

func (x *exchange) run(name, path string, body map[string]json.RawMessage) {
	data, err := x.prepare(body)
	if err != nil {
		fail(x.w, err)
		return
	}
	b := x.backend(x.target)
	if b == nil {
		opening(name, "runs on an engine that this centre does not have").Write(x.w)
		return
	}
	r, err := http.NewRequestWithContext(x.ctx, http.MethodPost, serviceURL+path, bytes.NewReader(data))
	if err != nil {
		fail(x.w, err)
		return
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(serving.MeteringHeader, "1")
	response, err := b.client.Do(r)
	if err != nil {
		if x.ctx.Err() == nil {
			x.Log.Warn("service does not answer", "endpoint", x.target.id, "attempt", b.attempt, "err", err)
		}
		x.unanswered(name)
		return
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode != http.StatusOK:
		x.refused(response)
	case x.stream:
		x.relay(response.Body)
	default:
		x.whole(name, response.Body)
	}
}

// unanswered tells the client that no answer came.
func (x *exchange) unanswered(name string) {
	opening(name, "did not answer").Write(x.w)
}

// prepare returns the body for the service: as it came, but that a stream also
// tells its usage.
func (x *exchange) prepare(body map[string]json.RawMessage) ([]byte, error) {
	if raw := body["stream"]; len(raw) > 0 {
		if err := json.Unmarshal(raw, &x.stream); err != nil {
			return nil, &serving.Problem{Status: http.StatusBadRequest, Type: serving.InvalidRequest, Param: "stream", Kind: serving.CodeInvalid,
				Message: "stream must be true or false"}
		}
	}
	if x.stream {
		var options map[string]json.RawMessage
		if raw := body["stream_options"]; len(raw) > 0 {
			if err := json.Unmarshal(raw, &options); err != nil {
				return nil, &serving.Problem{Status: http.StatusBadRequest, Type: serving.InvalidRequest, Param: "stream_options", Kind: serving.CodeInvalid,
					Message: "stream_options must be an object"}
			}
		}
		if raw := options["include_usage"]; len(raw) > 0 && json.Unmarshal(raw, &x.asked) != nil {
			return nil, &serving.Problem{Status: http.StatusBadRequest, Type: serving.InvalidRequest, Param: "stream_options.include_usage", Kind: serving.CodeInvalid,
				Message: "stream_options.include_usage must be true or false"}
		}
		if options == nil {
			options = map[string]json.RawMessage{}
		}
		options["include_usage"] = json.RawMessage("true")
		encoded, err := json.Marshal(options)
		if err != nil {
			return nil, err
		}
		body["stream_options"] = encoded
	}
	return json.Marshal(body)
}

// refused passes a service's refusal on.
func (x *exchange) refused(response *http.Response) {
	data, err := io.ReadAll(io.LimitReader(response.Body, problemBytesMax))
	var shape struct {
		Error *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err != nil || json.Unmarshal(data, &shape) != nil || shape.Error == nil || response.StatusCode < 400 {
		x.Log.Warn("service answers what is no answer", "endpoint", x.target.id, "status", response.StatusCode, "err", err)
		broken().Write(x.w)
		return
	}
	if wait := response.Header.Get("Retry-After"); wait != "" {
		x.w.Header().Set("Retry-After", wait)
	}
	x.w.Header().Set("Content-Type", "application/json")
	x.w.WriteHeader(response.StatusCode)
	_, _ = x.w.Write(data) // who asked may be gone
}

// broken says that the service failed in the middle of its answer.
func broken() *serving.Problem {
	return &serving.Problem{Status: http.StatusBadGateway, Type: serving.ServerError, Kind: "service_failed",
		Message: "the model's service failed before its answer was complete: ask again"}
}

// usageOf reads the usage of an answer or of an event; false if it has none.
func usageOf(data []byte) (u serving.Usage, choices int, ok bool) {
	var shape struct {
		Choices []json.RawMessage `json:"choices"`
		Usage   *serving.Usage    `json:"usage"`
	}
	if json.Unmarshal(data, &shape) != nil {
		return serving.Usage{}, 0, false
	}
	if shape.Usage == nil || shape.Usage.Prompt < 0 || shape.Usage.Completion < 0 {
		return serving.Usage{}, len(shape.Choices), false
	}
	return *shape.Usage, len(shape.Choices), true
}

func (x *exchange) used(u serving.Usage) {
	x.counted = model.Tokens{Requests: 1, Prompt: u.Prompt, Completion: u.Completion}
}

// whole passes an answer on that comes in one piece. It is read to its end
// first: half an answer is none.
func (x *exchange) whole(name string, from io.Reader) {
	data, err := io.ReadAll(io.LimitReader(from, answerBytesMax+1))
	usage, _, ok := usageOf(data)
	if err != nil || len(data) > answerBytesMax || !ok {
		if x.ctx.Err() == nil {
			x.Log.Warn("service failed in its answer", "endpoint", x.target.id, "bytes", len(data), "err", err)
		}
		broken().Write(x.w)
		return
	}
	x.w.Header().Set("Content-Type", "application/json")
	x.w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	x.w.WriteHeader(http.StatusOK)
	if _, err := x.w.Write(data); err == nil {
		x.used(usage)
	}
}

// relay passes a stream on, event by event, until [DONE]. What ends before it
// is broken off for the client too.
func (x *exchange) relay(from io.Reader) {
	serving.StartStream(x.w)
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 4<<10), eventBytesMax)
	var running *serving.Usage // by the comment before the event
	for lines.Scan() {
		line := lines.Text()
		if text, ok := strings.CutPrefix(line, serving.MeteringComment); ok {
			running = parseUsage(text)
			continue
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue // what ends an event, or means nothing here
		}
		done, err := x.event([]byte(data), running)
		if err != nil {
			break // the client went away
		}
		if done {
			return
		}
		running = nil
	}
	if x.ctx.Err() == nil {
		x.Log.Warn("service broke off its answer", "endpoint", x.target.id, "err", lines.Err())
	}
	serving.BreakStream(x.w, x.ctx, broken())
}

// parseUsage reads "PROMPT COMPLETION".
func parseUsage(text string) *serving.Usage {
	var u serving.Usage
	if n, err := fmt.Sscanf(text, "%d %d", &u.Prompt, &u.Completion); n != 2 || err != nil || u.Prompt < 0 || u.Completion < 0 {
		return nil
	}
	return &u
}

var errService = errors.New("the service sent an error")

// event passes one event on and counts what it carries: by the comment before
// it, or by its own usage; of a service that tells neither, a token for each
// choice in it.
func (x *exchange) event(data []byte, running *serving.Usage) (done bool, err error) {
	if string(data) == serving.DoneEvent {
		return true, serving.SendEvent(x.w, "", data)
	}
	if bytes.HasPrefix(data, []byte(`{"error"`)) {
		return false, errService
	}
	usage, choices, told := usageOf(data)
	if !x.asked {
		if told && choices == 0 {
			x.used(usage) // the event that the client did not ask for
			return false, nil
		}
		data = withoutNullUsage(data)
	}
	if err := serving.SendEvent(x.w, "", data); err != nil {
		return false, err
	}
	switch {
	case running != nil:
		x.used(*running)
	case told:
		x.used(usage)
	default:
		x.counted.Requests = 1
		x.counted.Completion += int64(choices)
	}
	return false, nil
}

// withoutNullUsage removes the "usage":null that stands last in an event of
// who asks for usage, so that who does not sees no trace of it.
func withoutNullUsage(data []byte) []byte {
	if rest, ok := bytes.CutSuffix(data, []byte(`,"usage":null}`)); ok {
		return append(rest[:len(rest):len(rest)], '}')
	}
	return data
}
