package passport

import (
	"encoding/json"
	"fmt"
)

// CycloneDX returns the machine-learning bill of materials: CycloneDX 1.6
// (ECMA-424), JSON, with the model card and the sources as data components.
func CycloneDX(p Passport) ([]byte, error) {
	if err := needDigests(p); err != nil {
		return nil, err
	}
	var data []cdxComponent
	var refs []any
	for i, s := range p.Data.Sources {
		ref := fmt.Sprintf("source-%d", i+1)
		refs = append(refs, map[string]string{"ref": ref})
		data = append(data, cdxSource(ref, s))
	}
	bom := cdxBOM{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", SpecVersion: "1.6",
		Serial: "urn:uuid:" + uuidOf(p.Model.Digest), Version: 1,
		Metadata: cdxMetadata{
			Timestamp: stamp(p.Issued),
			Supplier:  cdxOrganisation{Name: p.Issuer.Name, URL: []string{p.Issuer.Address}},
			Component: cdxModel(p, refs),
		},
		Components: append(cdxFiles(p), data...),
	}
	used := []string{}
	for _, c := range bom.Components {
		used = append(used, c.Ref)
	}
	bom.Dependencies = []cdxDependency{{Ref: "model", DependsOn: used}}
	return encodeView(bom)
}

type cdxBOM struct {
	Schema       string          `json:"$schema"`
	Format       string          `json:"bomFormat"`
	SpecVersion  string          `json:"specVersion"`
	Serial       string          `json:"serialNumber"`
	Version      int             `json:"version"`
	Metadata     cdxMetadata     `json:"metadata"`
	Components   []cdxComponent  `json:"components"`
	Dependencies []cdxDependency `json:"dependencies"`
}

type cdxMetadata struct {
	Timestamp string          `json:"timestamp"`
	Supplier  cdxOrganisation `json:"supplier"`
	Component cdxComponent    `json:"component"`
}

type cdxOrganisation struct {
	Name    string      `json:"name"`
	URL     []string    `json:"url,omitempty"`
	Address *cdxAddress `json:"address,omitempty"`
}

type cdxAddress struct {
	Country string `json:"country"`
}

type cdxDependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

type cdxComponent struct {
	Type        string           `json:"type"`
	Ref         string           `json:"bom-ref"`
	Supplier    *cdxOrganisation `json:"supplier,omitempty"`
	Name        string           `json:"name"`
	Version     string           `json:"version,omitempty"`
	Description string           `json:"description,omitempty"`
	Hashes      []cdxHash        `json:"hashes,omitempty"`
	Licences    []cdxLicence     `json:"licenses,omitempty"`
	Card        *cdxCard         `json:"modelCard,omitempty"`
	Data        []cdxData        `json:"data,omitempty"`
	Properties  []Parameter      `json:"properties,omitempty"`
}

type cdxHash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type cdxLicence struct {
	Expression string `json:"expression"`
}

type cdxData struct {
	Type           string        `json:"type"`
	Name           string        `json:"name"`
	Contents       cdxContents   `json:"contents"`
	Classification string        `json:"classification"`
	Governance     cdxGovernance `json:"governance"`
}

type cdxContents struct {
	URL string `json:"url"`
}

type cdxGovernance struct {
	Owners []cdxOwner `json:"owners"`
}

type cdxOwner struct {
	Organisation cdxOrganisation `json:"organization"`
}

type cdxCard struct {
	Parameters     cdxParameters     `json:"modelParameters"`
	Analysis       cdxAnalysis       `json:"quantitativeAnalysis"`
	Considerations cdxConsiderations `json:"considerations"`
}

type cdxParameters struct {
	Approach     cdxApproach `json:"approach"`
	Task         string      `json:"task"`
	Family       string      `json:"architectureFamily"`
	Architecture string      `json:"modelArchitecture"`
	Datasets     []any       `json:"datasets"`
	Inputs       []cdxFormat `json:"inputs"`
	Outputs      []cdxFormat `json:"outputs"`
}

type cdxApproach struct {
	Type string `json:"type"`
}

type cdxFormat struct {
	Format string `json:"format"`
}

type cdxAnalysis struct {
	Metrics []cdxMetric `json:"performanceMetrics"`
}

type cdxMetric struct {
	Type  string `json:"type"`
	Value string `json:"value"`
	Slice string `json:"slice"`
}

type cdxConsiderations struct {
	UseCases    []string        `json:"useCases"`
	Limits      []string        `json:"technicalLimitations"`
	Environment *cdxEnvironment `json:"environmentalConsiderations,omitempty"`
}

type cdxEnvironment struct {
	Energy []cdxEnergy `json:"energyConsumptions"`
}

type cdxEnergy struct {
	Activity  string        `json:"activity"`
	Providers []cdxProvider `json:"energyProviders"`
	Cost      cdxMeasure    `json:"activityEnergyCost"`
}

type cdxProvider struct {
	Description  string          `json:"description"`
	Organisation cdxOrganisation `json:"organization"`
	Source       string          `json:"energySource"`
	Provided     cdxMeasure      `json:"energyProvided"`
}

type cdxMeasure struct {
	Value json.Number `json:"value"`
	Unit  string      `json:"unit"`
}

func cdxModel(p Passport, datasets []any) cdxComponent {
	card := &cdxCard{
		Parameters: cdxParameters{
			Approach: cdxApproach{"self-supervised"}, Task: "text-generation", Family: "transformer", Architecture: p.Model.Architecture,
			Datasets: datasets, Inputs: []cdxFormat{{"text"}}, Outputs: []cdxFormat{{"text"}},
		},
		Considerations: cdxConsiderations{UseCases: []string{p.Model.Uses.En}, Limits: []string{p.Model.Limits.En}},
	}
	if p.Training.EnergyClass != EnergyUnknown {
		card.Considerations.Environment = &cdxEnvironment{Energy: []cdxEnergy{cdxTraining(p)}}
	}
	for _, r := range p.Evaluation.Results {
		card.Analysis.Metrics = append(card.Analysis.Metrics, cdxMetric{r.Name, r.Value.String(), r.Set})
	}
	properties := []Parameter{
		{"gaon:model-digest", string(p.Model.Digest)},
		{"gaon:parameters", fmt.Sprint(p.Model.Parameters)},
		{"gaon:training-flop", p.Training.FLOP},
		{"gaon:training-tokens", fmt.Sprint(p.Training.Tokens)},
		{"gaon:energy-class", p.Training.EnergyClass},
		{"gaon:class", p.Model.Class},
		{"gaon:from-scratch", fmt.Sprint(p.Independence.FromScratch)},
		{"gaon:ledger", p.Ledger.Origin},
		{"gaon:revocations", p.Revocation.Address},
	}
	for _, h := range p.Model.Hyperparameters {
		properties = append(properties, Parameter{"gaon:hyperparameter:" + h.Name, h.Value})
	}
	return cdxComponent{
		Type: "machine-learning-model", Ref: "model", Name: p.Model.Name, Version: p.Model.Version, Description: p.Model.Summary.En,
		Supplier: &cdxOrganisation{Name: p.Issuer.Name, URL: []string{p.Issuer.Address}},
		Licences: []cdxLicence{{p.Model.Licence}}, Card: card, Properties: properties,
	}
}

// cdxTraining: where the power came from is not known to the centre, and the
// form wants a word for it.
func cdxTraining(p Passport) cdxEnergy {
	used := cdxMeasure{json.Number(p.Training.EnergyKWh.String()), "kWh"}
	energy := cdxEnergy{Activity: "training", Cost: used}
	for i, site := range p.Training.Sites {
		provided := cdxMeasure{"0", "kWh"}
		if i == 0 {
			provided = used
		}
		energy.Providers = append(energy.Providers, cdxProvider{
			Description:  site.Name + "; " + p.Training.EnergyClass + ": " + p.Training.EnergyMethod,
			Organisation: cdxOrganisation{Name: p.Issuer.Name, Address: &cdxAddress{site.Country}},
			Source:       "unknown", Provided: provided,
		})
	}
	return energy
}

func cdxFiles(p Passport) []cdxComponent {
	var files []cdxComponent
	for i, f := range p.Files {
		files = append(files, cdxComponent{
			Type: "file", Ref: fmt.Sprintf("file-%d", i+1), Name: f.Path,
			Hashes:     []cdxHash{{"SHA-256", f.Digest.Hex()}},
			Properties: []Parameter{{"gaon:role", f.Role}, {"gaon:size", fmt.Sprint(int64(f.Size))}},
		})
	}
	return files
}

func cdxSource(ref string, s Source) cdxComponent {
	return cdxComponent{
		Type: "data", Ref: ref, Name: s.Name, Hashes: []cdxHash{{"SHA-256", s.Digest.Hex()}},
		Licences: []cdxLicence{{s.Licence}}, Supplier: &cdxOrganisation{Name: s.Owner, Address: &cdxAddress{s.Origin}},
		Data: []cdxData{{Type: "dataset", Name: s.Name, Contents: cdxContents{s.Address}, Classification: s.Class,
			Governance: cdxGovernance{Owners: []cdxOwner{{cdxOrganisation{Name: s.Owner}}}}}},
		Properties: []Parameter{
			{"gaon:kind", s.Kind}, {"gaon:consent", s.Consent},
			{"gaon:documents", fmt.Sprint(s.Documents)}, {"gaon:documents-used", fmt.Sprint(s.DocumentsUsed)},
			{"gaon:tokens-used", countText(s.TokensUsed)},
		},
	}
}
