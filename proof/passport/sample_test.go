package passport

import (
	"strings"

	"github.com/gaon-ai/gaon/internal/unit"
)

// modelFiles are a tiny model's; their bytes only have to be there.
var modelFiles = map[string]string{
	"model.safetensors":     strings.Repeat("weights ", 20),
	"tokenizer.json":        `{"model":{"type":"BPE"}}`,
	"config.json":           `{"model_type":"llama","hidden_size":64}`,
	"tokenizer_config.json": `{"model_max_length":128}`,
	"설명.md":                 "모델 설명\n",
}

const (
	report  = `{"removed":{"exact":3}}`
	heldOut = `{"text":"비"}`
	loss    = `{"step":300,"loss":3.2}`
	outputs = `{"kind":"document"}`
)

// The trees that the stages handed on.
var (
	essays     = tree(RoleSource, "essays", treeFile("essays.jsonl", "essays"))
	reports    = tree(RoleSource, "reports", treeFile("reports.jsonl", "reports"))
	questions  = tree(RoleEvaluationSet, "ko-choice", treeFile("questions.jsonl", "questions"))
	corpusTree = tree(RoleCorpus, "corpus", treeFile("held_out.jsonl", heldOut), treeFile("report.json", report), treeFile("train.jsonl", "train"))
	tokenTree  = tree(RoleTokenizer, "tokenizer", treeFile("report.json", "{}"), treeFile("tokenizer.json", modelFiles["tokenizer.json"]))
	modelTree  = tree(RoleModel, "model", treeFile("config.json", modelFiles["config.json"]), treeFile("model.safetensors", modelFiles["model.safetensors"]))
	logTree    = tree(RoleLog, "training-log", treeFile("loss.jsonl", loss))
	evalTree   = tree(RoleOutputs, "evaluation", treeFile("raw.jsonl", outputs), treeFile("report.json", "{}"))
	recipe     = Material{Role: RoleRecipe, Name: "gaon-mini", Digest: digest("recipe")}
)

var gaonTool = Tool{Name: "gaon", Version: "1.0.0", Origin: "KR", Licence: "Apache-2.0"}

func sampleStages() []Stage {
	stage := func(kind, job string, from, to int64, inputs, outputs []Material) Stage {
		return Stage{Kind: kind, Run: "R22", Job: job, Builder: "https://centre.example.kr/engines/local", Tools: []Tool{gaonTool},
			Recipe: recipe, Parameters: []Parameter{{"seed", "20261124"}}, Inputs: inputs, Outputs: outputs, Started: instant(from), Finished: instant(to)}
	}
	stages := []Stage{
		stage(StageCurate, "J23", 1, 2, []Material{essays, reports}, []Material{corpusTree}),
		stage(StageTokenizer, "J26", 3, 4, []Material{corpusTree}, []Material{tokenTree}),
		stage(StageTrain, "J29", 5, 30, []Material{corpusTree, tokenTree}, []Material{modelTree, logTree}),
		stage(StageEvaluate, "J32", 31, 33, []Material{corpusTree, tokenTree, modelTree, questions}, []Material{evalTree}),
	}
	stages[2].Tools = append(stages[2].Tools, Tool{"gonum", "0.17.0", "ZZ", "BSD-3-Clause"})
	return stages
}

func sampleData() Data {
	return Data{
		Sources: []Source{
			{Name: "essays", Kind: KindLicensed, Owner: "한글 재단", Origin: "KR", Licence: "CC-BY-4.0", Consent: "written agreement of 2026-03-02", Class: "public",
				Address: "urn:gaon:" + string(essays.Digest), Languages: []string{"ko"}, Collected: instant(-100_000), Digest: essays.Digest, Documents: 100, DocumentsUsed: 92, TokensUsed: 41_000},
			{Name: "reports", Kind: KindPublic, Owner: "Statistics Office", Origin: "SG", Licence: "CC0-1.0 OR MIT", Consent: "public record", Class: "internal", Residency: []string{"KR", "SG"},
				Address: "https://stats.example.sg/reports", Languages: []string{"ko", "en"}, Digest: reports.Digest, Documents: 50, DocumentsUsed: 45, TokensUsed: 19_000},
		},
		Corpus:          Corpus{Digest: corpusTree.Digest, Documents: 137, HeldOut: 8, Size: 250_000, Tokens: 60_000},
		Removed:         []Removal{{"length", "1", 2}, {"language", "1", 4}, {"exact-duplicate", "1", 3}, {"near-duplicate", "1", 4}},
		PersonalData:    PersonalData{"patterns with check digits", "1", "replaced", []Count{{"telephone", 6}, {"resident-number", 1}}},
		Duplicates:      Duplicates{"MinHash, 128 permutations", 800_000, 3, 4},
		Decontamination: Decontamination{"13-grams", []Material{questions}, 0, 0},
		RightsReserved:  Words{"모든 출처가 문서로 이용을 허락했습니다.", "Every source has permitted the use in writing."},
		IllegalContent:  Words{"출처에서 걸러진 자료만 썼습니다.", "Only material screened at the source was used."},
		Report:          unit.DigestOf([]byte(report)),
	}
}

func sampleTraining() Training {
	return Training{
		Devices: []Device{{"cpu", "cpu-slot", 2, "daejeon"}}, Sites: []Site{{"daejeon", "KR"}},
		Steps: 300, Tokens: 614_400, FLOP: "7077888000000", FLOPMethod: "6 × parameters × tokens",
		EnergyKWh: 41_000, EnergyClass: EnergyEstimated, EnergyMethod: "chip-seconds × 49 W", ChipSeconds: 3000,
		Seed: "20261124", FinalLoss: 3_200_000, LossLog: unit.DigestOf([]byte(loss)),
		Interruptions: []Interruption{
			{At: instant(8), Reason: "node lost", Resumed: instant(9), Step: 0},
			{At: instant(15), Reason: "node lost", Resumed: instant(16), Step: 150, Checkpoint: digest("checkpoint 150")}},
	}
}

var sampleResults = []Result{
	{"bits_per_byte", 1_934_000, "lower", "held-out documents", unit.DigestOf([]byte(heldOut)), 8, "20261124", unit.DigestOf([]byte(outputs))},
	{"baseline.byte_5gram", 2_411_000, "lower", "held-out documents", unit.DigestOf([]byte(heldOut)), 8, "20261124", unit.DigestOf([]byte(outputs))},
	{"choice.accuracy", 312_500, "higher", "ko-choice", questions.Digest, 64, "20261124", unit.DigestOf([]byte(outputs))},
	{"contamination", 0, "lower", "ko-choice", questions.Digest, 64, "20261124", unit.DigestOf([]byte(outputs))},
}

var sampleGate = []Condition{
	{"bits_per_byte < baseline.byte_5gram", 1_934_000, 2_411_000, true},
	{"contamination < 0.001", 0, 1000, true},
}

// fill makes a passport for the folder's files, recorded in the ledger.
func (r *release) fill() Passport {
	r.Helper()
	files, err := ListFiles(r.dir)
	if err != nil {
		r.Fatal(err)
	}
	model := FilesDigest(files)
	p := Passport{
		Model: Model{Name: "gaon-mini", Version: "1", Digest: model, Summary: Words{"작은 한국어 모델입니다.", "A small Korean model."},
			Uses: Words{"시험", "testing"}, Limits: Words{"사실을 지어낼 수 있습니다.", "It may make facts up."},
			Architecture: "LlamaForCausalLM", Parameters: 1_920_000, Context: 128, Vocabulary: 2048, Languages: []string{"ko", "en"},
			Licence: "Apache-2.0", Class: "internal", Residency: []string{"KR"}, Hyperparameters: []Parameter{{"learning_rate", "0.003"}}},
		Issuer: Issuer{"국가 인공지능 센터", "KR", "https://centre.example.kr", "models@centre.example.kr"},
		Issued: instant(50), Files: files, Stages: sampleStages(), Data: sampleData(), Training: sampleTraining(),
		Evaluation: Evaluation{Subject: model, Results: sampleResults},
		Gate:       Gate{Subject: model, Decided: instant(35), Conditions: sampleGate, Passed: true},
		Approvals:  Approvals{Required: 2, Given: []Approval{{"signer", "P12", instant(40), model}, {"signer", "P13", instant(42), model}}},
		Revocation: Revocation{"https://centre.example.kr/revocations", digest("revocations")},
	}
	p.Ledger = r.recordRun(p)
	return p
}

// recordRun writes the run into the ledger as the centre does, with entries of
// others between.
func (r *release) recordRun(p Passport) Ledger {
	r.Helper()
	type kept struct {
		of    string
		index int64
	}
	var entries []kept
	add := func(of string, at unit.Instant, events ...event) {
		r.log.add(at, event{"job.submitted/1", map[string]any{"id": "J1"}})
		entries = append(entries, kept{of, r.log.add(at, events...)})
	}
	add(EntryStart, instant(0), event{"factory.run-started/1", map[string]any{"id": "R22", "digest": recipe.Digest, "org": "O2"}})
	for _, s := range p.Stages {
		var outputs []map[string]any
		for _, m := range s.Outputs {
			outputs = append(outputs, map[string]any{"name": m.Name, "tree": m.Digest, "size": 100})
		}
		add(s.Kind, s.Finished, event{"job.finished/1", map[string]any{"id": s.Job}},
			event{"factory.stage-ended/1", map[string]any{"id": "R22", "stage": s.Kind, "state": "succeeded", "outputs": outputs}})
	}
	var lines []map[string]any
	for _, c := range p.Gate.Conditions {
		lines = append(lines, map[string]any{"condition": c.Condition, "value": int64(c.Value), "limit": int64(c.Limit), "holds": c.Holds})
	}
	scores := map[string]int64{}
	for _, result := range p.Evaluation.Results {
		scores[result.Name] = int64(result.Value)
	}
	add(EntryGate, p.Gate.Decided,
		event{"factory.gate-decided/1", map[string]any{"id": "R22", "model": "M41", "verdict": map[string]any{"passed": p.Gate.Passed, "lines": lines}}},
		event{"model.registered/1", map[string]any{"id": "M41", "run": "R22", "tree": modelTree.Digest, "scores": scores}})
	for _, a := range p.Approvals.Given {
		add(EntryApproval, a.At, event{"factory.approved/1", map[string]any{"id": "R22", "person": a.Person}})
	}
	l := Ledger{Origin: testOrigin}
	for _, k := range entries {
		l.Entries = append(l.Entries, r.log.entry(k.of, k.index))
	}
	return l
}
