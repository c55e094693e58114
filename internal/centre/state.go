// Package centre is the whole state machine: a Command comes in, Decide says
// which events follow or why not, Apply makes them so. It composes what the
// subjects decide and calculates nothing itself.
//
// It has no clock, no chance, no disk and no network. Time, author and the
// entry's sequence number are given to it.
//
// Begin with State.Decide and State.Apply.
package centre

import (
	"encoding/json"
	"fmt"

	"github.com/gaon-ai/gaon/internal/account"
	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/programme"
	"github.com/gaon-ai/gaon/internal/table"
	"github.com/gaon-ai/gaon/internal/unit"
)

// State is everything a centre knows now. It is a projection of its ledger:
// applying the same entries in order gives the same state, byte for byte.
type State struct {
	Seq        int64          `json:"seq"` // entries applied so far
	Identity   Identity       `json:"identity"`
	Accounts   account.Book   `json:"accounts"`
	Party      party.Book     `json:"party"`
	Policy     policy.Book    `json:"policy"`
	Fleet      fleet.Book     `json:"fleet"`
	Datasets   dataset.Book   `json:"datasets"`
	Grants     grant.Book     `json:"grants"`
	Programmes programme.Book `json:"programmes"`
	Jobs       job.Book       `json:"jobs"`
	Models     model.Book     `json:"models"`
	Factory    factory.Book   `json:"factory"`
	Recent     Recent         `json:"recent"`
}

// Identity is who the centre is.
type Identity struct {
	Name      string       `json:"name"`
	Country   string       `json:"country"`
	Site      string       `json:"site"`
	LedgerKey string       `json:"ledger_key"` // note verifier key
	ModelKey  string       `json:"model_key"`  // PEM, signs models
	Founded   unit.Instant `json:"founded"`
}

// Recent remembers the command keys of the last entries, so that a command
// sent again after a lost answer is answered again and not done again.
type Recent struct {
	Done  table.Table[string, Outcome] `json:"done"`
	Order table.Table[string, string]  `json:"order"`
}

// Outcome is what a command led to.
type Outcome struct {
	Seq  int64  `json:"seq"`
	Made string `json:"made,omitempty"` // id of what the command made
}

// recentMax bounds how many command keys are remembered.
const recentMax = 10_000

func (r *Recent) put(key string, o Outcome) {
	r.Done.Put(key, o)
	r.Order.Put(fmt.Sprintf("%016x", o.Seq), key)
	for r.Order.Len() > recentMax {
		seq, oldest, _ := r.Order.First()
		r.Order.Delete(seq)
		r.Done.Delete(oldest)
	}
}

// Copy returns a state that later changes do not touch. Only the goroutine
// that applies entries may call it; any number may read what it returns.
func (s *State) Copy() *State {
	return &State{
		Seq: s.Seq, Identity: s.Identity,
		Accounts: s.Accounts.Copy(), Party: s.Party.Copy(), Policy: s.Policy, Fleet: s.Fleet.Copy(),
		Datasets: s.Datasets.Copy(), Grants: s.Grants.Copy(), Programmes: s.Programmes.Copy(),
		Jobs: s.Jobs.Copy(), Models: s.Models.Copy(), Factory: s.Factory.Copy(),
		Recent: Recent{s.Recent.Done.Copy(), s.Recent.Order.Copy()},
	}
}

// Encode writes the state canonically: equal states give equal bytes.
func (s *State) Encode() ([]byte, error) { return json.Marshal(s) }

// Hash is the digest of Encode.
func (s *State) Hash() (unit.Digest, error) {
	data, err := s.Encode()
	if err != nil {
		return "", err
	}
	return unit.DigestOf(data), nil
}

// Decode reads what Encode wrote.
func Decode(data []byte) (*State, error) {
	s := new(State)
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	s.Policy.Compile()
	return s, nil
}

// Check returns the first broken invariant, nil when all hold: accounts
// balance, every live job has its hold and nothing else has, no device is
// held twice.
func (s *State) Check() error {
	if err := s.Accounts.Check(); err != nil {
		return err
	}
	type device struct {
		node fleet.NodeID
		id   string
	}
	holder := map[device]job.ID{}
	for id, j := range s.Jobs.Live.All() {
		if _, ok := s.Accounts.Holds.Get(job.HoldName(id)); !ok {
			return fmt.Errorf("job %s is %s without a hold", id, j.State)
		}
		if !j.Alive() {
			continue
		}
		for _, d := range j.Placement.Devices {
			at := device{j.Placement.Node, d}
			if other, taken := holder[at]; taken {
				return fmt.Errorf("device %s of %s is held by %s and %s", d, at.node, other, id)
			}
			holder[at] = id
		}
	}
	if holds, live := s.Accounts.Holds.Len(), s.Jobs.Live.Len(); holds != live {
		return fmt.Errorf("%d holds are open for %d live jobs", holds, live)
	}
	return s.checkCharges()
}

// checkCharges holds each grant's account against what its jobs were charged.
func (s *State) checkCharges() error {
	for id, g := range s.Grants.Grants.All() {
		standing, _ := s.Accounts.Accounts.Get(grant.Account(id))
		if standing.Posted != g.Credits-g.Charged {
			return fmt.Errorf("grant %s of %s credits was charged %s, its account has %s", id, g.Credits, g.Charged, standing.Posted)
		}
	}
	return nil
}
