package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/dataset"
	"github.com/gaon-ai/gaon/internal/engine/local"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/grant"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/policy"
	"github.com/gaon-ai/gaon/internal/programme"
	"github.com/gaon-ai/gaon/internal/sample"
	"github.com/gaon-ai/gaon/internal/stage"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/internal/writer"
)

// TestMain lets this program be the supervisor that the local engine starts.
// Any other start below a test is refused: a program that runs its tests when
// it is asked to supervise would start itself without end.
func TestMain(m *testing.M) {
	const under = "GAON_HOST_TEST"
	switch {
	case len(os.Args) == 3 && os.Args[1] == "supervise":
		os.Exit(local.Supervise(os.Args[2]))
	case os.Getenv(under) != "":
		fmt.Fprintln(os.Stderr, "host: the tests were started by themselves:", os.Args)
		os.Exit(3)
	}
	os.Setenv(under, "1")
	os.Exit(m.Run())
}

func config(dir string) Config {
	return Config{Dir: dir, Address: "127.0.0.1:0", Version: "test", Slots: 2, Log: slog.New(slog.DiscardHandler),
		Name: "Test Centre", Country: "KR", Site: "Chuncheon"}
}

func mustOpen(t *testing.T, c Config) *Host {
	t.Helper()
	h, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// centreWithRun is a centre in which this process does the work of a factory
// run itself, stage after stage, as an engine would have it done.
type centreWithRun struct {
	*testing.T
	*Host
	operator string
	tenant   string
	org      party.OrgID
	grant    grant.ID
	signers  []string
	run      factory.ID
}

func (c *centreWithRun) do(by string, command centre.Command) string {
	c.Helper()
	outcome, err := c.Writer.Do(context.Background(), writer.Order{By: by, Command: command})
	if err != nil {
		c.Fatalf("%T: %v", command, err)
	}
	return outcome.Made
}

func digest(name string) unit.Digest { return unit.DigestOf([]byte(name)) }

func newCentreWithRun(t *testing.T) *centreWithRun {
	t.Helper()
	c := &centreWithRun{T: t, Host: mustOpen(t, config(t.TempDir()))}
	c.operator = string(c.person())
	c.do(centre.Controller, centre.ReportNode{ID: "local/here", Node: fleet.Node{Engine: "local", Country: "KR", Memory: 1 << 40,
		Devices: []fleet.Device{{ID: "cpu0", Chip: fleet.CPUSlot}, {ID: "cpu1", Chip: fleet.CPUSlot}}, Enforce: fleet.Enforcement{Network: true, Inputs: true}}})
	c.org = party.OrgID(c.do(c.operator, centre.AddOrganisation{Organisation: party.Organisation{Name: "Lab", Country: "KR", Kind: "company"}}))
	c.tenant = c.do(c.operator, centre.AddPerson{Org: c.org, Details: digest("tenant"), Roles: []party.Role{{Name: party.Tenant}}})
	for i := range 2 {
		c.signers = append(c.signers, c.do(c.operator, centre.AddPerson{Org: c.org, Details: digest(fmt.Sprint(i)), Roles: []party.Role{{Name: party.Signer}}}))
	}
	p := c.do(c.operator, centre.PublishProgramme{Programme: programme.Programme{Name: "P", Rule: programme.Rule{Ceiling: 1e12, PerOrg: 1e12, Length: 300 * unit.Day}}})
	call := c.do(c.operator, centre.OpenCall{Programme: programme.ID(p), Name: "C", Budget: 1e12, Closes: Now().Add(unit.Day)})
	c.do(c.tenant, centre.Apply{Call: programme.CallID(call), Org: c.org, Purpose: "models", Credits: 40 * unit.Credit})
	for id := range c.Writer.State().Grants.Grants.All() {
		c.grant = id
	}
	return c
}

// factory takes a run up to its approvals, with the text that ships.
func (c *centreWithRun) factory() {
	c.Helper()
	texts, questions := filepath.Join(c.TempDir(), "texts"), filepath.Join(c.TempDir(), "questions")
	if _, err := sample.Write(texts, questions); err != nil {
		c.Fatal(err)
	}
	register := func(dir, purpose string) dataset.ID {
		tree, size, err := artifact.PutTree(context.Background(), c.Store, dir)
		if err != nil {
			c.Fatal(err)
		}
		return dataset.ID(c.do(c.tenant, centre.RegisterDataset{Dataset: dataset.Dataset{Name: purpose, Org: c.org, Licence: "Apache-2.0", Consent: "owner's own text",
			Purpose: purpose, Tree: tree, Files: 1, Size: size, Label: policy.Label{Class: policy.Internal, Residency: []string{"KR"}}}}))
	}
	training, evaluation := register(texts, dataset.Training), register(questions, dataset.Evaluation)
	c.run = factory.ID(c.do(c.tenant, centre.StartRun{Grant: c.grant, Training: []dataset.ID{training}, Evaluation: []dataset.ID{evaluation}, Recipe: factory.Recipe{
		Name: "tiny", Seed: 7, Curate: factory.Curate{Languages: []string{"ko", "en"}, HeldOut: 60}, Tokenizer: factory.Tokenizer{Vocabulary: 400},
		Train: factory.Train{Layers: 1, Width: 32, Hidden: 64, Heads: 2, KVHeads: 1, Context: 64, Batch: 4, Steps: 8, Warmup: 2, CheckpointEvery: 4,
			LearningRate: "0.01", WeightDecay: "0.1"},
		Gate: []string{"bits_per_byte < baseline.byte_unigram", "contamination < 0.001"}, Approvals: 2, Serve: factory.Serve{Name: "tiny"}}}))
	for _, name := range []string{factory.StageCurate, factory.StageTokenizer, factory.StageTrain, factory.StageEvaluate, factory.StageGate} {
		c.stage(name)
	}
	for _, signer := range c.signers {
		c.do(signer, centre.ApproveRelease{Run: c.run})
	}
}

// lay places the job of a stage and lays out its working folder.
func (c *centreWithRun) lay(id job.ID) string {
	c.Helper()
	dir := c.TempDir()
	j, _ := c.Writer.State().Jobs.Get(id)
	c.do(centre.Controller, centre.PlaceJob{Job: id, Placement: job.Placement{Node: "local/here", Devices: []string{"cpu0"}}})
	c.do(centre.Controller, centre.StartJob{Job: id, Attempt: 1, At: Now()})
	err := errors.Join(os.WriteFile(filepath.Join(dir, "params.json"), j.Params, 0o644), os.Mkdir(filepath.Join(dir, "out"), 0o755),
		os.Mkdir(filepath.Join(dir, "keep"), 0o755), os.Mkdir(filepath.Join(dir, "in"), 0o755))
	for _, in := range j.Inputs {
		err = errors.Join(err, artifact.Checkout(context.Background(), c.Store, in.Tree, filepath.Join(dir, "in", in.Name)))
	}
	if err != nil {
		c.Fatal(err)
	}
	return dir
}

// stage does the next stage of the run and records its end.
func (c *centreWithRun) stage(name string, also ...job.Input) {
	c.Helper()
	id := job.ID(c.do(centre.Controller, centre.SubmitStage{Run: c.run, Stage: name, Also: also}))
	dir := c.lay(id)
	if err := stage.Run(context.Background(), name, dir); err != nil {
		c.Fatalf("stage %s: %v", name, err)
	}
	f := job.Finished{ID: id, Attempt: 1, State: job.Succeeded, Ended: Now()}
	outputs, err := os.ReadDir(filepath.Join(dir, "out"))
	for _, out := range outputs {
		tree, size, putErr := artifact.PutTree(context.Background(), c.Store, filepath.Join(dir, "out", out.Name()))
		err = errors.Join(err, putErr)
		f.Outputs = append(f.Outputs, job.Output{Name: out.Name(), Tree: tree, Size: size})
	}
	var statement factory.Statement
	data, readErr := os.ReadFile(filepath.Join(dir, "statement.json"))
	if err = errors.Join(err, readErr); err == nil {
		err = json.Unmarshal(data, &statement)
	}
	if err != nil {
		c.Fatal(err)
	}
	c.do(centre.Controller, centre.FinishJob{Finished: f, Statement: &statement})
}

// release takes the run through its sign stage.
func (c *centreWithRun) release() factory.Run {
	c.Helper()
	chain, err := c.Chain(context.Background(), c.Writer.State(), c.run, c.present())
	if err != nil {
		c.Fatal(err)
	}
	c.stage(factory.StageSign, job.Input{Name: "chain", Tree: chain})
	return c.present()
}

func (c *centreWithRun) present() factory.Run {
	r, _ := c.Writer.State().Factory.Runs.Get(c.run)
	return r
}

// files reads every file below dir.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir+string(filepath.Separator))] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
