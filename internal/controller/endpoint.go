package controller

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/writer"
)

// HealthPath is where a service says that it is ready to answer.
const HealthPath = "/health"

// probeTimeout bounds one question to a service that is still loading.
const probeTimeout = 2 * time.Second

// Endpoints records which endpoints have begun to answer, until the context
// ends. One whose job ends is closed by the job's end itself.
func Endpoints(ctx context.Context, w *writer.Writer, engines map[string]engine.Engine, log *slog.Logger) {
	follow(ctx, w, 200*time.Millisecond, func(ctx context.Context, state *centre.State) {
		for id, e := range state.Models.Endpoints.All() {
			if e.State != model.Opening {
				continue
			}
			if j, ok := state.Jobs.Live.Get(e.Job); ok && j.State == job.Running && answers(ctx, engines, e.Job, j) {
				order(ctx, w, log, "ready/"+string(id), centre.ReportEndpoint{Endpoint: id, Ready: true})
			}
		}
	})
}

func answers(ctx context.Context, engines map[string]engine.Engine, id job.ID, j job.Job) bool {
	client := ServiceClient(engines, id, j)
	if client == nil {
		return false
	}
	defer client.CloseIdleConnections()
	ctx, stop := context.WithTimeout(ctx, probeTimeout)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://service"+HealthPath, nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false // still loading, or ending: the engine tells
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// ServiceClient speaks HTTP to a job's service over its engine; nil when no
// engine here runs it.
func ServiceClient(engines map[string]engine.Engine, id job.ID, j job.Job) *http.Client {
	name, _, _ := strings.Cut(string(j.Placement.Node), "/")
	e, ok := engines[name]
	if !ok {
		return nil
	}
	attempt := engine.Attempt{Job: id, Number: j.Attempt}
	return &http.Client{Transport: &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return e.Dial(ctx, attempt) },
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true,
	}}
}
