package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/job"
)

// Progress is how far a job says it has come.
type Progress = engine.Progress

// followEvery is how often a followed log is looked at again.
const followEvery = 200 * time.Millisecond

// followRoutes show what a job says while it works.
func (s *Server) followRoutes() {
	type progressOutput struct{ Body Progress }
	type one struct {
		ID string `path:"id"`
	}
	huma.Register(s.api, huma.Operation{OperationID: "show-job-progress", Method: http.MethodGet, Path: Prefix + "/jobs/{id}/progress",
		Summary: "How far a job has come"},
		func(ctx context.Context, in *one) (*progressOutput, error) {
			e, attempt, err := s.attempt(ctx, in.ID)
			if err != nil || e == nil {
				return &progressOutput{}, s.orProblem(err)
			}
			p, err := e.Progress(ctx, attempt)
			return &progressOutput{p}, s.orProblem(ignoreUnknown(err))
		})
	type from struct {
		ID   string `path:"id"`
		From int    `query:"from" minimum:"0" doc:"leave out this many points"`
	}
	type metricsOutput struct{ Body []engine.Metric }
	huma.Register(s.api, huma.Operation{OperationID: "list-job-metrics", Method: http.MethodGet, Path: Prefix + "/jobs/{id}/metrics",
		Summary: "What a job measures while it works, such as the loss"},
		func(ctx context.Context, in *from) (*metricsOutput, error) {
			e, attempt, err := s.attempt(ctx, in.ID)
			if err != nil || e == nil {
				return &metricsOutput{[]engine.Metric{}}, s.orProblem(err)
			}
			points, err := e.Metrics(ctx, attempt, in.From)
			if points == nil {
				points = []engine.Metric{}
			}
			return &metricsOutput{points}, s.orProblem(ignoreUnknown(err))
		})
	type logs struct {
		ID     string `path:"id"`
		Stream string `query:"stream" enum:"stdout,stderr" default:"stdout"`
		Follow bool   `query:"follow" doc:"go on until the job ends"`
	}
	huma.Register(s.api, huma.Operation{OperationID: "read-job-logs", Method: http.MethodGet, Path: Prefix + "/jobs/{id}/logs",
		Summary: "What a job printed"},
		func(ctx context.Context, in *logs) (*huma.StreamResponse, error) {
			if _, _, err := s.attempt(ctx, in.ID); err != nil {
				return nil, s.problem(err)
			}
			return &huma.StreamResponse{Body: func(hc huma.Context) {
				hc.SetHeader("Content-Type", "text/plain; charset=utf-8")
				hc.SetHeader("X-Content-Type-Options", "nosniff")
				if err := s.copyLogs(hc.Context(), hc.BodyWriter(), in.ID, in.Stream, in.Follow); err != nil && hc.Context().Err() == nil {
					s.Log.Error("log broken off", "job", in.ID, "err", err)
					panic(http.ErrAbortHandler)
				}
			}}, nil
		})
}

// attempt finds the engine and the attempt behind a job; no engine while the
// job has not been placed.
func (s *Server) attempt(ctx context.Context, id string) (engine.Engine, engine.Attempt, error) {
	state := s.Writer.State()
	j, err := jobOf(state, s.readable(ctx, state), id)
	if err != nil || j.Attempt == 0 {
		return nil, engine.Attempt{}, err
	}
	name, _, _ := strings.Cut(string(j.Placement.Node), "/")
	return s.Engines[name], engine.Attempt{Job: job.ID(id), Number: j.Attempt}, nil
}

// copyLogs writes the stream of the job's present attempt, and goes on with
// what comes after if it is to follow.
func (s *Server) copyLogs(ctx context.Context, w io.Writer, id, stream string, follow bool) error {
	offset, shown := int64(0), engine.Attempt{}
	for {
		j, _ := s.Writer.State().Jobs.Get(job.ID(id))
		e, attempt, err := s.attempt(ctx, id)
		if err != nil {
			return err
		}
		if attempt != shown { // another attempt's log has its own beginning
			offset, shown = 0, attempt
		}
		if e != nil {
			part, err := e.Logs(ctx, attempt, stream, offset)
			if ignoreUnknown(err) != nil {
				return err
			}
			if err == nil {
				n, err := io.Copy(w, part)
				part.Close()
				offset += n
				if err != nil {
					return err
				}
			}
		}
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		if !follow || j.Done() {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

// ignoreUnknown takes an attempt that its engine has not been told of yet, or
// has forgotten, for one that says nothing.
func ignoreUnknown(err error) error {
	var unknown *engine.UnknownError
	if errors.As(err, &unknown) {
		return nil
	}
	return err
}

func (s *Server) orProblem(err error) error {
	if err == nil {
		return nil
	}
	return s.problem(err)
}
