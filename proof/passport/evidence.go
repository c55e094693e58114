package passport

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gaon-ai/gaon/internal/unit"
)

// What an entry of the ledger says, as far as a passport leans on it. The wire
// names and fields are for ever, so this package can read them without the
// centre's code; fields it does not know are let pass, because an entry is
// history and not a document of ours.
type entryFacts struct {
	Version int          `json:"v"`
	At      unit.Instant `json:"at"`
	Events  []struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	} `json:"events"`
}

const entryFormVersion = 1

// Wire names of the events that a passport leans on.
const (
	eventStarted    = "factory.run-started/1"
	eventStage      = "factory.stage-ended/1"
	eventGate       = "factory.gate-decided/1"
	eventApproved   = "factory.approved/1"
	eventRegistered = "model.registered/1"
	eventSigned     = "model.signed/1"
)

type startedFacts struct {
	ID     string      `json:"id"`
	Digest unit.Digest `json:"digest"`
}

type stageFacts struct {
	ID      string        `json:"id"`
	Stage   string        `json:"stage"`
	State   string        `json:"state"`
	Outputs []outputFacts `json:"outputs"`
}

type outputFacts struct {
	Tree unit.Digest `json:"tree"`
}

type gateFacts struct {
	ID      string `json:"id"`
	Verdict struct {
		Passed bool `json:"passed"`
		Lines  []struct {
			Condition string     `json:"condition"`
			Value     unit.Micro `json:"value"`
			Limit     unit.Micro `json:"limit"`
			Holds     bool       `json:"holds"`
		} `json:"lines"`
	} `json:"verdict"`
}

type registeredFacts struct {
	Run    string                `json:"run"`
	Tree   unit.Digest           `json:"tree"`
	Scores map[string]unit.Micro `json:"scores"`
}

type approvedFacts struct {
	ID     string `json:"id"`
	Person string `json:"person"`
}

type signedFacts struct {
	Bundle   unit.Digest `json:"bundle"`
	Passport unit.Digest `json:"passport"`
}

// record is one proved entry.
type record struct {
	field string
	of    string
	facts entryFacts
}

func readRecord(field string, e Entry) (record, error) {
	r := record{field: field, of: e.Of}
	if err := json.Unmarshal(e.Entry, &r.facts); err != nil || r.facts.Version != entryFormVersion {
		return r, &FieldError{Field: field + ".entry", Problem: "is not an entry of a centre's ledger in its form 1"}
	}
	return r, nil
}

// events returns the record's events of one kind. An event that does not
// decode is none.
func events[T any](r record, kind string) []T {
	var found []T
	for _, e := range r.facts.Events {
		var facts T
		if e.Type == kind && json.Unmarshal(e.Data, &facts) == nil {
			found = append(found, facts)
		}
	}
	return found
}

// find returns the first event of the kind in the records of what that fits.
func find[T any](records []record, of, kind string, fits func(T) bool) (T, record, bool) {
	for _, r := range records {
		if r.of != of {
			continue
		}
		for _, facts := range events[T](r, kind) {
			if fits(facts) {
				return facts, r, true
			}
		}
	}
	var none T
	return none, record{}, false
}

// recorded holds the passport against what the ledger's entries say.
func (f *finder) recorded(p Passport, records []record) {
	train, ok := stageOf(p, StageTrain)
	if !ok {
		return // the chain's check names what is missing
	}
	run := train.Run
	for i, s := range p.Stages {
		f.need(s.Run == run, fmt.Sprintf("stages[%d].run", i), "%q, but the training stage is of %q", s.Run, run)
		f.recordedStage(i, s, records)
	}
	f.recordedGate(p, train, records)
	for i, a := range p.Approvals.Given {
		field := fmt.Sprintf("approvals.given[%d]", i)
		_, r, found := find(records, EntryApproval, eventApproved, func(e approvedFacts) bool { return e.ID == run && e.Person == a.Person })
		f.need(found, field, "no entry records that %s approved the run %s", a.Person, run)
		f.need(!found || r.facts.At == a.At, field+".at", "%d, but the ledger recorded it at %d", a.At, r.facts.At)
	}
	if i := slices.IndexFunc(records, func(r record) bool { return r.of == EntryStart }); i >= 0 {
		started, _, found := find(records, EntryStart, eventStarted, func(e startedFacts) bool { return e.ID == run })
		f.need(found, records[i].field, "does not record the start of the run %s", run)
		for n, s := range p.Stages {
			f.need(!found || s.Recipe.Digest == started.Digest, fmt.Sprintf("stages[%d].recipe.digest", n), "%s, but the run was started with %s", s.Recipe.Digest, started.Digest)
		}
	}
}

func (f *finder) recordedStage(i int, s Stage, records []record) {
	field := fmt.Sprintf("stages[%d]", i)
	ended, _, found := find(records, s.Kind, eventStage, func(e stageFacts) bool {
		return e.ID == s.Run && e.Stage == s.Kind && e.State == "succeeded"
	})
	if !found {
		f.add(field, "no entry records that the stage %s of the run %s succeeded", s.Kind, s.Run)
		return
	}
	for n, m := range s.Outputs {
		f.need(slices.ContainsFunc(ended.Outputs, func(o outputFacts) bool { return o.Tree == m.Digest }),
			fmt.Sprintf("%s.outputs[%d].digest", field, n), "the ledger records no output of the stage %s with the digest %s (%s)", s.Kind, m.Digest, m.Name)
	}
}

// recordedGate: the verdict is in the entry line by line, and the model that
// was registered with it is the training's, with these very scores.
func (f *finder) recordedGate(p Passport, train Stage, records []record) {
	gate, r, found := find(records, EntryGate, eventGate, func(e gateFacts) bool { return e.ID == train.Run })
	if !found {
		f.add("gate", "no entry records the gate of the run %s", train.Run)
		return
	}
	f.need(gate.Verdict.Passed == p.Gate.Passed, "gate.passed", "%v, but the ledger says %v", p.Gate.Passed, gate.Verdict.Passed)
	f.need(r.facts.At == p.Gate.Decided, "gate.decided", "%d, but the ledger recorded it at %d", p.Gate.Decided, r.facts.At)
	f.need(len(gate.Verdict.Lines) == len(p.Gate.Conditions), "gate.conditions", "%d conditions, but the ledger has %d", len(p.Gate.Conditions), len(gate.Verdict.Lines))
	for i, c := range p.Gate.Conditions {
		if i >= len(gate.Verdict.Lines) {
			break
		}
		line := gate.Verdict.Lines[i]
		f.need(c == Condition{line.Condition, Decimal(line.Value), Decimal(line.Limit), line.Holds}, fmt.Sprintf("gate.conditions[%d]", i), "is not what the ledger recorded: %s", line.Condition)
	}
	trees := ofRole(train.Outputs, RoleModel)
	registered, _, found := find(records, EntryGate, eventRegistered, func(e registeredFacts) bool {
		return e.Run == train.Run && covers(trees, e.Tree)
	})
	if !found {
		f.add("gate", "no entry of the gate registers the model that the run %s trained", train.Run)
		return
	}
	for i, result := range p.Evaluation.Results {
		score, measured := registered.Scores[result.Name]
		f.need(measured && Decimal(score) == result.Value, fmt.Sprintf("evaluation.results[%d].value", i), "%s is %s, which the ledger does not record", result.Name, result.Value)
	}
}

// recordedRelease: the entry signs this passport under this signature.
func (f *finder) recordedRelease(e Entry, passport, bundle unit.Digest) {
	r, err := readRecord(ProofFile, e)
	if err != nil {
		f.found = append(f.found, err)
		return
	}
	signed := events[signedFacts](r, eventSigned)
	f.need(slices.ContainsFunc(signed, func(s signedFacts) bool { return s.Passport == passport }), ProofFile, "the entry does not record the release of this passport (%s)", passport)
	f.need(slices.ContainsFunc(signed, func(s signedFacts) bool { return s.Bundle == bundle }), ProofFile, "the entry does not record this signature (%s)", bundle)
}
