package api

import (
	"context"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/schedule"
)

// Job is one job; Why says in words what a waiting one waits for.
type Job struct {
	ID job.ID `json:"id"`
	job.Job
	Why *schedule.Reason `json:"why,omitempty"`
}

// Run is one factory run.
type Run struct {
	ID factory.ID `json:"id"`
	factory.Run
}

// Model is one model.
type Model struct {
	ID model.ID `json:"id"`
	model.Model
}

// Endpoint is one endpoint with what was asked of it.
type Endpoint struct {
	ID model.EndpointID `json:"id"`
	model.Endpoint
	Use map[party.KeyID]model.Tokens `json:"use"`
}

// NewRun is the body of a factory run.
type NewRun struct {
	Grant      grant.ID       `json:"grant"`
	Recipe     factory.Recipe `json:"recipe"`
	Training   []dataset.ID   `json:"training"`
	Evaluation []dataset.ID   `json:"evaluation,omitempty"`
}

// NewEndpoint is the body of a wish to serve a model.
type NewEndpoint struct {
	Model model.ID `json:"model"`
	Grant grant.ID `json:"grant"`
	Name  string   `json:"name,omitempty" doc:"what callers ask for; the model's own name unless given"`
}

// NewStop is the body of a wish to end a job.
type NewStop struct {
	Reason string `json:"reason,omitempty" maxLength:"200"`
}

func (s *Server) workRoutes() {
	post(s, "submit-job", "/jobs", "Submit a job", func(_ context.Context, b job.Spec) (centre.Command, error) {
		return centre.SubmitJob{Spec: b}, nil
	})
	list(s, "list-jobs", "/jobs", "Jobs, live ones first", func(state *centre.State, may readable) (rows []Job) {
		reasons := map[job.ID]schedule.Reason{}
		for _, reason := range schedule.Decide(state.View()).Wait {
			reasons[reason.Job] = reason
		}
		for id, j := range state.Jobs.Live.All() {
			if may("Job", string(id), j.Org) {
				row := Job{ID: id, Job: j}
				if reason, waits := reasons[id]; waits {
					row.Why = &reason
				}
				rows = append(rows, row)
			}
		}
		for id, j := range state.Jobs.Finished.All() {
			if may("Job", string(id), j.Org) {
				rows = append(rows, Job{ID: id, Job: j})
			}
		}
		return rows
	})
	get(s, "show-job", "/jobs/{id}", "One job, and why it waits", func(state *centre.State, may readable, id string) (Job, error) {
		j, err := jobOf(state, may, id)
		row := Job{ID: job.ID(id), Job: j}
		if reason, waits := state.Why(job.ID(id)); err == nil && waits {
			row.Why = &reason
		}
		return row, err
	})
	act(s, "stop-job", "/jobs/{id}/stop", "Ask a job to end", func(ctx context.Context, id string, b NewStop) (centre.Command, error) {
		if b.Reason == "" {
			b.Reason = "stopped by " + author(ctx)
		}
		return centre.StopJob{Job: job.ID(id), Reason: b.Reason}, nil
	})
	s.runRoutes()
	s.endpointRoutes()
}

func (s *Server) runRoutes() {
	post(s, "start-run", "/runs", "Begin a factory run", func(_ context.Context, b NewRun) (centre.Command, error) {
		if err := b.Recipe.CheckFourEyes(); err != nil {
			return nil, err
		}
		return centre.StartRun{Grant: b.Grant, Recipe: b.Recipe, Training: b.Training, Evaluation: b.Evaluation}, nil
	})
	list(s, "list-runs", "/runs", "Factory runs", func(state *centre.State, may readable) (rows []Run) {
		for id, r := range state.Factory.Runs.All() {
			if may("Run", string(id), r.Org) {
				rows = append(rows, Run{id, r})
			}
		}
		return rows
	})
	get(s, "show-run", "/runs/{id}", "One factory run", func(state *centre.State, may readable, id string) (Run, error) {
		r, ok := state.Factory.Runs.Get(factory.ID(id))
		if !ok || !may("Run", id, r.Org) {
			return Run{}, unknown("run", id)
		}
		return Run{factory.ID(id), r}, nil
	})
	act(s, "approve-release", "/runs/{id}/approve", "Approve the release of a run that passed its gate", func(_ context.Context, id string, _ Empty) (centre.Command, error) {
		return centre.ApproveRelease{Run: factory.ID(id)}, nil
	})
}

func (s *Server) endpointRoutes() {
	list(s, "list-models", "/models", "Models", func(state *centre.State, may readable) (rows []Model) {
		for id, m := range state.Models.Models.All() {
			if may("Model", string(id), m.Org) {
				rows = append(rows, Model{id, m})
			}
		}
		return rows
	})
	get(s, "show-model", "/models/{id}", "One model", func(state *centre.State, may readable, id string) (Model, error) {
		m, ok := state.Models.Models.Get(model.ID(id))
		if !ok || !may("Model", id, m.Org) {
			return Model{}, unknown("model", id)
		}
		return Model{model.ID(id), m}, nil
	})
	list(s, "list-endpoints", "/endpoints", "Endpoints and what was asked of them", func(state *centre.State, may readable) (rows []Endpoint) {
		for id, e := range state.Models.Endpoints.All() {
			if !may("Endpoint", string(id), e.Org) {
				continue
			}
			row := Endpoint{id, e, map[party.KeyID]model.Tokens{}}
			for key := range state.Party.Keys.All() {
				if use, used := state.Models.Use.Get(string(id) + "/" + string(key)); used {
					row.Use[key] = use
				}
			}
			rows = append(rows, row)
		}
		return rows
	})
	post(s, "open-endpoint", "/endpoints", "Serve a signed model", func(_ context.Context, b NewEndpoint) (centre.Command, error) {
		return centre.OpenEndpoint{Model: b.Model, Grant: b.Grant, Name: b.Name}, nil
	})
	act(s, "close-endpoint", "/endpoints/{id}/close", "End an endpoint", func(_ context.Context, id string, _ Empty) (centre.Command, error) {
		return centre.CloseEndpoint{Endpoint: model.EndpointID(id)}, nil
	})
}
