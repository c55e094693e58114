package passport

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/gaon-ai/gaon/internal/unit"
)

// FilesDigest returns the model's digest: SHA-256 over the concatenated raw
// digests of its files in the order of their paths (the root digest of
// OpenSSF Model Signing 6.5.1, over these files alone). It is known before
// the model is signed, so results and approvals can be bound to it.
func FilesDigest(files []ModelFile) unit.Digest {
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b ModelFile) int { return strings.Compare(a.Path, b.Path) })
	sum := sha256.New()
	for _, file := range sorted {
		raw, _ := hex.DecodeString(file.Digest.Hex())
		sum.Write(raw)
	}
	return unit.NewDigest([sha256.Size]byte(sum.Sum(nil)))
}

func stageOf(p Passport, kind string) (Stage, bool) {
	i := slices.IndexFunc(p.Stages, func(s Stage) bool { return s.Kind == kind })
	if i < 0 {
		return Stage{}, false
	}
	return p.Stages[i], true
}

// ofRole returns the materials with the role.
func ofRole(materials []Material, role string) []Material {
	var found []Material
	for _, m := range materials {
		if m.Role == role {
			found = append(found, m)
		}
	}
	return found
}

// checkChain follows the chain from the documents to the evaluated model.
func checkChain(p Passport) []error {
	var f finder
	stages := map[string]Stage{}
	for i, s := range p.Stages {
		field := fmt.Sprintf("stages[%d]", i)
		f.stage(field, s)
		if _, twice := stages[s.Kind]; twice {
			f.add(field+".kind", "the stage %s is listed twice", s.Kind)
		}
		stages[s.Kind] = s
	}
	complete := true
	for _, kind := range []string{StageCurate, StageTokenizer, StageTrain, StageEvaluate} {
		if _, ok := stages[kind]; !ok {
			f.add("stages", "the stage %s is missing", kind)
			complete = false
		}
	}
	if complete {
		f.links(p, stages[StageCurate], stages[StageTokenizer], stages[StageTrain], stages[StageEvaluate])
	}
	return f.found
}

func (f *finder) stage(field string, s Stage) {
	f.oneOf(field+".kind", s.Kind, StageCurate, StageTokenizer, StageTrain, StageEvaluate)
	f.words(field+".run", s.Run, field+".job", s.Job, field+".builder", s.Builder)
	f.need(s.Started > 0 && s.Finished >= s.Started, field+".finished", "is before started")
	f.need(len(s.Tools) > 0, field+".tools", "is empty")
	for i, tool := range s.Tools {
		at := fmt.Sprintf("%s.tools[%d]", field, i)
		f.words(at+".name", tool.Name, at+".version", tool.Version)
		f.country(at+".origin", tool.Origin)
		f.licence(at+".licence", tool.Licence)
	}
	f.material(field+".recipe", s.Recipe, RoleRecipe)
	for i, m := range s.Inputs {
		f.material(fmt.Sprintf("%s.inputs[%d]", field, i), m, m.Role)
	}
	f.need(len(s.Outputs) > 0, field+".outputs", "is empty")
	for i, m := range s.Outputs {
		f.material(fmt.Sprintf("%s.outputs[%d]", field, i), m, m.Role)
	}
}

func (f *finder) material(field string, m Material, role string) {
	f.need(m.Role == role, field+".role", "%q, want %q", m.Role, role)
	f.oneOf(field+".role", m.Role, RoleSource, RoleCorpus, RoleTokenizer, RoleModel, RoleBase, RoleEvaluationSet, RoleOutputs, RoleRecipe, RoleReport, RoleLog)
	f.words(field+".name", m.Name)
	f.digest(field+".digest", m.Digest)
	if m.Role == RoleBase {
		f.country(field+".origin", m.Origin)
		f.licence(field+".licence", m.Licence)
	}
	f.listing(field, m)
}

// links checks that each stage read what the one before it wrote, and that the
// ends of the chain are the sources and the files of this document.
func (f *finder) links(p Passport, curate, tokenizer, train, evaluate Stage) {
	for _, s := range p.Data.Sources {
		f.need(covers(ofRole(curate.Inputs, RoleSource), s.Digest), "stages.curate.inputs", "the source %s (%s) is missing", s.Name, s.Digest)
	}
	for _, m := range ofRole(curate.Inputs, RoleSource) {
		f.need(slices.ContainsFunc(p.Data.Sources, func(s Source) bool { return s.Digest == m.Digest || covers([]Material{m}, s.Digest) }),
			"data.sources", "the input %s (%s) of the curate stage is missing", m.Name, m.Digest)
	}
	f.need(covers(ofRole(curate.Outputs, RoleCorpus), p.Data.Corpus.Digest), "data.corpus.digest", "is not the corpus that the curate stage wrote")
	f.need(covers(curate.Outputs, p.Data.Report), "data.report", "is not among the outputs of the curate stage")

	f.handed(curate, tokenizer, RoleCorpus)
	f.handed(curate, train, RoleCorpus)
	f.handed(tokenizer, train, RoleTokenizer)
	f.handed(train, evaluate, RoleModel)
	// The evaluation need not list corpus and tokenizer, but may read no others.
	if len(ofRole(evaluate.Inputs, RoleCorpus)) > 0 {
		f.handed(curate, evaluate, RoleCorpus)
	}
	if len(ofRole(evaluate.Inputs, RoleTokenizer)) > 0 {
		f.handed(tokenizer, evaluate, RoleTokenizer)
	}
	for _, file := range p.Files {
		switch file.Role {
		case FileTokenizer:
			f.need(covers(ofRole(tokenizer.Outputs, RoleTokenizer), file.Digest), "files", "%s is not what the tokenizer stage wrote", file.Path)
		case FileWeights:
			f.need(covers(ofRole(train.Outputs, RoleModel), file.Digest), "files", "%s is not what the training stage wrote", file.Path)
		}
	}
	f.need(p.Issued >= evaluate.Finished, "issued", "is before the evaluation finished")
}

// handed checks that the later stage read exactly what the earlier one wrote
// in this role, and not before it was written.
func (f *finder) handed(from, to Stage, role string) {
	field := "stages." + to.Kind + ".inputs"
	given, taken := ofRole(from.Outputs, role), ofRole(to.Inputs, role)
	f.need(len(given) > 0, "stages."+from.Kind+".outputs", "no output has the role %s", role)
	f.need(len(taken) > 0, field, "no input has the role %s", role)
	for _, m := range taken {
		f.need(slices.ContainsFunc(given, func(g Material) bool { return g.Digest == m.Digest }),
			field, "%s (%s) is not the %s that the %s stage wrote", m.Name, m.Digest, role, from.Kind)
	}
	f.need(to.Started >= from.Finished, "stages."+to.Kind+".started", "is before the %s stage finished", from.Kind)
}

// DeriveIndependence says what came from elsewhere, from the stages and
// sources: base weights from anywhere, data and tools whose origin is not the
// issuer's country.
func DeriveIndependence(p Passport) Independence {
	made := Independence{BaseWeights: []Lineage{}, ForeignData: []Lineage{}, ForeignTools: []Lineage{}}
	for _, s := range p.Stages {
		for _, m := range ofRole(s.Inputs, RoleBase) {
			made.BaseWeights = append(made.BaseWeights, Lineage{m.Name, m.Origin, m.Licence})
		}
		for _, tool := range s.Tools {
			if tool.Origin != p.Issuer.Country {
				made.ForeignTools = append(made.ForeignTools, Lineage{tool.Name + " " + tool.Version, tool.Origin, tool.Licence})
			}
		}
	}
	for _, s := range p.Data.Sources {
		if s.Origin != p.Issuer.Country {
			made.ForeignData = append(made.ForeignData, Lineage{s.Name, s.Origin, s.Licence})
		}
	}
	made.FromScratch = len(made.BaseWeights) == 0
	for _, list := range []*[]Lineage{&made.BaseWeights, &made.ForeignData, &made.ForeignTools} {
		slices.SortFunc(*list, compareLineage)
		*list = slices.Compact(*list)
	}
	return made
}

func compareLineage(a, b Lineage) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	return strings.Compare(a.Origin+" "+a.Licence, b.Origin+" "+b.Licence)
}

// checkIndependence refuses a statement that the lineage does not give.
func checkIndependence(p Passport) []error {
	var f finder
	want, got := DeriveIndependence(p), p.Independence
	f.need(got.FromScratch == want.FromScratch, "independence.from_scratch", "%v, but the stages say %v", got.FromScratch, want.FromScratch)
	for _, list := range []struct {
		field     string
		want, got []Lineage
	}{{"base_weights", want.BaseWeights, got.BaseWeights}, {"foreign_data", want.ForeignData, got.ForeignData}, {"foreign_tools", want.ForeignTools, got.ForeignTools}} {
		f.need(slices.Equal(list.want, list.got), "independence."+list.field, "is not what the stages and sources give: %s", nameList(list.want))
	}
	return f.found
}

func nameList(list []Lineage) string {
	if len(list) == 0 {
		return "none"
	}
	var names []string
	for _, l := range list {
		names = append(names, l.Name+" ("+l.Origin+")")
	}
	return strings.Join(names, ", ")
}
