package passport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/unit"
)

// copyOf returns a passport that shares nothing with the given one.
func copyOf(t testing.TB, p Passport) Passport {
	t.Helper()
	data, err := Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// refused is a passport with one fault, and the field that must be named.
type refused struct {
	name    string
	change  func(*Passport)
	field   string
	problem string
}

func checkRefused(t *testing.T, rows []refused) {
	t.Helper()
	good := newRelease(t).passport
	if err := Check(good); err != nil {
		t.Fatalf("refused a good passport: %v", err)
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p := copyOf(t, good)
			row.change(&p)
			mustField(t, Check(p), row.field, row.problem)
		})
	}
}

func TestFormRefused(t *testing.T) {
	checkRefused(t, []refused{
		{"another format", func(p *Passport) { p.Format = "gaon.passport/2" }, "format", "not known"},
		{"no date", func(p *Passport) { p.Issued = 0 }, "issued", "no instant"},
		{"a date before the epoch", func(p *Passport) { p.Issued = -1 }, "issued", "no instant"},
		{"no name", func(p *Passport) { p.Model.Name = " " }, "model.name", "empty"},
		{"a name with control characters", func(p *Passport) { p.Model.Name = "a\x1b[2J" }, "model.name", "control"},
		{"a name beyond the limit", func(p *Passport) { p.Model.Name = strings.Repeat("a", textBytesMax+1) }, "model.name", "longer"},
		{"no Korean", func(p *Passport) { p.Model.Limits.Ko = "" }, "model.limits.ko", "empty"},
		{"no English", func(p *Passport) { p.Model.Uses.En = "" }, "model.uses.en", "empty"},
		{"no parameters", func(p *Passport) { p.Model.Parameters = 0 }, "model", "positive"},
		{"no language", func(p *Passport) { p.Model.Languages = nil }, "model.languages", "empty"},
		{"no licence", func(p *Passport) { p.Model.Licence = "" }, "model.licence", "SPDX"},
		{"unknown rights", func(p *Passport) { p.Model.Licence = "NOASSERTION" }, "model.licence", "SPDX"},
		{"a broken licence", func(p *Passport) { p.Model.Licence = "MIT OR" }, "model.licence", "SPDX"},
		{"a licence in brackets that do not close", func(p *Passport) { p.Model.Licence = "(MIT" }, "model.licence", "SPDX"},
		{"no issuer", func(p *Passport) { p.Issuer.Name = "" }, "issuer.name", "empty"},
		{"a country in small letters", func(p *Passport) { p.Issuer.Country = "kr" }, "issuer.country", "country code"},
		{"nowhere to ask", func(p *Passport) { p.Revocation.Address = "" }, "revocation.address", "empty"},
		{"no list to ask for", func(p *Passport) { p.Revocation.Digest = "sha256:12" }, "revocation.digest", "want sha256"},
		{"another model's digest", func(p *Passport) { p.Model.Digest = digest("other") }, "model.digest", "the files listed give"},
		{"a file that was changed", func(p *Passport) { p.Files[0].Digest = digest("other") }, "model.digest", "the files listed give"},
		{"a file left out", func(p *Passport) { p.Files = p.Files[1:] }, "model.digest", "the files listed give"},
		{"a file twice", func(p *Passport) { p.Files = append(p.Files, p.Files[0]) }, "files[5].path", "twice"},
		{"the passport as one of its files", func(p *Passport) { p.Files[0].Path = File }, "files[0].path", "twice"},
		{"no weights", func(p *Passport) { setRole(p, FileWeights, FileDocument) }, "files", "weights"},
		{"no tokenizer", func(p *Passport) { setRole(p, FileTokenizer, FileDocument) }, "files", "tokenizer"},
		{"no configuration", func(p *Passport) { setRole(p, FileConfiguration, FileDocument) }, "files", "configuration"},
		{"a file of unknown role", func(p *Passport) { p.Files[0].Role = "spell" }, "files[0].role", "one of"},
		{"a file of negative size", func(p *Passport) { p.Files[0].Size = -1 }, "files[0].size", "outside"},
		{"a view left out", func(p *Passport) { p.Views = p.Views[1:] }, "views", ViewCycloneDX},
		{"a view twice", func(p *Passport) { p.Views = append(p.Views, p.Views[0]) }, "views[8].path", "twice"},
		{"a view without a digest", func(p *Passport) { p.Views[0].Digest = "" }, "views[0].digest", "want sha256"},
		{"a list without end", func(p *Passport) { p.Data.Removed = make([]Removal, listMax+1) }, "data.removed", "at most"},
	})
}

func setRole(p *Passport, from, to string) {
	for i := range p.Files {
		if p.Files[i].Role == from {
			p.Files[i].Role = to
		}
	}
}

func TestDataRefused(t *testing.T) {
	checkRefused(t, []refused{
		{"no sources", func(p *Passport) { p.Data.Sources = nil }, "data.sources", "empty"},
		{"no owner", func(p *Passport) { p.Data.Sources[0].Owner = "" }, "data.sources[0].owner", "empty"},
		{"no ground to use it", func(p *Passport) { p.Data.Sources[1].Consent = "" }, "data.sources[1].consent", "empty"},
		{"no licence", func(p *Passport) { p.Data.Sources[1].Licence = "none whatever" }, "data.sources[1].licence", "SPDX"},
		{"unknown kind", func(p *Passport) { p.Data.Sources[0].Kind = "found" }, "data.sources[0].kind", "one of"},
		{"unknown class", func(p *Passport) { p.Data.Sources[0].Class = "secret" }, "data.sources[0].class", "one of"},
		{"the same source twice", func(p *Passport) { p.Data.Sources[1].Name = "essays" }, "data.sources[1].name", "twice"},
		{"more used than there were", func(p *Passport) { p.Data.Sources[0].DocumentsUsed = 101 }, "data.sources[0].documents_used", "cannot be used"},
		{"negative documents", func(p *Passport) { p.Data.Sources[0].Documents = -1 }, "data.sources[0].documents", "outside"},
		{"documents that nobody removed", func(p *Passport) { p.Data.Removed[0].Documents = 1 }, "data.removed", "150 documents came in and 12 were removed, but the corpus has 137"},
		{"documents from nowhere", func(p *Passport) { p.Data.Sources[0].DocumentsUsed = 93 }, "data.sources", "138 documents are used"},
		{"a filter that adds documents", func(p *Passport) { p.Data.Removed[0].Documents = -2 }, "data.removed[0].documents", "outside"},
		{"a filter without version", func(p *Passport) { p.Data.Removed[0].Version = "" }, "data.removed[0].version", "empty"},
		{"tokens from nowhere", func(p *Passport) { p.Data.Corpus.Tokens++ }, "data.sources", "60000 tokens are used, but the corpus has 60001"},
		{"more tokens counted than there are", func(p *Passport) {
			p.Data.Sources[1].TokensUsed = Unknown
			p.Data.Corpus.Tokens = 40_000
		}, "data.sources", "41000 tokens are used"},
		{"a negative count that means nothing", func(p *Passport) { p.Data.Sources[1].TokensUsed = -2 }, "data.sources[1].tokens_used", "unknown"},
		{"more held out than there are", func(p *Passport) { p.Data.Corpus.HeldOut = 138 }, "data.corpus.held_out", "cannot be held out"},
		{"an empty corpus", func(p *Passport) { p.Data.Corpus.Documents = 0 }, "data.corpus", "must hold"},
		{"no way of finding personal data", func(p *Passport) { p.Data.PersonalData.Method = "" }, "data.personal_data.method", "empty"},
		{"a negative find", func(p *Passport) { p.Data.PersonalData.Found[0].Count = -1 }, "data.personal_data.found[0].count", "outside"},
		{"no word on rights", func(p *Passport) { p.Data.RightsReserved.Ko = "" }, "data.rights_reserved.ko", "empty"},
		{"no report", func(p *Passport) { p.Data.Report = "" }, "data.report", "want sha256"},
		{"another report", func(p *Passport) { p.Data.Report = digest("other") }, "data.report", "not among the outputs"},
		{"sums that wrap around", func(p *Passport) { p.Data.Sources[0].Documents = 1 << 62 }, "data.sources[0].documents", "outside"},
	})
}

func TestChainRefused(t *testing.T) {
	const curate, tokenizer, train, evaluate = 0, 1, 2, 3
	checkRefused(t, []refused{
		{"a stage left out", func(p *Passport) { p.Stages = p.Stages[1:] }, "stages", "curate is missing"},
		{"a stage twice", func(p *Passport) { p.Stages = append(p.Stages, p.Stages[0]) }, "stages[4].kind", "twice"},
		{"an unknown stage", func(p *Passport) { p.Stages[0].Kind = "distil" }, "stages[0].kind", "one of"},
		{"trained on another corpus", func(p *Passport) { p.Stages[train].Inputs[0].retree("other") }, "stages.train.inputs", "is not the corpus that the curate stage wrote"},
		{"trained on no corpus", func(p *Passport) { p.Stages[train].Inputs = p.Stages[train].Inputs[1:] }, "stages.train.inputs", "no input has the role corpus"},
		{"trained with another tokenizer", func(p *Passport) { p.Stages[train].Inputs[1].retree("other") }, "stages.train.inputs", "is not the tokenizer"},
		{"a tokenizer of another corpus", func(p *Passport) { p.Stages[tokenizer].Inputs[0].retree("other") }, "stages.tokenizer.inputs", "is not the corpus"},
		{"another model was evaluated", func(p *Passport) { p.Stages[evaluate].Inputs[2].retree("other") }, "stages.evaluate.inputs", "is not the model that the train stage wrote"},
		{"evaluated with another tokenizer", func(p *Passport) { p.Stages[evaluate].Inputs[1].retree("other") }, "stages.evaluate.inputs", "is not the tokenizer"},
		{"evaluated on another corpus", func(p *Passport) { p.Stages[evaluate].Inputs[0].retree("other") }, "stages.evaluate.inputs", "is not the corpus"},
		{"the corpus is not what curation wrote", func(p *Passport) { p.Data.Corpus.Digest = digest("other") }, "data.corpus.digest", "is not the corpus"},
		{"a source that was not read", func(p *Passport) { p.Data.Sources[0].Digest = digest("other") }, "stages.curate.inputs", "essays"},
		{"a source that is not told of", func(p *Passport) {
			p.Stages[curate].Inputs = append(p.Stages[curate].Inputs, Material{Role: RoleSource, Name: "hidden", Digest: digest("hidden")})
		}, "data.sources", "hidden"},
		{"weights that were not trained", func(p *Passport) { p.Stages[train].Outputs[0].relist("model.safetensors", digest("other")) }, "files", "model.safetensors is not what the training stage wrote"},
		{"a tokenizer that was not learned", func(p *Passport) { p.Stages[tokenizer].Outputs[0].relist("tokenizer.json", digest("other")) }, "files", "tokenizer.json is not what the tokenizer stage wrote"},
		{"weights without the listing that proves them", func(p *Passport) { p.Stages[train].Outputs[0].Listing = "" }, "files", "model.safetensors"},
		{"files named without their listing", func(p *Passport) {
			m := &p.Stages[train].Outputs[0]
			m.Files, m.Listing = []MaterialFile{{"model.safetensors", digest("x")}}, ""
		}, "stages[2].outputs[0].files", "without the listing"},
		{"a file that its listing has not", func(p *Passport) {
			p.Stages[train].Outputs[0].Files = []MaterialFile{{"more.safetensors", digest("x")}}
		}, "stages[2].outputs[0].files[0]", "not in the listing"},
		{"a listing of something else", func(p *Passport) { p.Stages[train].Outputs[0].Listing += " " }, "stages[2].outputs[0].listing", "the material has"},
		{"a listing that is none", func(p *Passport) {
			m := &p.Stages[train].Outputs[0]
			m.Listing = "{}"
			m.Digest = unit.DigestOf([]byte(m.Listing))
		}, "stages[2].outputs[0].listing", "format"},
		{"trained before the corpus was there", func(p *Passport) { p.Stages[train].Started = instant(1) }, "stages.train.started", "before the curate stage finished"},
		{"finished before it began", func(p *Passport) { p.Stages[train].Finished = instant(4) }, "stages[2].finished", "before started"},
		{"issued before the evaluation", func(p *Passport) { p.Issued = instant(32) }, "issued", "before the evaluation finished"},
		{"no tool", func(p *Passport) { p.Stages[train].Tools = nil }, "stages[2].tools", "empty"},
		{"a tool without origin", func(p *Passport) { p.Stages[train].Tools[0].Origin = "" }, "stages[2].tools[0].origin", "country code"},
		{"no recipe", func(p *Passport) { p.Stages[train].Recipe = Material{} }, "stages[2].recipe.role", "recipe"},
		{"no outputs", func(p *Passport) { p.Stages[evaluate].Outputs = nil }, "stages[3].outputs", "empty"},
		{"a base model of unknown rights", func(p *Passport) {
			p.Stages[train].Inputs = append(p.Stages[train].Inputs, Material{Role: RoleBase, Name: "base", Digest: digest("base"), Origin: "US"})
		}, "stages[2].inputs[2].licence", "SPDX"},
	})
}

// retree gives the material another digest.
func (m *Material) retree(name string) { m.Digest, m.Listing = digest(name), "" }

// relist changes one file of the tree everywhere in it: the digest of the tree
// changes too, so the stages after it no longer fit either.
func (m *Material) relist(path string, d unit.Digest) {
	t, err := ParseTree([]byte(m.Listing))
	if err != nil {
		panic(err)
	}
	for i := range t.Files {
		if t.Files[i].Path == path {
			t.Files[i].Digest = d
		}
	}
	listing, _ := json.Marshal(t)
	m.Listing, m.Digest = string(listing), unit.DigestOf(listing)
}

func TestTrainingRefused(t *testing.T) {
	checkRefused(t, []refused{
		{"no devices", func(p *Passport) { p.Training.Devices = nil }, "training.devices", "empty"},
		{"no device of a kind", func(p *Passport) { p.Training.Devices[0].Count = 0 }, "training.devices[0].count", "not positive"},
		{"a device nowhere", func(p *Passport) { p.Training.Devices[0].Site = "busan" }, "training.devices[0].site", "not among the sites"},
		{"no steps", func(p *Passport) { p.Training.Steps = 0 }, "training", "positive"},
		{"FLOP in words", func(p *Passport) { p.Training.FLOP = "7e12" }, "training.flop", "plain integer"},
		{"FLOP with a sign", func(p *Passport) { p.Training.FLOP = "+7" }, "training.flop", "plain integer"},
		{"FLOP without end", func(p *Passport) { p.Training.FLOP = strings.Repeat("9", 41) }, "training.flop", "plain integer"},
		{"no FLOP", func(p *Passport) { p.Training.FLOP = "0" }, "training.flop", "positive"},
		{"negative energy", func(p *Passport) { p.Training.EnergyKWh = -1 }, "training.energy_kwh", "negative"},
		{"energy of unknown class", func(p *Passport) { p.Training.EnergyClass = "guessed" }, "training.energy_class", "one of"},
		{"a figure for unknown energy", func(p *Passport) { p.Training.EnergyClass = EnergyUnknown }, "training.energy_kwh", "unknown"},
		{"a loss log of another stage", func(p *Passport) { p.Training.LossLog = digest("other") }, "training.loss_log", "not among the outputs"},
		{"resumed before it stopped", func(p *Passport) { p.Training.Interruptions[1].Resumed = instant(14) }, "training.interruptions[1]", "out of order"},
		{"stopped twice at once", func(p *Passport) { p.Training.Interruptions[1].At = instant(8) }, "training.interruptions[1]", "out of order"},
		{"stopped after the end", func(p *Passport) { p.Training.Interruptions[1].Resumed = instant(31) }, "training.interruptions[1]", "outside the training stage"},
		{"went on from a step that is not there", func(p *Passport) { p.Training.Interruptions[1].Step = 301 }, "training.interruptions[1].step", "301 of 300"},
		{"went on from no checkpoint", func(p *Passport) { p.Training.Interruptions[1].Checkpoint = "" }, "training.interruptions[1].checkpoint", "want sha256"},
		{"class below a source's", func(p *Passport) { p.Model.Class = "public" }, "model.class", "the source reports is internal"},
		{"kept where a source forbids", func(p *Passport) { p.Model.Residency = []string{"KR", "US"} }, "model.residency", "US, but the source reports"},
		{"kept anywhere against a source", func(p *Passport) { p.Model.Residency = nil }, "model.residency", "anywhere, but the source reports"},
		{"trained where a source forbids", func(p *Passport) { p.Training.Sites[0].Country = "US" }, "training.sites", "daejeon is in US"},
	})
}

func TestIndependenceIsDerived(t *testing.T) {
	checkRefused(t, []refused{
		{"from scratch, yet there are base weights", func(p *Passport) {
			p.Stages[2].Inputs = append(p.Stages[2].Inputs, Material{Role: RoleBase, Name: "base", Digest: digest("base"), Origin: "KR", Licence: "MIT"})
		}, "independence.from_scratch", "true, but the stages say false"},
		{"base weights are not told of", func(p *Passport) {
			p.Stages[2].Inputs = append(p.Stages[2].Inputs, Material{Role: RoleBase, Name: "base", Digest: digest("base"), Origin: "KR", Licence: "MIT"})
			p.Independence.FromScratch = false
		}, "independence.base_weights", "base (KR)"},
		{"base weights that nothing tells of", func(p *Passport) { p.Independence.FromScratch = false }, "independence.from_scratch", "false, but"},
		{"data from abroad passed over", func(p *Passport) { p.Independence.ForeignData = nil }, "independence.foreign_data", "reports (SG)"},
		{"data from abroad made out as our own", func(p *Passport) { p.Independence.ForeignData[0].Origin = "KR" }, "independence.foreign_data", "reports (SG)"},
		{"tools passed over", func(p *Passport) { p.Independence.ForeignTools = nil }, "independence.foreign_tools", "gonum 0.17.0 (ZZ)"},
		{"tools made up", func(p *Passport) {
			p.Independence.ForeignTools = append(p.Independence.ForeignTools, Lineage{"zlib", "ZZ", "Zlib"})
		}, "independence.foreign_tools", "is not what"},
	})
	// Whoever fills it in, Write says what the lineage gives.
	r := newRelease(t)
	p := copyOf(t, r.passport)
	p.Independence = Independence{FromScratch: false, BaseWeights: []Lineage{{"made up", "XX", "MIT"}}}
	written, err := Write(r.dir, p)
	if err != nil {
		t.Fatal(err)
	}
	if !written.Independence.FromScratch || len(written.Independence.BaseWeights) != 0 || len(written.Independence.ForeignTools) != 1 {
		t.Errorf("written: %+v", written.Independence)
	}
}

func TestEvaluationRefused(t *testing.T) {
	checkRefused(t, []refused{
		{"results of another model", func(p *Passport) { p.Evaluation.Subject = digest("other") }, "evaluation.subject", "the model is"},
		{"no results", func(p *Passport) { p.Evaluation.Results = nil }, "evaluation.results", "empty"},
		{"a result twice", func(p *Passport) { p.Evaluation.Results = append(p.Evaluation.Results, p.Evaluation.Results[0]) }, "evaluation.results[4].name", "twice"},
		{"outputs that are not there", func(p *Passport) { p.Evaluation.Results[0].Outputs = digest("other") }, "evaluation.results[0].outputs", "not among the outputs"},
		{"measured on what was not read", func(p *Passport) { p.Evaluation.Results[0].SetHash = digest("other") }, "evaluation.results[0].set_digest", "not among the inputs"},
		{"no samples", func(p *Passport) { p.Evaluation.Results[0].Samples = 0 }, "evaluation.results[0].samples", "not positive"},
		{"better neither way", func(p *Passport) { p.Evaluation.Results[0].Better = "more" }, "evaluation.results[0].better", "one of"},
		{"the gate of another model", func(p *Passport) { p.Gate.Subject = digest("other") }, "gate.subject", "the model is"},
		{"a gate without conditions", func(p *Passport) { p.Gate.Conditions = nil }, "gate.conditions", "stops nothing"},
		{"a gate that was not passed", func(p *Passport) { p.Gate.Passed = false }, "gate.passed", "not passed"},
		{"a score that does not hold", func(p *Passport) {
			p.Evaluation.Results[0].Value = 2_500_000
			p.Gate.Conditions[0].Value, p.Gate.Conditions[0].Holds = 2_500_000, false
		}, "gate.conditions[0]", "does not hold: 2.5 against 2.411"},
		{"a score made better in the gate", func(p *Passport) { p.Evaluation.Results[0].Value = 2_500_000 }, "gate.conditions[0].value", "1.934, but the results say 2.5"},
		{"a limit made easier", func(p *Passport) { p.Gate.Conditions[1].Limit = 2000 }, "gate.conditions[1].limit", "0.002, but the results say 0.001"},
		{"a verdict turned round", func(p *Passport) { p.Gate.Conditions[1].Holds = false }, "gate.conditions[1].holds", "compared with"},
		{"a score nobody measured", func(p *Passport) { p.Gate.Conditions[0].Condition = "wit > 0.5" }, "gate.conditions[0].condition", "not measured"},
		{"a limit nobody knows", func(p *Passport) { p.Gate.Conditions[0].Condition = "bits_per_byte < enough" }, "gate.conditions[0].condition", "no number"},
		{"no comparison", func(p *Passport) { p.Gate.Conditions[0].Condition = "bits_per_byte ~ 2" }, "gate.conditions[0].condition", "none of"},
		{"decided before it was measured", func(p *Passport) { p.Gate.Decided = instant(32) }, "gate.decided", "before the evaluation finished"},
	})
}

func TestApprovalsRefused(t *testing.T) {
	checkRefused(t, []refused{
		{"one person is enough", func(p *Passport) { p.Approvals.Required = 1 }, "approvals.required", "at least 2"},
		{"one approval", func(p *Passport) { p.Approvals.Given = p.Approvals.Given[:1] }, "approvals.given", "1 of 2"},
		{"one person twice", func(p *Passport) { p.Approvals.Given[1].Person = "P12" }, "approvals.given[1].person", "P12 approved twice"},
		{"nobody", func(p *Passport) { p.Approvals.Given[0].Person = "" }, "approvals.given[0].person", "empty"},
		{"another model was approved", func(p *Passport) { p.Approvals.Given[0].Subject = digest("other") }, "approvals.given[0].subject", "the model is"},
		{"approved before the gate", func(p *Passport) { p.Approvals.Given[0].At = instant(34) }, "approvals.given[0].at", "before the gate"},
		{"approved after the passport", func(p *Passport) { p.Approvals.Given[0].At = instant(51) }, "approvals.given[0].at", "after the passport"},
		{"three wanted, two given", func(p *Passport) { p.Approvals.Required = 3 }, "approvals.given", "2 of 3"},
	})
}

// TestUnknownIsAllowed: what nobody measured may be said to be unknown.
func TestUnknownIsAllowed(t *testing.T) {
	good := newRelease(t).passport
	for name, change := range map[string]func(*Passport){
		"energy":              func(p *Passport) { p.Training.EnergyKWh, p.Training.EnergyClass = 0, EnergyUnknown },
		"tokens of a source":  func(p *Passport) { p.Data.Sources[0].TokensUsed = Unknown },
		"tokens of all":       func(p *Passport) { p.Data.Sources[0].TokensUsed, p.Data.Sources[1].TokensUsed = Unknown, Unknown },
		"date of a source":    func(p *Passport) { p.Data.Sources[0].Collected = 0 },
		"files of a source":   func(p *Passport) { p.Stages[0].Inputs[0].Listing = "" },
		"no decontamination":  func(p *Passport) { p.Data.Decontamination.Against = nil },
		"nothing interrupted": func(p *Passport) { p.Training.Interruptions = nil },
	} {
		t.Run(name, func(t *testing.T) {
			r := &release{TB: t, dir: t.TempDir()}
			p := copyOf(t, good)
			change(&p)
			if _, err := Write(r.dir, p); err != nil {
				t.Fatal(err)
			}
			for _, view := range []string{"bom.cdx.json", "bom.spdx.json", "eu-training-content.md", "notice-ko.md"} {
				if text := r.read("passport/" + view); strings.Contains(text, "1970") || strings.Contains(text, `"-1"`) || strings.Contains(text, " -1 ") {
					t.Errorf("%s states what nobody knows:\n%s", view, text)
				}
			}
		})
	}
}

func TestDocumentsRefused(t *testing.T) {
	good, err := Encode(newRelease(t).passport)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(from, to string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, from) {
				t.Fatalf("the passport has no %q", from)
			}
			return strings.Replace(s, from, to, 1)
		}
	}
	rows := []struct {
		name    string
		change  func(string) string
		field   string
		problem string
	}{
		{"unknown field", edit(`"issued":`, `"score": 1, "issued":`), "score", "unknown"},
		{"unknown field deep inside", edit(`"energy_kwh":`, `"energy_kw": "1", "energy_kwh":`), "training.energy_kw", "unknown"},
		{"field in other letter case", edit(`"issued":`, `"Issued":`), "Issued", "unknown"},
		{"field given twice", edit(`"issued":`, `"issued": 1, "issued":`), "issued", "twice"},
		{"field missing", edit(`"passed": true`, `"x": true`), "gate.x", "unknown"},
		{"list missing", func(s string) string { return dropField(t, s, "removed") }, "data.removed", "missing"},
		{"null for a list", func(s string) string { return nullField(t, s, "removed") }, "data.removed", "null"},
		{"unknown form", edit(Format, "gaon.passport/2"), "format", "not known"},
		{"a decimal not in its shortest form", edit(`"0.041"`, `"0.0410"`), "document", "write it as 0.041"},
		{"a decimal as a number", edit(`"0.041"`, `0.041`), "training.energy_kwh", "does not fit"},
		{"something after the document", func(s string) string { return s + "{}" }, "document", "after the end"},
		{"cut short", func(s string) string { return s[:len(s)/2] }, "", ""},
		{"nothing", func(string) string { return "" }, "document", "too early"},
		{"a whole number beyond 64 bits", edit(`"steps": 300`, `"steps": 99999999999999999999`), "training.steps", "does not fit"},
		{"too long", func(s string) string { return s + strings.Repeat(" ", passportBytesMax) }, "document", "at most"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			_, err := Parse([]byte(row.change(string(good))))
			if err == nil {
				t.Fatal("accepted")
			}
			if row.field != "" {
				mustField(t, err, row.field, row.problem)
			}
		})
	}
	again, err := Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := Encode(again); err != nil || !bytes.Equal(back, good) {
		t.Errorf("a second trip gives other bytes: %v", err)
	}
}

// dropField and nullField edit data.removed, whatever it holds.
func dropField(t *testing.T, document, name string) string {
	return replaceField(t, document, name, "")
}

func nullField(t *testing.T, document, name string) string {
	return replaceField(t, document, name, `"`+name+`": null,`)
}

func replaceField(t *testing.T, document, name, with string) string {
	t.Helper()
	from := strings.Index(document, `"`+name+`": [`)
	to := strings.Index(document[max(from, 0):], "],")
	if from < 0 || to < 0 {
		t.Fatalf("no list %s", name)
	}
	return document[:from] + with + document[from+to+len("],"):]
}

// TestOldDocuments: what was written once is read for ever.
func TestOldDocuments(t *testing.T) {
	r := newRelease(t)
	golden(t, "passport-1.json", []byte(r.read(File)))
	golden(t, "proof-1.json", []byte(r.read(ProofFile)))
	p, err := Parse([]byte(r.read(File)))
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(p); err != nil {
		t.Error(err)
	}
}

// TestTooLongToRead: what nobody could read is not written.
func TestTooLongToRead(t *testing.T) {
	r := newRelease(t)
	p := copyOf(t, r.passport)
	var files []TreeFile
	for i := range 200_000 {
		files = append(files, treeFile(fmt.Sprintf("%06d.txt", i), "x"))
	}
	big := tree(RoleLog, "scraps", files...)
	p.Stages[0].Outputs = append(p.Stages[0].Outputs, big)
	_, err := Write(t.TempDir(), p)
	mustField(t, err, "document", "at most")
}
