package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Details is what a centre knows of a person outside its ledger.
type Details struct {
	Name  string `json:"name" minLength:"1" maxLength:"120"`
	Email string `json:"email,omitempty" maxLength:"200"`
	Phone string `json:"phone,omitempty" maxLength:"40"`
}

// Organisation is one row of the organisations.
type Organisation struct {
	ID party.OrgID `json:"id"`
	party.Organisation
}

// Person is one row of the people. Details are there only for who may read them.
type Person struct {
	ID      party.PersonID `json:"id"`
	Org     party.OrgID    `json:"org,omitempty"`
	Roles   []string       `json:"roles"`
	Erased  bool           `json:"erased,omitempty"`
	Details *Details       `json:"details,omitempty"`
}

// Key is one row of the keys; the secret is known only to who was given it.
type Key struct {
	ID      party.KeyID    `json:"id"`
	Person  party.PersonID `json:"person"`
	Use     string         `json:"use"`
	Until   unit.Instant   `json:"until,omitempty"`
	Revoked bool           `json:"revoked,omitempty"`
}

// Node is one row of the fleet.
type Node struct {
	ID fleet.NodeID `json:"id"`
	fleet.Node
	Held map[string]string `json:"held" doc:"device to the job that holds it"`
}

// NewOrganisation is the body of an admission.
type NewOrganisation struct {
	Name    string `json:"name"`
	Country string `json:"country"`
	Kind    string `json:"kind"`
}

// NewPerson is the body of an enrolment. Details are sealed before anything
// is written.
type NewPerson struct {
	Org     party.OrgID  `json:"org,omitempty"`
	Roles   []party.Role `json:"roles"`
	Details Details      `json:"details"`
}

// NewKey is the body of a new key. The caller makes the secret and sends only
// its digest, so the centre never sees it.
type NewKey struct {
	Person party.PersonID `json:"person"`
	Use    string         `json:"use"`
	Secret unit.Digest    `json:"secret" doc:"sha256 digest of the secret"`
	Until  unit.Instant   `json:"until,omitempty"`
}

// PolicyText is the policy in force, in Cedar.
type PolicyText struct {
	Text   string      `json:"text"`
	Digest unit.Digest `json:"digest,omitempty"`
}

// NewRate is the body of a chip's rate.
type NewRate struct {
	Chip fleet.Chip `json:"chip"`
	Rate unit.Rate  `json:"rate" doc:"millionths of the reference chip"`
	Why  string     `json:"why"`
}

func (s *Server) partyRoutes() {
	post(s, "add-organisation", "/orgs", "Admit an organisation", func(_ context.Context, b NewOrganisation) (centre.Command, error) {
		return centre.AddOrganisation{Organisation: party.Organisation{Name: b.Name, Country: b.Country, Kind: b.Kind}}, nil
	})
	list(s, "list-organisations", "/orgs", "Organisations", func(state *centre.State, may readable) (rows []Organisation) {
		for id, org := range state.Party.Orgs.All() {
			if may("Organisation", string(id), id) {
				rows = append(rows, Organisation{id, org})
			}
		}
		return rows
	})
	s.personRoutes()
	post(s, "issue-key", "/keys", "Make a key", func(_ context.Context, b NewKey) (centre.Command, error) {
		return centre.IssueKey{Person: b.Person, Use: b.Use, Secret: b.Secret, Until: b.Until}, nil
	})
	act(s, "revoke-key", "/keys/{id}/revoke", "End a key", func(_ context.Context, id string, _ Empty) (centre.Command, error) {
		return centre.RevokeKey{Key: party.KeyID(id)}, nil
	})
	list(s, "list-keys", "/keys", "Keys", func(state *centre.State, may readable) (rows []Key) {
		for id, key := range state.Party.Keys.All() {
			person, _ := state.Party.People.Get(key.Person)
			if may("Key", string(id), person.Org) {
				rows = append(rows, Key{id, key.Person, key.Use, key.Until, key.Revoked})
			}
		}
		return rows
	})
	post(s, "publish-policy", "/policy", "Put a policy in force", func(_ context.Context, b PolicyText) (centre.Command, error) {
		return centre.PublishPolicy{Text: b.Text}, nil
	})
	list(s, "list-nodes", "/nodes", "Nodes and who holds their devices", func(state *centre.State, may readable) (rows []Node) {
		for id, node := range state.Fleet.Nodes.All() {
			row := Node{id, node, map[string]string{}}
			for j, live := range state.Jobs.Live.All() {
				if live.Alive() && live.Placement.Node == id {
					for _, device := range live.Placement.Devices {
						row.Held[device] = string(j)
					}
				}
			}
			rows = append(rows, row)
		}
		return rows
	})
	post(s, "rate-chip", "/chips", "Say what a chip is worth", func(_ context.Context, b NewRate) (centre.Command, error) {
		return centre.RateChip{Chip: b.Chip, Rate: b.Rate, Why: b.Why}, nil
	})
	type policyOutput struct{ Body PolicyText }
	huma.Register(s.api, huma.Operation{OperationID: "show-policy", Method: http.MethodGet, Path: Prefix + "/policy", Summary: "The policy in force"},
		func(context.Context, *struct{}) (*policyOutput, error) {
			p := s.Writer.State().Policy
			return &policyOutput{PolicyText{p.Text, p.Digest}}, nil
		})
}

func (s *Server) personRoutes() {
	type input struct {
		Keyed
		Body NewPerson
	}
	huma.Register(s.api, huma.Operation{OperationID: "add-person", Method: http.MethodPost, Path: Prefix + "/people", Summary: "Admit a person"},
		func(ctx context.Context, in *input) (*madeOutput, error) {
			details, err := json.Marshal(in.Body.Details)
			if err != nil {
				return nil, s.problem(err)
			}
			bound, record, err := s.Seal.Close(details)
			if err != nil {
				return nil, s.problem(err)
			}
			return s.do(ctx, in.Key, centre.AddPerson{Org: in.Body.Org, Details: bound, Roles: in.Body.Roles}, record)
		})
	type erase struct {
		ID string `path:"id"`
	}
	huma.Register(s.api, huma.Operation{OperationID: "erase-person", Method: http.MethodPost, Path: Prefix + "/people/{id}/erase",
		Summary: "Destroy the key of a person's details, for ever"},
		func(ctx context.Context, in *erase) (*madeOutput, error) {
			made, err := s.do(ctx, "", centre.ErasePerson{Person: party.PersonID(in.ID)})
			if err != nil {
				return nil, err
			}
			// The erasure is on record; if we stop before the key is gone, the
			// controller destroys it when the centre starts again.
			person, _ := s.Writer.State().Party.People.Get(party.PersonID(in.ID))
			if err := s.Seal.Erase(ctx, person.Details); err != nil {
				return nil, s.problem(err)
			}
			return made, nil
		})
	type people struct{ Body []Person }
	huma.Register(s.api, huma.Operation{OperationID: "list-people", Method: http.MethodGet, Path: Prefix + "/people", Summary: "People"},
		func(ctx context.Context, _ *struct{}) (*people, error) {
			state := s.Writer.State()
			may := s.readable(ctx, state)
			out := &people{[]Person{}}
			for id, person := range state.Party.People.All() {
				if !may("Person", string(id), person.Org) {
					continue
				}
				row := Person{ID: id, Org: person.Org, Roles: person.RolesAt(s.Now()), Erased: person.Erased}
				if raw, err := s.Seal.Open(ctx, person.Details); err == nil && !person.Erased {
					row.Details = new(Details)
					if json.Unmarshal(raw, row.Details) != nil {
						row.Details = nil
					}
				}
				out.Body = append(out.Body, row)
			}
			return out, nil
		})
}

func writeJSON(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }
