package centre

import (
	"fmt"
	"strings"

	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/programme"
	"github.com/gaon-ai/gaon/internal/schedule"
	"github.com/gaon-ai/gaon/internal/unit"
)

// defaultAuthor is who gives a command when the script does not say by=.
func defaultAuthor(command string) string {
	switch command {
	case "found":
		return Founder
	case "place", "start", "finish", "lose", "stage", "work", "sign", "failrun", "ready", "unready", "meter":
		return Controller
	}
	return "P0"
}

// query answers what only reads, or moves the clock.
func (s *script) query(a *args) bool {
	switch a.word(0) {
	case "common":
		said := s.out.String()
		for _, line := range common {
			s.line(line)
		}
		s.out.Reset()
		s.out.WriteString(said + "entries 0 to 6: organisation O1 with tenant P2, grant G5 of 100 credits from call C4, node local/a of 4 slots\n")
	case "wait":
		s.at = s.at.Add(parseSpan(s.t, a.word(1)))
	case "accounts":
		for id, account := range s.state.Accounts.Accounts.All() {
			fmt.Fprintf(&s.out, "%s posted=%s held=%s\n", id, account.Posted, account.Held)
		}
	case "job":
		j, ok := s.state.Jobs.Get(job.ID(a.word(1)))
		if !ok {
			fmt.Fprintf(&s.out, "there is no job %s\n", a.word(1))
			break
		}
		fmt.Fprintf(&s.out, "%s is %s, attempt %d, use %d, charged %s", a.word(1), j.State, j.Attempt, j.Use, j.Charged)
		if j.Reason != "" {
			fmt.Fprintf(&s.out, ": %s", j.Reason)
		}
		s.out.WriteString("\n")
	case "run?":
		r, _ := s.state.Factory.Runs.Get(factory.ID(a.word(1)))
		next, wants := r.Next()
		fmt.Fprintf(&s.out, "%s is %s, label %s, wants %q %v, approvals %d of %d, model %q, endpoint %q, reason %q\n", a.word(1), r.State, r.Label, next, wants,
			len(r.Approvals), r.Recipe.Approvals, r.Model, r.Endpoint, r.Reason)
	case "application":
		p, _ := s.state.Programmes.Applications.Get(programme.ApplicationID(a.word(1)))
		fmt.Fprintf(&s.out, "%s is %s: %s\n", a.word(1), p.State, strings.Join(p.Reasons, "; "))
	case "grant":
		g, _ := s.state.Grants.Grants.Get(grant.ID(a.word(1)))
		fmt.Fprintf(&s.out, "%s of %s: %s credits, %d jobs, use %d, charged %s\n", a.word(1), g.Org, g.Credits, g.Jobs, g.Use, g.Charged)
	case "endpoint":
		e, _ := s.state.Models.Endpoints.Get(model.EndpointID(a.word(1)))
		fmt.Fprintf(&s.out, "%s %q is %s, serves %s by %s", a.word(1), e.Name, e.State, e.Model, e.Job)
		if e.Reason != "" {
			fmt.Fprintf(&s.out, ": %s", e.Reason)
		}
		s.out.WriteString("\n")
	case "key":
		id, key, ok := s.state.Party.ByKey(secret(a.word(1)), s.at)
		fmt.Fprintf(&s.out, "%v", ok)
		if ok {
			fmt.Fprintf(&s.out, ": %s of %s for %s", id, key.Person, key.Use)
		}
		s.out.WriteString("\n")
	case "why":
		reason, waits := s.state.Why(job.ID(a.word(1)))
		if !waits {
			s.out.WriteString("it does not wait\n")
			break
		}
		fmt.Fprintf(&s.out, "%s: %s\n", reason.Code, reason.EN)
	default:
		return false
	}
	a.finish()
	return true
}

// common is how most scripts begin.
var common = []string{"found", "org name=haneul", "person org=O1 roles=tenant", "programme", "call N3", "apply C4 by=P2", "node local/a"}

// secret is a made-up key's digest, by its name.
func secret(name string) unit.Digest { return unit.DigestOf([]byte("secret " + name)) }

// command reads a command that may change the centre.
func (s *script) command(a *args) Command {
	switch a.word(0) {
	case "found":
		return Found{Founded: Founded{Name: a.get("name", "Gaon Centre"), Country: a.get("country", "KR"), Site: "seoul", LedgerKey: "ledger", ModelKey: "model"},
			Policy: policy.Default, Details: unit.DigestOf([]byte("founder")), Secret: secret("founder")}
	case "org":
		return AddOrganisation{party.Organisation{Name: a.get("name", ""), Country: a.get("country", "KR"), Kind: a.get("kind", "company")}}
	case "person":
		c := AddPerson{Org: party.OrgID(a.get("org", "")), Details: unit.DigestOf([]byte(a.line))}
		for _, role := range a.list("roles", "") {
			name, until, ends := strings.Cut(role, ":")
			r := party.Role{Name: name}
			if ends {
				r.Until = s.at.Add(parseSpan(s.t, until))
			}
			c.Roles = append(c.Roles, r)
		}
		return c
	case "erase":
		return ErasePerson{party.PersonID(a.word(1))}
	case "issue":
		c := IssueKey{Person: party.PersonID(a.word(1)), Use: a.get("use", party.ForAPI), Secret: secret(a.get("secret", a.word(1)))}
		if span := a.get("for", ""); span != "" {
			c.Until = s.at.Add(parseSpan(s.t, span))
		}
		return c
	case "revoke":
		return RevokeKey{party.KeyID(a.word(1))}
	case "policy":
		return PublishPolicy{policy.Default + "\n" + strings.ReplaceAll(a.get("more", ""), "'", `"`)}
	case "programme":
		return PublishProgramme{programme.Programme{Name: a.get("name", "SME"), Rule: programme.Rule{Ceiling: a.credits("ceiling", "100"), PerOrg: a.credits("per_org", "500"),
			Countries: a.list("countries", ""), Kinds: a.list("kinds", ""), Length: a.span("length", "30d")}}}
	case "call":
		return OpenCall{Programme: programme.ID(a.word(1)), Name: a.get("name", "spring"), Budget: a.credits("budget", "1000"), Closes: s.at.Add(a.span("for", "10d"))}
	case "apply":
		return Apply{Call: programme.CallID(a.word(1)), Org: party.OrgID(a.get("org", "O1")), Purpose: a.get("purpose", "a model of our own"), Credits: a.credits("credits", "100")}
	case "award", "decline":
		return DecideApplication{Application: programme.ApplicationID(a.word(1)), Award: a.word(0) == "award", Reason: a.get("reason", "as the jury found")}
	case "dataset":
		return RegisterDataset{dataset.Dataset{Name: a.get("name", "text"), Org: party.OrgID(a.get("org", "O1")), Licence: "CC0-1.0", Consent: "its authors'",
			Purpose: a.get("purpose", dataset.Training), Tree: unit.DigestOf([]byte("tree of " + a.get("name", "text"))), Files: 1, Size: 1000,
			Label: policy.Label{Class: policy.Class(a.get("class", "internal")), Residency: a.list("residency", "")}}}
	case "node":
		enforce := a.list("enforces", "network,inputs")
		n := fleet.Node{Engine: "local", Country: a.get("country", "KR"), Memory: unit.Bytes(a.number("memory", 64)) << 30, Away: a.get("away", "") == "yes"}
		for _, word := range enforce {
			n.Enforce.Network = n.Enforce.Network || word == "network"
			n.Enforce.Inputs = n.Enforce.Inputs || word == "inputs"
		}
		for i := range a.number("slots", 4) {
			n.Devices = append(n.Devices, fleet.Device{ID: fmt.Sprint("cpu", i), Chip: fleet.CPUSlot})
		}
		return ReportNode{fleet.NodeID(a.word(1)), n}
	case "rate":
		return RateChip{Chip: fleet.Chip(a.word(1)), Rate: unit.Rate(a.number("rate", int64(unit.RateReference))), Why: "measured"}
	}
	return s.workCommand(a)
}

// workCommand is command for jobs, runs and models.
func (s *script) workCommand(a *args) Command {
	switch a.word(0) {
	case "submit":
		label := policy.Label{Class: policy.Class(a.get("class", "")), Residency: a.list("residency", "")}
		slots := int(a.number("slots", 1))
		var inputs []job.Input
		for i, name := range a.list("reads", "") { // a dataset's name, or a job's id and its output's name
			tree := unit.DigestOf([]byte("tree of " + name))
			if strings.HasPrefix(name, "J") {
				tree = unit.DigestOf([]byte(name))
			}
			inputs = append(inputs, job.Input{Name: fmt.Sprint("in", i), Tree: tree})
		}
		return SubmitJob{job.Spec{Inputs: inputs, Name: a.get("name", "work"), Grant: grant.ID(a.get("grant", "")), Argv: []string{"true"}, Chip: fleet.Chip(a.get("chip", "cpu-slot")),
			CountMin: int(a.number("min", int64(slots))), Count: slots, Memory: unit.Bytes(a.number("memory", 1)) << 30, Network: a.get("network", "") == "yes",
			TimeLimit: a.span("limit", "1h"), Label: label}}
	case "stop":
		return StopJob{job.ID(a.word(1)), a.get("reason", "not needed any more")}
	case "place":
		c := PlaceJob{Job: job.ID(a.word(1)), Placement: job.Placement{Node: fleet.NodeID(a.get("node", "")), Devices: a.list("devices", "")}}
		if c.Node != "" {
			return c
		}
		for _, p := range schedule.Decide(s.state.View()).Place {
			if p.Job == c.Job {
				c.Placement = p.Placement
			}
		}
		return c
	case "start":
		return StartJob{job.ID(a.word(1)), s.attempt(a), s.at}
	case "lose":
		return LoseJob{job.ID(a.word(1)), s.attempt(a), a.get("reason", "the node is gone")}
	case "finish":
		return s.finishCommand(a)
	case "run":
		scores := a.get("gate", "bits_per_byte < baseline")
		r := factory.Recipe{Name: a.get("name", "urimal"), Curate: factory.Curate{Languages: []string{"ko"}, HeldOut: 50}, Tokenizer: factory.Tokenizer{Vocabulary: 512},
			Train: factory.Train{Layers: 1, Width: 8, Hidden: 8, Heads: 1, KVHeads: 1, Context: 8, Batch: 1, Steps: int(a.number("steps", 1)), LearningRate: "0.1", WeightDecay: "0", CheckpointEvery: 1},
			Gate:  strings.Split(scores, ";"), Approvals: int(a.number("approvals", 0)), Serve: factory.Serve{Name: a.get("serve", "urimal")}}
		if r.Serve.Name == "none" {
			r.Serve.Name = ""
		}
		for _, limits := range []*factory.Resources{&r.Curate.Resources, &r.Tokenizer.Resources, &r.Train.Resources, &r.Evaluate.Resources, &r.Serve.Resources} {
			*limits = factory.Resources{Slots: 1, Memory: 1 << 30, TimeLimit: 3600}
		}
		c := StartRun{Grant: grant.ID(a.get("grant", "")), Recipe: r}
		for _, id := range a.list("training", "") {
			c.Training = append(c.Training, dataset.ID(id))
		}
		for _, id := range a.list("evaluation", "") {
			c.Evaluation = append(c.Evaluation, dataset.ID(id))
		}
		return c
	case "stage":
		return SubmitStage{Run: factory.ID(a.word(1)), Stage: a.word(2)}
	case "approve":
		return ApproveRelease{factory.ID(a.word(1))}
	case "sign":
		return RecordSignature{model.WasSigned{ID: model.ID(a.word(1)), Release: unit.DigestOf([]byte("release")), Bundle: unit.DigestOf([]byte("bundle")),
			Passport: unit.DigestOf([]byte("passport")), Signer: unit.DigestOf([]byte("signer"))}}
	case "failrun":
		return FailRun{factory.ID(a.word(1)), a.get("reason", "it cannot go on")}
	case "open":
		return OpenEndpoint{Model: model.ID(a.word(1)), Grant: grant.ID(a.get("grant", "")), Name: a.get("name", "")}
	case "ready":
		return ReportEndpoint{Endpoint: model.EndpointID(a.word(1)), Ready: true}
	case "unready":
		return ReportEndpoint{Endpoint: model.EndpointID(a.word(1)), Reason: a.get("reason", "its files do not match the passport")}
	case "close":
		return CloseEndpoint{model.EndpointID(a.word(1))}
	case "meter":
		return MeterTokens{model.Metered{Endpoint: model.EndpointID(a.word(1)), Key: party.KeyID(a.get("of", "")), From: s.at, Until: s.at.Add(unit.Minute),
			Tokens: model.Tokens{Requests: 1, Prompt: a.number("prompt", 10), Completion: a.number("completion", 20)}}}
	}
	s.t.Fatalf("no command %q", a.line)
	return nil
}

// attempt is the job's present one unless the script names another.
func (s *script) attempt(a *args) int {
	j, _ := s.state.Jobs.Get(job.ID(a.word(1)))
	return int(a.number("attempt", int64(j.Attempt)))
}

func (s *script) finishCommand(a *args) Command {
	id := job.ID(a.word(1))
	f := job.Finished{ID: id, Attempt: s.attempt(a), State: a.get("state", job.Succeeded), Reason: a.get("reason", ""), Ended: s.at}
	f.ExitCode = int(a.number("exit", 0))
	c := FinishJob{Finished: f}
	j, _ := s.state.Jobs.Get(id)
	scores, statement := a.list("scores", ""), a.get("statement", j.Stage)
	if j.Stage == "" || f.State != job.Succeeded {
		return c
	}
	name := map[string]string{factory.StageCurate: "corpus", factory.StageTrain: "model"}[j.Stage]
	if name == "" {
		name = j.Stage
	}
	c.Finished.Outputs = []job.Output{{Name: name, Tree: unit.DigestOf([]byte(string(id) + name)), Size: 100}}
	if statement == "none" {
		return c
	}
	c.Statement = &factory.Statement{Stage: statement}
	for _, word := range scores {
		name, value, _ := strings.Cut(word, ":")
		score, err := unit.ParseMicro(value)
		if err != nil {
			s.t.Fatalf("%q: %v", a.line, err)
		}
		if c.Statement.Scores == nil {
			c.Statement.Scores = map[string]unit.Micro{}
		}
		c.Statement.Scores[name] = score
	}
	return c
}
