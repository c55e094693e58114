package passport

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/gaon-ai/gaon/internal/unit"
)

// SPDX returns the bill of materials as SPDX 3.0.1, JSON-LD, conforming to
// the profiles core, software, simpleLicensing, ai and dataset.
func SPDX(p Passport) ([]byte, error) {
	if err := needDigests(p); err != nil {
		return nil, err
	}
	g := spdxGraph{base: "urn:uuid:" + uuidOf(p.Model.Digest) + "#", seen: map[string]bool{}}
	issuer := g.agent(p.Issuer.Name)
	g.nodes = append([]spdxNode{{
		"type": "CreationInfo", "@id": "_:creation", "specVersion": "3.0.1", "created": stamp(p.Issued), "createdBy": []string{issuer},
	}}, g.nodes...)
	model := g.model(p, issuer)
	var trained, tested []string
	for i, s := range p.Data.Sources {
		trained = append(trained, g.source(fmt.Sprintf("source-%d", i+1), s, knownBy(p)))
	}
	for i, m := range evaluationSets(p) {
		tested = append(tested, g.evaluationSet(fmt.Sprintf("evaluation-set-%d", i+1), m, p, issuer))
	}
	g.relate(model, "trainedOn", trained...)
	if len(tested) > 0 {
		g.relate(model, "testedOn", tested...)
	}
	var files []string
	for i, f := range p.Files {
		files = append(files, g.file(fmt.Sprintf("file-%d", i+1), f))
	}
	g.relate(model, "contains", files...)
	bom := g.add("bom", "software_Sbom", spdxNode{"rootElement": []string{model}, "software_sbomType": []string{"build"}})
	g.add("document", "SpdxDocument", spdxNode{"rootElement": []string{bom},
		"profileConformance": []string{"core", "software", "simpleLicensing", "ai", "dataset"}})
	return encodeView(struct {
		Context string     `json:"@context"`
		Graph   []spdxNode `json:"@graph"`
	}{"https://spdx.org/rdf/3.0.1/spdx-context.jsonld", g.nodes})
}

// spdxNode is one element; encoding/json writes a map's keys in order, so the
// bytes are always the same.
type spdxNode map[string]any

type spdxGraph struct {
	base  string
	nodes []spdxNode
	seen  map[string]bool // agents and licences are written once
	links int
}

// add appends an element and returns its identifier.
func (g *spdxGraph) add(name, kind string, node spdxNode) string {
	id := g.base + name
	node["spdxId"], node["type"], node["creationInfo"] = id, kind, "_:creation"
	g.nodes = append(g.nodes, node)
	return id
}

// once appends an element that several others may name.
func (g *spdxGraph) once(name, kind string, node spdxNode) string {
	if g.seen[name] {
		return g.base + name
	}
	g.seen[name] = true
	return g.add(name, kind, node)
}

func (g *spdxGraph) agent(name string) string {
	return g.once("organisation-"+unit.DigestOf([]byte(name)).Short(), "Organization", spdxNode{"name": name})
}

func (g *spdxGraph) licence(expression string) string {
	return g.once("licence-"+unit.DigestOf([]byte(expression)).Short(), "simplelicensing_LicenseExpression",
		spdxNode{"simplelicensing_licenseExpression": expression})
}

func (g *spdxGraph) relate(from, kind string, to ...string) {
	g.links++
	g.add(fmt.Sprintf("relationship-%d", g.links), "Relationship", spdxNode{"from": from, "relationshipType": kind, "to": to})
}

// licensed states both licences, as the profiles ai and dataset want them.
func (g *spdxGraph) licensed(element, expression string) {
	id := g.licence(expression)
	g.relate(element, "hasDeclaredLicense", id)
	g.relate(element, "hasConcludedLicense", id)
}

func spdxHash(d unit.Digest) []spdxNode {
	return []spdxNode{{"type": "Hash", "algorithm": "sha256", "hashValue": d.Hex()}}
}

func spdxEntry(key, value string) spdxNode {
	return spdxNode{"type": "DictionaryEntry", "key": key, "value": value}
}

func (g *spdxGraph) model(p Passport, issuer string) string {
	var settings, metrics []spdxNode
	for _, h := range p.Model.Hyperparameters {
		settings = append(settings, spdxEntry(h.Name, h.Value))
	}
	for _, r := range p.Evaluation.Results {
		metrics = append(metrics, spdxEntry(r.Name, r.Value.String()))
	}
	personal := "no"
	if len(p.Data.PersonalData.Found) > 0 {
		personal = "noAssertion" // replaced as far as it was found
	}
	node := spdxNode{
		"name": p.Model.Name, "description": p.Model.Summary.En, "software_packageVersion": p.Model.Version,
		"software_downloadLocation": p.Issuer.Address, "software_primaryPurpose": "model",
		"releaseTime": stamp(p.Issued), "suppliedBy": issuer,
		"ai_typeOfModel":                 []string{"transformer", p.Model.Architecture},
		"ai_domain":                      []string{"natural language processing"},
		"ai_autonomyType":                "no",
		"ai_limitation":                  p.Model.Limits.En,
		"ai_metric":                      metrics,
		"ai_hyperparameter":              settings,
		"ai_informationAboutApplication": p.Model.Uses.En,
		"ai_informationAboutTraining": fmt.Sprintf("%d steps, %d tokens, %s floating-point operations (%s); energy %s: %s",
			p.Training.Steps, p.Training.Tokens, p.Training.FLOP, p.Training.FLOPMethod, p.Training.EnergyClass, p.Training.EnergyMethod),
		"ai_modelDataPreprocessing":          removalLines(p.Data),
		"ai_useSensitivePersonalInformation": personal,
	}
	if p.Training.EnergyClass != EnergyUnknown {
		node["ai_energyConsumption"] = spdxNode{"type": "ai_EnergyConsumption", "ai_trainingEnergyConsumption": []spdxNode{{
			"type": "ai_EnergyConsumptionDescription", "ai_energyQuantity": p.Training.EnergyKWh.String(), "ai_energyUnit": "kilowattHour"}}}
	}
	for _, key := range []string{"ai_metric", "ai_hyperparameter", "ai_modelDataPreprocessing"} {
		if empty(node[key]) {
			delete(node, key)
		}
	}
	id := g.add("model", "ai_AIPackage", node)
	g.licensed(id, p.Model.Licence)
	return id
}

func empty(v any) bool {
	switch list := v.(type) {
	case []spdxNode:
		return len(list) == 0
	case []string:
		return len(list) == 0
	}
	return false
}

func removalLines(d Data) []string {
	var lines []string
	for _, r := range d.Removed {
		lines = append(lines, fmt.Sprintf("%s %s: %d documents removed", r.Filter, r.Version, r.Documents))
	}
	return lines
}

// spdxLevels are the ways SPDX grades confidentiality, by our classes.
var spdxLevels = map[string]string{"public": "clear", "internal": "green", "confidential": "amber", "national": "red"}

// knownBy is when the documents were there at the latest: SPDX wants a date
// for each dataset, and some sources do not tell theirs.
func knownBy(p Passport) unit.Instant {
	if s, ok := stageOf(p, StageCurate); ok {
		return s.Started
	}
	return p.Issued
}

func (g *spdxGraph) source(name string, s Source, latest unit.Instant) string {
	if s.Collected > 0 {
		latest = s.Collected
	}
	id := g.add(name, "dataset_DatasetPackage", spdxNode{
		"name": s.Name, "software_downloadLocation": s.Address, "software_primaryPurpose": "data",
		"originatedBy": []string{g.agent(s.Owner)}, "builtTime": stamp(latest), "releaseTime": stamp(latest),
		"dataset_datasetType": []string{"text"}, "dataset_datasetSize": s.Documents,
		"dataset_confidentialityLevel":  spdxLevels[s.Class],
		"dataset_dataCollectionProcess": s.Kind + "; " + s.Consent,
		"dataset_intendedUse":           "training",
		"verifiedUsing":                 spdxHash(s.Digest),
	})
	g.licensed(id, s.Licence)
	return id
}

// evaluationSets lists what the model was measured on, each once.
func evaluationSets(p Passport) []Material {
	var sets []Material
	for _, r := range p.Evaluation.Results {
		if m := (Material{Role: RoleEvaluationSet, Name: r.Set, Digest: r.SetHash}); !covers(sets, r.SetHash) {
			sets = append(sets, m)
		}
	}
	return sets
}

func (g *spdxGraph) evaluationSet(name string, m Material, p Passport, issuer string) string {
	id := g.add(name, "dataset_DatasetPackage", spdxNode{
		"name": m.Name, "software_downloadLocation": "urn:gaon:" + string(m.Digest), "software_primaryPurpose": "data",
		"originatedBy": []string{issuer}, "builtTime": stamp(p.Issued), "releaseTime": stamp(p.Issued),
		"dataset_datasetType": []string{"text"}, "dataset_intendedUse": "evaluation", "verifiedUsing": spdxHash(m.Digest),
	})
	g.licensed(id, "NOASSERTION")
	return id
}

func (g *spdxGraph) file(name string, f ModelFile) string {
	purpose := map[string]string{FileWeights: "model", FileTokenizer: "data", FileConfiguration: "configuration", FileDocument: "documentation"}[f.Role]
	return g.add(name, "software_File", spdxNode{"name": f.Path, "software_fileKind": "file", "software_primaryPurpose": purpose, "verifiedUsing": spdxHash(f.Digest)})
}

// needDigests refuses a passport whose digests could not be written as hex.
func needDigests(p Passport) error {
	var f finder
	f.digest("model.digest", p.Model.Digest)
	for i, file := range p.Files {
		f.digest(fmt.Sprintf("files[%d].digest", i), file.Digest)
	}
	for i, s := range p.Data.Sources {
		f.digest(fmt.Sprintf("data.sources[%d].digest", i), s.Digest)
	}
	if len(f.found) > 0 {
		return f.found[0]
	}
	return nil
}

func encodeView(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return out.Bytes(), nil
}
