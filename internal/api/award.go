package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gaon-ai/gaon/internal/account"
	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/programme"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Programme is one row of the programmes.
type Programme struct {
	ID programme.ID `json:"id"`
	programme.Programme
}

// Call is one row of the calls.
type Call struct {
	ID programme.CallID `json:"id"`
	programme.Call
}

// Application is one row of the applications.
type Application struct {
	ID programme.ApplicationID `json:"id"`
	programme.Application
}

// Grant is one row of the grants, with what is left of it.
type Grant struct {
	ID grant.ID `json:"id"`
	grant.Grant
	Held      unit.Credits `json:"held"`
	Available unit.Credits `json:"available"`
}

// Dataset is one row of the datasets.
type Dataset struct {
	ID dataset.ID `json:"id"`
	dataset.Dataset
}

// NewCall is the body of a call.
type NewCall struct {
	Programme programme.ID `json:"programme"`
	Name      string       `json:"name"`
	Budget    unit.Credits `json:"budget" doc:"micro-credits"`
	Opens     unit.Instant `json:"opens,omitempty"`
	Closes    unit.Instant `json:"closes"`
}

// NewApplication is the body of an application.
type NewApplication struct {
	Call    programme.CallID `json:"call"`
	Org     party.OrgID      `json:"org"`
	Purpose string           `json:"purpose"`
	Credits unit.Credits     `json:"credits" doc:"micro-credits"`
}

// NewDecision is the body of a person's decision on an application.
type NewDecision struct {
	Award  bool   `json:"award"`
	Reason string `json:"reason"`
}

// Centre is who the centre is and how it stands.
type Centre struct {
	centre.Identity
	Version string       `json:"version"`
	Entries int64        `json:"entries"`
	Person  string       `json:"person" doc:"who the caller's key speaks for"`
	Issued  unit.Credits `json:"issued"`
	Revenue unit.Credits `json:"revenue"`
}

func (s *Server) awardRoutes() {
	post(s, "publish-programme", "/programmes", "Publish a programme and its rule", func(_ context.Context, b programme.Programme) (centre.Command, error) {
		return centre.PublishProgramme{Programme: b}, nil
	})
	list(s, "list-programmes", "/programmes", "Programmes", func(state *centre.State, _ readable) (rows []Programme) {
		for id, p := range state.Programmes.Programmes.All() {
			rows = append(rows, Programme{id, p})
		}
		return rows
	})
	post(s, "open-call", "/calls", "Open a call", func(_ context.Context, b NewCall) (centre.Command, error) {
		return centre.OpenCall{Programme: b.Programme, Name: b.Name, Budget: b.Budget, Opens: b.Opens, Closes: b.Closes}, nil
	})
	list(s, "list-calls", "/calls", "Calls", func(state *centre.State, _ readable) (rows []Call) {
		for id, c := range state.Programmes.Calls.All() {
			rows = append(rows, Call{id, c})
		}
		return rows
	})
	post(s, "apply", "/applications", "Ask for credits", func(_ context.Context, b NewApplication) (centre.Command, error) {
		return centre.Apply{Call: b.Call, Org: b.Org, Purpose: b.Purpose, Credits: b.Credits}, nil
	})
	list(s, "list-applications", "/applications", "Applications", func(state *centre.State, may readable) (rows []Application) {
		for id, a := range state.Programmes.Applications.All() {
			if may("Application", string(id), a.Org) {
				rows = append(rows, Application{id, a})
			}
		}
		return rows
	})
	act(s, "decide-application", "/applications/{id}/decision", "Award or decline", func(_ context.Context, id string, b NewDecision) (centre.Command, error) {
		return centre.DecideApplication{Application: programme.ApplicationID(id), Award: b.Award, Reason: b.Reason}, nil
	})
	list(s, "list-grants", "/grants", "Grants and what is left of them", func(state *centre.State, may readable) (rows []Grant) {
		for id, g := range state.Grants.Grants.All() {
			if may("Grant", string(id), g.Org) {
				standing, _ := state.Accounts.Accounts.Get(grant.Account(id))
				rows = append(rows, Grant{id, g, standing.Held, standing.Available()})
			}
		}
		return rows
	})
	post(s, "register-dataset", "/datasets", "Record a dataset whose files are in the store", func(ctx context.Context, b dataset.Dataset) (centre.Command, error) {
		return s.checkedDataset(ctx, b)
	})
	list(s, "list-datasets", "/datasets", "Datasets", func(state *centre.State, may readable) (rows []Dataset) {
		for id, d := range state.Datasets.Datasets.All() {
			if may("Dataset", string(id), d.Org) {
				rows = append(rows, Dataset{id, d})
			}
		}
		return rows
	})
	type output struct{ Body Centre }
	huma.Register(s.api, huma.Operation{OperationID: "show-centre", Method: http.MethodGet, Path: Prefix + "/centre", Summary: "The centre"},
		func(ctx context.Context, _ *struct{}) (*output, error) {
			state := s.Writer.State()
			issue, _ := state.Accounts.Accounts.Get(account.Issue)
			revenue, _ := state.Accounts.Accounts.Get(account.Revenue)
			return &output{Centre{state.Identity, s.Version, state.Seq, author(ctx), -issue.Posted, revenue.Posted}}, nil
		})
}
