package centre

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"

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
	"github.com/gaon-ai/gaon/internal/unit"
)

// Event is one fact of any subject; vocabulary lists them all.
type Event any

// Entry is one ledger entry: one command's events, all or none.
type Entry struct {
	At     unit.Instant
	By     string      // person id, or "controller", or "founder"
	Key    string      // the command's key, for answering it once
	Made   string      // id of what the command made, if anything
	Policy unit.Digest // digest of the policy that allowed it
	Events []Event
}

// Founded records the centre's birth. Wire name centre.founded/1.
type Founded struct {
	Name      string `json:"name"`
	Country   string `json:"country"`
	Site      string `json:"site"`
	LedgerKey string `json:"ledger_key"`
	ModelKey  string `json:"model_key"`
}

// vocabulary is every word history is written in. Words are appended, never
// renamed or reused; a changed meaning is a new word ending in /2.
var vocabulary = []struct {
	name string
	make func() Event
}{
	{"centre.founded/1", fresh[Founded]},
	{"policy.published/1", fresh[policy.Published]},
	{"party.joined/1", fresh[party.Joined]},
	{"party.enrolled/1", fresh[party.Enrolled]},
	{"party.erased/1", fresh[party.Erased]},
	{"party.key-issued/1", fresh[party.KeyIssued]},
	{"party.key-revoked/1", fresh[party.KeyRevoked]},
	{"fleet.node-reported/1", fresh[fleet.NodeReported]},
	{"fleet.chip-rated/1", fresh[fleet.ChipRated]},
	{"dataset.registered/1", fresh[dataset.Registered]},
	{"programme.published/1", fresh[programme.Published]},
	{"programme.call-opened/1", fresh[programme.CallOpened]},
	{"programme.applied/1", fresh[programme.Applied]},
	{"programme.decided/1", fresh[programme.Decided]},
	{"grant.given/1", fresh[grant.Given]},
	{"grant.used/1", fresh[grant.Used]},
	{"account.posted/1", fresh[account.Posted]},
	{"account.held/1", fresh[account.Held]},
	{"account.settled/1", fresh[account.Settled]},
	{"job.submitted/1", fresh[job.Submitted]},
	{"job.placed/1", fresh[job.WasPlaced]},
	{"job.started/1", fresh[job.WasStarted]},
	{"job.requeued/1", fresh[job.WasRequeued]},
	{"job.stop-asked/1", fresh[job.StopAsked]},
	{"job.finished/1", fresh[job.Finished]},
	{"factory.run-started/1", fresh[factory.RunStarted]},
	{"factory.stage-submitted/1", fresh[factory.StageSubmitted]},
	{"factory.stage-ended/1", fresh[factory.StageEnded]},
	{"factory.gate-decided/1", fresh[factory.GateDecided]},
	{"factory.approved/1", fresh[factory.Approved]},
	{"factory.run-ended/1", fresh[factory.RunEnded]},
	{"model.registered/1", fresh[model.Registered]},
	{"model.signed/1", fresh[model.WasSigned]},
	{"model.endpoint-opened/1", fresh[model.EndpointOpened]},
	{"model.endpoint-ready/1", fresh[model.EndpointReady]},
	{"model.endpoint-closed/1", fresh[model.EndpointClosed]},
	{"model.metered/1", fresh[model.Metered]},
}

func fresh[E any]() Event { return new(E) }

// wireNames and makers are vocabulary's two directions.
var wireNames, makers = func() (map[reflect.Type]string, map[string]func() Event) {
	names, make := map[reflect.Type]string{}, map[string]func() Event{}
	for _, word := range vocabulary {
		names[reflect.TypeOf(word.make()).Elem()] = word.name
		make[word.name] = word.make
	}
	return names, make
}()

type wireEntry struct {
	V      int          `json:"v"`
	At     unit.Instant `json:"at"`
	By     string       `json:"by"`
	Key    string       `json:"key,omitempty"`
	Made   string       `json:"made,omitempty"`
	Policy unit.Digest  `json:"policy,omitempty"`
	Events []wireEvent  `json:"events"`
}

type wireEvent struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// entryVersion is the form of the envelope.
const entryVersion = 1

// EntryMax bounds an encoded entry: C2SP tlog-tiles bundles carry lengths of
// 16 bits.
const EntryMax = 65_535

// TooLargeError refuses a command whose entry does not fit the ledger.
type TooLargeError struct{ Size int }

// Code names the refusal for programs.
func (e *TooLargeError) Code() string { return "entry.too-large" }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the command makes a ledger entry of %d bytes, at most %d fit", e.Size, EntryMax)
}

// Encode writes the entry once and for all: these bytes are stored and hashed.
func (e Entry) Encode() ([]byte, error) {
	wire := wireEntry{entryVersion, e.At, e.By, e.Key, e.Made, e.Policy, make([]wireEvent, len(e.Events))}
	for i, event := range e.Events {
		name, ok := wireNames[reflect.TypeOf(event)]
		if !ok {
			return nil, fmt.Errorf("event %T has no wire name", event)
		}
		data, err := json.Marshal(event)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", name, err)
		}
		wire.Events[i] = wireEvent{name, data}
	}
	data, err := json.Marshal(wire)
	if err == nil && len(data) > EntryMax {
		err = &TooLargeError{len(data)}
	}
	return data, err
}

// DecodeEntry reads an entry. A word this program does not know stops it: a
// newer Gaon wrote the ledger, and guessing would corrupt the state.
func DecodeEntry(data []byte) (Entry, error) {
	var wire wireEntry
	if err := strict(data, &wire); err != nil {
		return Entry{}, fmt.Errorf("entry: %w", err)
	}
	if wire.V != entryVersion {
		return Entry{}, fmt.Errorf("entry of version %d: written by a newer gaon, use that one", wire.V)
	}
	e := Entry{At: wire.At, By: wire.By, Key: wire.Key, Made: wire.Made, Policy: wire.Policy}
	for _, event := range wire.Events {
		maker, ok := makers[event.Type]
		if !ok {
			return Entry{}, fmt.Errorf("event %q is not known here: written by a newer gaon, use that one", event.Type)
		}
		pointer := maker()
		if err := strict(event.Data, pointer); err != nil {
			return Entry{}, fmt.Errorf("event %s: %w", event.Type, err)
		}
		e.Events = append(e.Events, reflect.ValueOf(pointer).Elem().Interface())
	}
	return e, nil
}

func strict(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	// Token and not More: that one takes a closing bracket for the end.
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("bytes follow the value")
	}
	return nil
}

// WireName returns the event's name in history.
func WireName(e Event) string { return wireNames[reflect.TypeOf(e)] }

// Apply makes the entry so. It cannot fail: whatever could be refused was
// refused by Decide before the entry was written.
func (s *State) Apply(e Entry) {
	seq := s.Seq
	for _, event := range e.Events {
		s.applyEvent(event, e.At, seq)
	}
	s.Seq++
	if e.Key != "" {
		s.Recent.put(e.Key, Outcome{seq, e.Made})
	}
}

func (s *State) applyEvent(event Event, at unit.Instant, seq int64) {
	switch e := event.(type) {
	case Founded:
		s.Identity = Identity{e.Name, e.Country, e.Site, e.LedgerKey, e.ModelKey, at}
	case policy.Published:
		s.Policy.ApplyPublished(e)
	case party.Joined:
		s.Party.ApplyJoined(e)
	case party.Enrolled:
		s.Party.ApplyEnrolled(e)
	case party.Erased:
		s.Party.ApplyErased(e)
	case party.KeyIssued:
		s.Party.ApplyKeyIssued(e)
	case party.KeyRevoked:
		s.Party.ApplyKeyRevoked(e)
	case fleet.NodeReported:
		s.Fleet.ApplyNodeReported(e)
	case fleet.ChipRated:
		s.Fleet.ApplyChipRated(e)
	case dataset.Registered:
		s.Datasets.ApplyRegistered(e)
	case programme.Published:
		s.Programmes.ApplyPublished(e)
	case programme.CallOpened:
		s.Programmes.ApplyCallOpened(e)
	case programme.Applied:
		s.Programmes.ApplyApplied(e)
	case programme.Decided:
		s.Programmes.ApplyDecided(e)
	case grant.Given:
		s.Grants.ApplyGiven(e)
	case grant.Used:
		s.Grants.ApplyUsed(e)
	case account.Posted:
		s.Accounts.ApplyPosted(e)
	case account.Held:
		s.Accounts.ApplyHeld(e)
	case account.Settled:
		s.Accounts.ApplySettled(e)
	default:
		s.applyWork(event, at, seq)
	}
}

// applyWork is applyEvent for jobs, runs and models.
func (s *State) applyWork(event Event, at unit.Instant, seq int64) {
	switch e := event.(type) {
	case job.Submitted:
		s.Jobs.ApplySubmitted(e, at, seq)
	case job.WasPlaced:
		s.Jobs.ApplyPlaced(e)
	case job.WasStarted:
		s.Jobs.ApplyStarted(e)
	case job.WasRequeued:
		s.Jobs.ApplyRequeued(e)
	case job.StopAsked:
		s.Jobs.ApplyStopAsked(e)
	case job.Finished:
		s.Jobs.ApplyFinished(e, seq)
	case factory.RunStarted:
		s.Factory.ApplyRunStarted(e, at)
	case factory.StageSubmitted:
		s.Factory.ApplyStageSubmitted(e)
	case factory.StageEnded:
		s.Factory.ApplyStageEnded(e, seq)
	case factory.GateDecided:
		s.Factory.ApplyGateDecided(e)
	case factory.Approved:
		s.Factory.ApplyApproved(e, at, seq)
	case factory.RunEnded:
		s.Factory.ApplyRunEnded(e, at)
	case model.Registered:
		s.Models.ApplyRegistered(e)
	case model.WasSigned:
		s.Models.ApplySigned(e, seq)
	case model.EndpointOpened:
		s.Models.ApplyEndpointOpened(e)
	case model.EndpointReady:
		s.Models.ApplyEndpointReady(e)
	case model.EndpointClosed:
		s.Models.ApplyEndpointClosed(e)
	case model.Metered:
		s.Models.ApplyMetered(e)
	default:
		panic(fmt.Sprintf("event %T is in the vocabulary but nothing applies it", event))
	}
}
