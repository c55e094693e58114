package passport

import (
	"fmt"

	"github.com/gaon-ai/gaon/internal/unit"
)

// Types of the provenance (https://slsa.dev/spec/v1.0/provenance). The build
// type says which fields the parameters have; its last part is the stage.
const (
	provenanceType = "https://slsa.dev/provenance/v1"
	buildTypeBase  = "https://gaon-ai.github.io/gaon/build/v1/"
)

type slsaStatement struct {
	Type          string         `json:"_type"`
	Subject       []slsaResource `json:"subject"`
	PredicateType string         `json:"predicateType"`
	Predicate     slsaPredicate  `json:"predicate"`
}

type slsaResource struct {
	Name   string            `json:"name"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest"`
	Notes  map[string]string `json:"annotations,omitempty"`
}

type slsaPredicate struct {
	Definition slsaDefinition `json:"buildDefinition"`
	Run        slsaRun        `json:"runDetails"`
}

type slsaDefinition struct {
	BuildType    string            `json:"buildType"`
	External     map[string]any    `json:"externalParameters"`
	Internal     map[string]string `json:"internalParameters"`
	Dependencies []slsaResource    `json:"resolvedDependencies"`
}

type slsaRun struct {
	Builder  slsaBuilder  `json:"builder"`
	Metadata slsaMetadata `json:"metadata"`
}

type slsaBuilder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version"`
}

type slsaMetadata struct {
	Invocation string `json:"invocationId"`
	Started    string `json:"startedOn"`
	Finished   string `json:"finishedOn"`
}

// Provenance returns the stage's provenance as an in-toto statement with the
// SLSA v1 predicate. It is not signed on its own: as a view it is covered by
// the model's signature.
func Provenance(p Passport, kind string) ([]byte, error) {
	s, ok := stageOf(p, kind)
	if !ok {
		return nil, &FieldError{Field: "stages", Problem: fmt.Sprintf("the stage %s is missing", kind)}
	}
	made := slsaStatement{Type: "https://in-toto.io/Statement/v1", PredicateType: provenanceType}
	for _, m := range s.Outputs {
		made.Subject = append(made.Subject, slsaMaterial(m))
	}
	parameters := map[string]any{"recipe": slsaMaterial(s.Recipe)}
	for _, parameter := range s.Parameters {
		parameters[parameter.Name] = parameter.Value
	}
	definition := slsaDefinition{BuildType: buildTypeBase + kind, External: parameters,
		Internal: map[string]string{"run": s.Run}, Dependencies: []slsaResource{slsaMaterial(s.Recipe)}}
	for _, m := range s.Inputs {
		definition.Dependencies = append(definition.Dependencies, slsaMaterial(m))
	}
	builder := slsaBuilder{ID: s.Builder, Version: map[string]string{}}
	for _, tool := range s.Tools {
		builder.Version[tool.Name] = tool.Version
	}
	made.Predicate = slsaPredicate{definition, slsaRun{builder, slsaMetadata{s.Job, stamp(s.Started), stamp(s.Finished)}}}
	return encodeView(made)
}

func slsaMaterial(m Material) slsaResource {
	r := slsaResource{Name: m.Name, URI: m.Address, Digest: map[string]string{"sha256": m.Digest.Hex()}, Notes: map[string]string{"role": m.Role}}
	if r.URI == "" {
		r.URI = "urn:gaon:" + string(unit.Digest(m.Digest))
	}
	return r
}
