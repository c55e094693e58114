package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gaon-ai/gaon/internal/corpus"
	"github.com/gaon-ai/gaon/internal/evaluation"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/fleet"
	"github.com/gaon-ai/gaon/internal/lm"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof/passport"
)

// writeRelease is the sign stage: it puts the model's files and the passport
// with its views into one folder. The centre signs that folder outside.
func writeRelease(_ context.Context, w *work) error {
	out, err := w.out(releaseOutput)
	if err != nil {
		return err
	}
	if err := copyFiles(w.in(modelOutput), out); err != nil {
		return err
	}
	f := &filler{w: w}
	if err := f.read(out); err != nil {
		return err
	}
	p, err := f.passport()
	if err != nil {
		return err
	}
	if p, err = passport.Write(out, p); err != nil {
		return fmt.Errorf("the passport cannot be written: %w", err)
	}
	w.statement.Notes["model_digest"] = string(p.Model.Digest)
	w.statement.Counts["files"] = int64(len(p.Files))
	return nil
}

// copyFiles copies the regular files of a folder.
func copyFiles(from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil || e.IsDir() {
			return errors.Join(err, os.MkdirAll(filepath.Join(to, name), 0o755))
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), data, 0o644)
	})
}

// filler fills in a passport from the chain and the stages' reports.
type filler struct {
	w          *work
	chain      Chain
	files      []passport.ModelFile
	model      unit.Digest
	corpus     corpus.Report
	training   TrainingReport
	evaluation evaluation.Report
	shape      lm.Config
}

func (f *filler) read(release string) error {
	loaded, err := lm.Load(release)
	if err != nil {
		return err
	}
	f.shape = loaded.Config()
	if f.files, err = passport.ListFiles(release); err != nil {
		return err
	}
	f.model = passport.FilesDigest(f.files)
	return errors.Join(
		readJSON(filepath.Join(f.w.in("chain"), ChainFile), &f.chain),
		readJSON(filepath.Join(f.w.in(corpusOutput), corpus.ReportFile), &f.corpus),
		readJSON(filepath.Join(f.w.in(trainingOutput), trainingReport), &f.training),
		readJSON(filepath.Join(f.w.in(evaluationOutput), evaluationReport), &f.evaluation))
}

func (f *filler) passport() (passport.Passport, error) {
	training, err := f.trainingRecord()
	if err != nil {
		return passport.Passport{}, err
	}
	run := f.chain.State
	p := passport.Passport{
		Model: f.modelFacts(), Issuer: f.chain.Centre, Issued: f.chain.Now, Files: f.files, Stages: f.stages(), Data: f.data(), Training: training,
		Evaluation: passport.Evaluation{Subject: f.model, Results: f.results()},
		Gate:       passport.Gate{Subject: f.model, Decided: f.chain.Decided, Passed: run.Gate.Passed},
		Approvals:  passport.Approvals{Required: run.Recipe.Approvals},
		Ledger:     passport.Ledger{Origin: f.chain.Origin, Entries: f.chain.Entries},
		Revocation: f.chain.Revoked,
	}
	for _, line := range run.Gate.Lines {
		p.Gate.Conditions = append(p.Gate.Conditions, passport.Condition{Condition: line.Condition, Value: passport.Decimal(line.Value),
			Limit: passport.Decimal(line.Limit), Holds: line.Holds})
	}
	for _, a := range run.Approvals {
		p.Approvals.Given = append(p.Approvals.Given, passport.Approval{Role: "signer", Person: string(a.Person), At: a.At, Subject: f.model})
	}
	return p, nil
}

func (f *filler) modelFacts() passport.Model {
	recipe := f.chain.State.Recipe
	m := passport.Model{
		Name: recipe.Name, Version: string(f.chain.Run), Digest: f.model,
		Summary: passport.Words{
			Ko: fmt.Sprintf("%s에서 처음부터 학습한 매개변수 %d개의 언어 모델입니다.", f.chain.Centre.Name, f.shape.Parameters()),
			En: fmt.Sprintf("A language model of %d parameters, trained from scratch at %s.", f.shape.Parameters(), f.chain.Centre.Name)},
		Uses: passport.Words{Ko: "이어 쓰기와 연구, 시험", En: "Continuing text, research and testing"},
		Limits: passport.Words{
			Ko: "사실을 지어낼 수 있으며, 사람의 확인 없이 판단에 쓰지 않습니다.",
			En: "It may make facts up and must not decide anything without a person's check."},
		Architecture: "LlamaForCausalLM", Parameters: f.shape.Parameters(), Context: int64(f.shape.ContextLength), Vocabulary: int64(f.shape.VocabSize),
		Licence: f.licence(), Class: string(f.chain.State.Label.Class), Residency: f.chain.State.Label.Residency,
	}
	for _, l := range f.corpus.Languages {
		if l.DocumentsTrain > 0 {
			m.Languages = append(m.Languages, l.Lang)
		}
	}
	t := recipe.Train
	for _, pair := range [][2]string{{"layers", strconv.Itoa(t.Layers)}, {"width", strconv.Itoa(t.Width)}, {"hidden", strconv.Itoa(t.Hidden)},
		{"heads", strconv.Itoa(t.Heads)}, {"kv_heads", strconv.Itoa(t.KVHeads)}, {"batch", strconv.Itoa(t.Batch)}, {"steps", strconv.Itoa(t.Steps)},
		{"learning_rate", t.LearningRate}, {"weight_decay", t.WeightDecay}} {
		m.Hyperparameters = append(m.Hyperparameters, passport.Parameter{Name: pair[0], Value: pair[1]})
	}
	return m
}

// licence is the model's: that of its only source, or all of its sources' in
// one expression.
func (f *filler) licence() string {
	var all []string
	for _, s := range f.chain.Sources {
		if !slices.Contains(all, s.Licence) {
			all = append(all, s.Licence)
		}
	}
	if len(all) == 1 {
		return all[0]
	}
	return "(" + strings.Join(all, ") AND (") + ")"
}

// roles say what each tree is in the chain, by the name of the input or output.
var roles = map[string]string{corpusOutput: passport.RoleCorpus, tokenizerOutput: passport.RoleTokenizer, modelOutput: passport.RoleModel,
	trainingOutput: passport.RoleLog, evaluationOutput: passport.RoleOutputs}

func material(t ChainTree) passport.Material {
	role, known := roles[t.Name]
	switch {
	case strings.HasPrefix(t.Name, "training-"):
		role = passport.RoleSource
	case strings.HasPrefix(t.Name, "evaluation-"):
		role = passport.RoleEvaluationSet
	case !known:
		role = passport.RoleReport
	}
	return passport.Material{Role: role, Name: t.Name, Digest: t.Tree, Listing: t.Listing}
}

func (f *filler) stages() []passport.Stage {
	var all []passport.Stage
	for _, c := range f.chain.Stages {
		s := passport.Stage{Kind: c.Kind, Run: string(f.chain.Run), Job: string(c.Job), Builder: "urn:gaon:node:" + string(c.Record.Placement.Node),
			Tools:      []passport.Tool{{Name: "gaon", Version: f.chain.Version, Origin: "KR", Licence: "Apache-2.0"}},
			Recipe:     passport.Material{Role: passport.RoleRecipe, Name: f.chain.State.Recipe.Name, Digest: f.chain.Recipe},
			Parameters: []passport.Parameter{{Name: "seed", Value: strconv.FormatInt(f.chain.State.Recipe.Seed, 10)}},
			Started:    c.Record.Started, Finished: c.Record.Ended}
		if c.Kind == factory.StageTrain && len(f.training.Attempts) > 0 {
			s.Started = min(s.Started, f.training.Attempts[0].At)
		}
		if c.Kind == factory.StageEvaluate && f.evaluation.Compressor.Name != "" {
			s.Tools = append(s.Tools, passport.Tool{Name: f.evaluation.Compressor.Name, Version: f.evaluation.Compressor.Version, Origin: "ZZ", Licence: "BSD-3-Clause"})
		}
		for _, t := range c.Inputs {
			s.Inputs = append(s.Inputs, material(t))
		}
		for _, t := range c.Outputs {
			s.Outputs = append(s.Outputs, material(t))
		}
		all = append(all, s)
	}
	return all
}

// tree finds a tree of the chain by the stage that wrote it.
func (f *filler) tree(kind, name string) ChainTree {
	for _, c := range f.chain.Stages {
		for _, t := range c.Outputs {
			if c.Kind == kind && t.Name == name {
				return t
			}
		}
	}
	return ChainTree{}
}

// file finds the digest of a file in a tree's listing.
func file(t ChainTree, path string) unit.Digest {
	tree, err := passport.ParseTree([]byte(t.Listing))
	if err != nil {
		return "" // the passport's check names the empty digest
	}
	for _, f := range tree.Files {
		if f.Path == path {
			return f.Digest
		}
	}
	return ""
}

func (f *filler) data() passport.Data {
	r, tokens := f.corpus, f.corpusTokens()
	written := f.tree(factory.StageCurate, corpusOutput)
	version := strconv.Itoa(corpus.Version)
	d := passport.Data{
		Corpus: passport.Corpus{Digest: written.Tree, Documents: r.DocumentsTrain + r.DocumentsHeldOut, HeldOut: r.DocumentsHeldOut,
			Size: unit.Bytes(r.BytesTrain + r.BytesHeldOut), Tokens: tokens},
		PersonalData: passport.PersonalData{Method: "patterns with check digits and words beside them", Version: version, Action: "replaced"},
		Duplicates: passport.Duplicates{Method: "MinHash over 5-grams of words, 14 bands of 8", Threshold: 720_000,
			Exact: r.Duplicates.Exact, Near: r.Duplicates.Near},
		Decontamination: passport.Decontamination{Method: "runs of words shared with an evaluation item", Removed: r.Evaluation.Removed,
			Rate: passport.Decimal(f.evaluation.Scores[evaluation.ScoreContamination])},
		RightsReserved: passport.Words{Ko: "각 출처의 소유자가 등록할 때 이용 근거를 밝혔습니다.", En: "Each source's owner stated the ground for its use when registering it."},
		IllegalContent: passport.Words{Ko: "이 단계에서 따로 거르지 않았습니다. 출처의 책임입니다.", En: "Not filtered at this stage; the source answers for it."},
		Report:         file(written, corpus.ReportFile),
	}
	for _, reason := range r.Reasons {
		d.Removed = append(d.Removed, passport.Removal{Filter: reason.Name, Version: version, Documents: reason.Documents})
	}
	for _, found := range r.Personal {
		if n := found.Certain + found.Probable; n > 0 {
			d.PersonalData.Found = append(d.PersonalData.Found, passport.Count{Kind: string(found.Kind), Count: n})
		}
	}
	for i, s := range f.chain.Questions {
		d.Decontamination.Against = append(d.Decontamination.Against, f.question(i, s))
	}
	for i, s := range f.chain.Sources {
		d.Sources = append(d.Sources, f.source(i, s, tokens))
	}
	return d
}

func (f *filler) question(i int, s ChainSource) passport.Material {
	return passport.Material{Role: passport.RoleEvaluationSet, Name: fmt.Sprintf("evaluation-%d %s", i, s.ID), Digest: s.Tree}
}

func (f *filler) source(i int, s ChainSource, tokens int64) passport.Source {
	source := passport.Source{Name: fmt.Sprintf("%s %s", s.ID, s.Name), Kind: passport.KindPrivate, Owner: s.Owner, Origin: s.Country, Licence: s.Licence, Consent: s.Consent,
		Class: string(s.Label.Class), Residency: s.Label.Residency, Address: "urn:gaon:dataset:" + string(s.ID), Collected: s.Recorded, Digest: s.Tree,
		TokensUsed: passport.Unknown}
	if s.Label.Class == "public" {
		source.Kind = passport.KindPublic
	}
	input := fmt.Sprintf("training-%d", i)
	for _, c := range f.corpus.Sources {
		if c.Input == input {
			source.Documents += c.DocumentsIn
			source.DocumentsUsed += c.DocumentsUsed
		}
	}
	for _, l := range f.corpus.Languages {
		if l.DocumentsTrain+l.DocumentsHeldOut > 0 {
			source.Languages = append(source.Languages, l.Lang)
		}
	}
	if len(f.chain.Sources) == 1 {
		source.TokensUsed = tokens
	}
	return source
}

// corpusTokens counts the tokens of the training documents, marks included.
func (f *filler) corpusTokens() int64 {
	return f.chain.State.Stages[factory.StageTrain].Statement.Counts["corpus_tokens"]
}

// wattsPerSlot is what one busy CPU core is taken to draw, memory and cooling
// included, where nobody measured it: between the 5 W a core of a server at
// its rated power (Intel and AMD data sheets, 280 W / 64 cores) and twice that
// for the rest of the machine and the building.
const wattsPerSlot = 10

func (f *filler) trainingRecord() (passport.Training, error) {
	i := slices.IndexFunc(f.chain.Stages, func(c ChainStage) bool { return c.Kind == factory.StageTrain })
	if i < 0 {
		return passport.Training{}, errors.New("the chain has no training stage")
	}
	c, statement := f.chain.Stages[i], f.chain.State.Stages[factory.StageTrain].Statement
	t := passport.Training{
		Sites: []passport.Site{{Name: f.chain.Site, Country: c.Country}}, Steps: int64(f.training.Steps), Tokens: f.training.Tokens,
		FLOP: strconv.FormatInt(f.training.Flops, 10), FLOPMethod: "three forward passes, attention counted causally (Kaplan et al., arXiv:2001.08361, section 2.1)",
		EnergyKWh:   passport.Decimal(int64(c.Record.Use) * wattsPerSlot * 1_000_000 / 3_600_000),
		EnergyClass: passport.EnergyEstimated, EnergyMethod: fmt.Sprintf("chip-seconds × %d W a CPU slot, for the last attempt", wattsPerSlot),
		ChipSeconds: c.Record.Use, Seed: strconv.FormatInt(f.chain.State.Recipe.Seed, 10),
		FinalLoss: passport.Decimal(statement.Scores["final_loss"]), LossLog: file(f.tree(factory.StageTrain, trainingOutput), lossLog),
	}
	counts := map[fleet.Chip]int64{}
	var order []fleet.Chip
	for _, device := range c.Devices {
		if counts[device.Chip] == 0 {
			order = append(order, device.Chip)
		}
		counts[device.Chip]++
	}
	for _, chip := range order {
		kind := "gpu"
		if chip == fleet.CPUSlot {
			kind = "cpu"
		}
		t.Devices = append(t.Devices, passport.Device{Kind: kind, Name: string(chip), Count: counts[chip], Site: f.chain.Site})
	}
	for n, a := range f.training.Attempts {
		if n > 0 {
			t.Interruptions = append(t.Interruptions, passport.Interruption{At: a.Stopped, Reason: "the attempt before it was lost", Resumed: a.At,
				Step: int64(a.Step), Checkpoint: a.Checkpoint})
		}
	}
	return t, nil
}

// results are the evaluation's scores, each with the set it was measured on.
func (f *filler) results() []passport.Result {
	heldOut := file(f.tree(factory.StageCurate, corpusOutput), corpus.HeldOutFile)
	outputs := file(f.tree(factory.StageEvaluate, evaluationOutput), rawOutputs)
	var questions unit.Digest
	if len(f.chain.Questions) > 0 {
		questions = f.chain.Questions[0].Tree
	}
	var names []string
	for name := range f.evaluation.Scores {
		names = append(names, name)
	}
	slices.Sort(names)
	var all []passport.Result
	for _, name := range names {
		r := passport.Result{Name: name, Value: passport.Decimal(f.evaluation.Scores[name]), Better: "lower", Set: "held-out documents", SetHash: heldOut,
			Samples: f.evaluation.HeldOut.Documents, Seed: strconv.FormatInt(f.chain.State.Recipe.Seed, 10), Outputs: outputs}
		if strings.Contains(name, "choice") {
			r.Set, r.SetHash, r.Samples = "multiple-choice questions", questions, int64(f.evaluation.Choice.Items)
		}
		if strings.HasPrefix(name, "choice.") {
			r.Better = "higher"
		}
		all = append(all, r)
	}
	return all
}
