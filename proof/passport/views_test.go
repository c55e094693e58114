package passport

import (
	"encoding/json"
	"path"
	"strings"
	"testing"
)

// TestViewsGolden: the views' bytes follow from the passport alone; the diff
// of a golden file is reviewed as code.
func TestViewsGolden(t *testing.T) {
	r := newRelease(t)
	for _, view := range r.passport.Views {
		golden(t, path.Base(view.Path), []byte(r.read(view.Path)))
	}
}

// node is a JSON value under test; paths name fields and items: "a.b.0".
type node struct {
	testing.TB
	name  string
	value any
}

func readNode(t testing.TB, name, text string) node {
	t.Helper()
	var value any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return node{t, name, value}
}

func (n node) at(where string) node {
	n.Helper()
	value := n.value
	for _, word := range strings.Split(where, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[word]
		case []any:
			var i int
			if json.Unmarshal([]byte(word), &i) != nil || i >= len(v) {
				n.Fatalf("%s: %s has %d items", n.name, where, len(v))
			}
			value = v[i]
		}
	}
	return node{n.TB, n.name + "." + where, value}
}

// need wants each of the fields to be there and to say something.
func (n node) need(fields ...string) {
	n.Helper()
	for _, field := range fields {
		switch v := n.at(field).value.(type) {
		case nil:
			n.Errorf("%s: %s is missing", n.name, field)
		case string:
			if v == "" {
				n.Errorf("%s: %s is empty", n.name, field)
			}
		case []any:
			if len(v) == 0 {
				n.Errorf("%s: %s is an empty list", n.name, field)
			}
		}
	}
}

func (n node) is(field, want string) {
	n.Helper()
	if got := n.at(field).text(); got != want {
		n.Errorf("%s: %s is %q, want %q", n.name, field, got, want)
	}
}

func (n node) text() string {
	text, _ := n.value.(string)
	return text
}

func (n node) items() []node {
	n.Helper()
	list, ok := n.value.([]any)
	if !ok {
		n.Fatalf("%s is no list", n.name)
	}
	var all []node
	for _, value := range list {
		all = append(all, node{n.TB, n.name + "[]", value})
	}
	return all
}

// TestCycloneDXShape holds the bill against what CycloneDX 1.6 requires
// (bom-1.6.schema.json, "required") and what a machine-learning bill is for.
func TestCycloneDXShape(t *testing.T) {
	r := newRelease(t)
	bom := readNode(t, "bom", r.read("passport/bom.cdx.json"))
	bom.is("bomFormat", "CycloneDX")
	bom.is("specVersion", "1.6")
	bom.is("metadata.component.type", "machine-learning-model")
	bom.need("serialNumber", "version", "metadata.timestamp", "metadata.component.name", "metadata.component.modelCard.modelParameters.datasets",
		"metadata.component.modelCard.quantitativeAnalysis.performanceMetrics", "metadata.component.modelCard.considerations.technicalLimitations")
	for _, energy := range bom.at("metadata.component.modelCard.considerations.environmentalConsiderations.energyConsumptions").items() {
		energy.is("activity", "training")
		energy.need("energyProviders", "activityEnergyCost.value")
		energy.is("activityEnergyCost.unit", "kWh")
		for _, provider := range energy.at("energyProviders").items() {
			provider.need("organization.name", "energySource", "energyProvided.value")
		}
	}
	refs := map[string]bool{bom.at("metadata.component.bom-ref").text(): true}
	for _, c := range bom.at("components").items() {
		c.need("type", "name", "bom-ref", "hashes")
		c.is("hashes.0.alg", "SHA-256")
		if ref := c.at("bom-ref").text(); refs[ref] {
			t.Errorf("bom-ref %s is used twice", ref)
		} else {
			refs[ref] = true
		}
		if c.at("type").text() == "data" {
			c.need("data.0.type", "data.0.governance.owners")
		}
	}
	for _, set := range bom.at("metadata.component.modelCard.modelParameters.datasets").items() {
		if !refs[set.at("ref").text()] {
			t.Errorf("dataset %s is no component", set.at("ref").text())
		}
	}
	for _, d := range bom.at("dependencies").items() {
		for _, on := range d.at("dependsOn").items() {
			if !refs[on.text()] {
				t.Errorf("dependency on %s, which is no component", on.text())
			}
		}
	}
}

// TestSPDXShape holds the bill against what SPDX 3.0.1 requires of elements
// and of the profiles ai and dataset.
func TestSPDXShape(t *testing.T) {
	r := newRelease(t)
	document := readNode(t, "spdx", r.read("passport/bom.spdx.json"))
	document.is("@context", "https://spdx.org/rdf/3.0.1/spdx-context.jsonld")
	elements, count := map[string]node{}, map[string]int{}
	for _, e := range document.at("@graph").items() {
		kind := e.at("type").text()
		count[kind]++
		if kind == "CreationInfo" {
			e.is("specVersion", "3.0.1")
			e.need("created", "createdBy", "@id")
			continue
		}
		e.need("spdxId")
		e.is("creationInfo", "_:creation")
		id := e.at("spdxId").text()
		if _, twice := elements[id]; twice {
			t.Errorf("%s is there twice", id)
		}
		elements[id] = e
		switch kind {
		case "ai_AIPackage":
			e.need("name", "software_packageVersion", "software_downloadLocation", "software_primaryPurpose", "releaseTime", "suppliedBy", "ai_typeOfModel",
				"ai_energyConsumption.ai_trainingEnergyConsumption.0.ai_energyQuantity", "ai_limitation", "ai_metric", "ai_hyperparameter", "ai_informationAboutTraining")
		case "dataset_DatasetPackage":
			e.need("name", "software_downloadLocation", "software_primaryPurpose", "originatedBy", "builtTime", "releaseTime", "dataset_datasetType", "verifiedUsing.0.hashValue")
		case "SpdxDocument":
			e.need("rootElement", "profileConformance")
		}
	}
	for _, kind := range []string{"CreationInfo", "SpdxDocument", "software_Sbom", "ai_AIPackage"} {
		if count[kind] != 1 {
			t.Errorf("%d elements of type %s, want 1", count[kind], kind)
		}
	}
	if want := len(r.passport.Data.Sources) + 2; count["dataset_DatasetPackage"] != want {
		t.Errorf("%d datasets, want %d", count["dataset_DatasetPackage"], want)
	}
	links := map[string]int{}
	for _, e := range elements {
		if e.at("type").text() != "Relationship" {
			continue
		}
		kind := e.at("relationshipType").text()
		for _, to := range append(e.at("to").items(), e.at("from")) {
			if _, known := elements[to.text()]; !known {
				t.Errorf("relationship %s with %s, which is no element", kind, to.text())
			}
		}
		links[kind] += len(e.at("to").items())
	}
	// Profiles ai and dataset: exactly one declared and one concluded licence
	// for each package.
	packages := count["ai_AIPackage"] + count["dataset_DatasetPackage"]
	if links["hasDeclaredLicense"] != packages || links["hasConcludedLicense"] != packages || links["trainedOn"] != 2 || links["testedOn"] != 2 {
		t.Errorf("links: %v", links)
	}
}

// TestProvenanceShape holds each statement against in-toto Statement v1 and
// SLSA Provenance v1.
func TestProvenanceShape(t *testing.T) {
	r := newRelease(t)
	for _, s := range r.passport.Stages {
		made := readNode(t, s.Kind, r.read("passport/provenance-"+s.Kind+".json"))
		made.is("_type", "https://in-toto.io/Statement/v1")
		made.is("predicateType", "https://slsa.dev/provenance/v1")
		made.need("predicate.buildDefinition.buildType", "predicate.buildDefinition.externalParameters", "predicate.runDetails.builder.id",
			"predicate.runDetails.metadata.invocationId", "predicate.runDetails.metadata.startedOn", "predicate.runDetails.metadata.finishedOn")
		for i, subject := range made.at("subject").items() {
			subject.is("digest.sha256", s.Outputs[i].Digest.Hex())
		}
		dependencies := made.at("predicate.buildDefinition.resolvedDependencies").items()
		if len(dependencies) != len(s.Inputs)+1 {
			t.Errorf("%s: %d dependencies, want the recipe and %d inputs", s.Kind, len(dependencies), len(s.Inputs))
		}
		for _, d := range dependencies {
			d.need("digest.sha256", "uri", "name")
		}
	}
	if _, err := Provenance(Passport{}, StageTrain); err == nil {
		t.Error("made the provenance of a stage that is not there")
	}
}

// TestSummaries: what the law asks for is said, and text from outside stays in
// its cell.
func TestSummaries(t *testing.T) {
	r := newRelease(t)
	eu := r.read("passport/eu-training-content.md")
	for _, word := range []string{"Article 53(1)(d)", "2.1 Publicly available datasets", "2.3 Data crawled", "less than 1 billion tokens", "Statistics Office", "threshold of 10^25: not reached", "none: trained from scratch"} {
		mustName(t, eu, word)
	}
	notice := r.read("passport/notice-ko.md")
	for _, word := range []string{"인공지능기본법 제31조", "생성형 인공지능", "10^26", "미만입니다", "7077888000000", "철회 확인"} {
		mustName(t, notice, word)
	}
	p := copyOf(t, r.passport)
	p.Training.FLOP = "100000000000000000000000000"
	p.Data.Sources[0].Owner = "a|b\n<script>alert(1)</script>[x](y)"
	notice2, err := NoticeKo(p)
	if err != nil {
		t.Fatal(err)
	}
	mustName(t, string(notice2), "이상입니다")
	eu2, err := EUTrainingContent(p)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(eu2), "<script>") || !strings.Contains(string(eu2), `a\|b &lt;script&gt;`) {
		t.Errorf("a name broke out of its cell:\n%s", eu2)
	}
}
