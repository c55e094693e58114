package corpus

import (
	"bytes"
	"cmp"
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gaon-ai/gaon/internal/unit"
)

// Version is raised whenever the same input could give other bytes.
const Version = 1

const reportFormat = "gaon.corpus.report/1"

// Bounds of lists in the report; what is over them is counted, not named.
const (
	reportSkippedMax  = 1000
	reportFilesMax    = 10_000
	reportClustersMax = 10
	reportExamplesMax = 3
)

// Count is a number of documents and bytes under a name.
type Count struct {
	Name      string `json:"name"`
	Documents int64  `json:"documents"`
	Bytes     int64  `json:"bytes"`
}

// Report is what a curation did. Bytes are bytes of text, as read on the way
// in and as written on the way out. The same input and Config give the same
// report; how long it took stands in Timings, which is not written.
type Report struct {
	Format string       `json:"format"`
	Tool   string       `json:"tool"`
	Config ReportConfig `json:"config"`

	Files        int      `json:"files"`
	FilesSkipped []string `json:"files_skipped"` // ending not known

	DocumentsIn      int64 `json:"documents_in"`
	DocumentsTrain   int64 `json:"documents_train"`
	DocumentsHeldOut int64 `json:"documents_heldout"`
	DocumentsDropped int64 `json:"documents_dropped"`
	BytesIn          int64 `json:"bytes_in"`
	BytesTrain       int64 `json:"bytes_train"`
	BytesHeldOut     int64 `json:"bytes_heldout"`
	BytesDropped     int64 `json:"bytes_dropped"`

	Reasons    Reasons         `json:"reasons"`   // most frequent first
	Funnel     []Count         `json:"funnel"`    // documents left after each step
	Languages  []LanguageCount `json:"languages"` // most frequent first
	Sources    []SourceCount   `json:"sources"`   // in the order they were read
	Personal   []PersonalCount `json:"personal"`  // by kind
	Duplicates Duplicates      `json:"duplicates"`
	Evaluation Evaluation      `json:"evaluation"`
	HeldOut    HeldOut         `json:"heldout"`
	Quality    []Measure       `json:"quality"`
	Outputs    []OutputFile    `json:"outputs"`

	Timings []Timing `json:"-"`
}

// ReportConfig is the part of Config that bears on the result.
type ReportConfig struct {
	Inputs     []string          `json:"inputs"` // last elements of their paths
	Evaluation []string          `json:"evaluation"`
	TextField  string            `json:"text_field"`
	IDField    string            `json:"id_field"`
	Separator  string            `json:"separator"`
	SplitBytes unit.Bytes        `json:"split_bytes"`
	HeldOut    int               `json:"heldout_per_mille"`
	Languages  []string          `json:"languages"`
	Limits     map[string]Limits `json:"limits"` // of the languages kept
	Tokens     TokenStyle        `json:"tokens"`
	LineMax    unit.Bytes        `json:"line_bytes_max"`
	Memory     unit.Bytes        `json:"memory_bytes"` // bounds the held-out share
}

// Reason is a reason with the documents it dropped and some of them.
type Reason struct {
	Count
	Examples []Example `json:"examples"`
}

// Reasons are sorted by documents, then name.
type Reasons []Reason

// Documents returns how many documents were dropped for the reason.
func (r Reasons) Documents(reason string) int64 {
	for _, x := range r {
		if x.Name == reason {
			return x.Documents
		}
	}
	return 0
}

func (r Reasons) counts() []Count {
	list := make([]Count, len(r))
	for i := range r {
		list[i] = r[i].Count
	}
	return list
}

// Example is a dropped document, its text cut short and without personal data.
type Example struct {
	Source string `json:"source"`
	Detail string `json:"detail,omitempty"`
	Text   string `json:"text"`
}

// LanguageCount says how much of a language came in and was kept.
type LanguageCount struct {
	Lang             string `json:"lang"`
	DocumentsIn      int64  `json:"documents_in"`
	BytesIn          int64  `json:"bytes_in"`
	DocumentsTrain   int64  `json:"documents_train"`
	BytesTrain       int64  `json:"bytes_train"`
	DocumentsHeldOut int64  `json:"documents_heldout"`
	BytesHeldOut     int64  `json:"bytes_heldout"`
}

// SourceCount says how much of an input file was used, to train on or held out.
type SourceCount struct {
	File          string `json:"file"`
	Input         string `json:"input"` // which of the inputs it was found in
	DocumentsIn   int64  `json:"documents_in"`
	BytesIn       int64  `json:"bytes_in"`
	DocumentsUsed int64  `json:"documents_used"`
	BytesUsed     int64  `json:"bytes_used"`
}

// PersonalCount counts pieces of personal data that were replaced in all
// documents that were read, and in those that were kept.
type PersonalCount struct {
	Kind         PersonalKind `json:"kind"`
	Certain      int64        `json:"certain"`  // confirmed by a check digit or a word beside it
	Probable     int64        `json:"probable"` // of the form alone
	KeptCertain  int64        `json:"kept_certain"`
	KeptProbable int64        `json:"kept_probable"`
}

// Duplicates says what copies were found. A cluster is a document and all that
// are copies of it or nearly so.
type Duplicates struct {
	Exact    int64     `json:"exact"` // documents dropped
	Near     int64     `json:"near"`
	Clusters int64     `json:"clusters"`
	Sizes    []Count   `json:"sizes"`   // clusters by size; Documents counts the documents in them
	Largest  []Cluster `json:"largest"` // largest first
}

// Cluster is one cluster, by its first document.
type Cluster struct {
	Source    string `json:"source"`
	Documents int    `json:"documents"`
	Text      string `json:"text"` // cut short
}

// Evaluation says what was kept out for the sake of the evaluation.
type Evaluation struct {
	Files   int   `json:"files"`
	Items   int64 `json:"items"`
	Grams   int64 `json:"grams"`   // distinct runs of words looked for
	Removed int64 `json:"removed"` // documents dropped
}

// HeldOut says how documents were kept apart.
type HeldOut struct {
	PerMille int   `json:"per_mille"` // share taken by digest; less than asked where Memory was short
	Returned int64 `json:"returned"`  // trained on after all: they share words with many documents
	Removed  int64 `json:"removed"`   // documents dropped because they overlap one kept apart
}

// OutputFile is a file that was written, the report and its page aside.
type OutputFile struct {
	Name   string      `json:"name"`
	Bytes  int64       `json:"bytes"`
	Digest unit.Digest `json:"digest"`
}

func (r *Report) json() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		panic("corpus: the report cannot fail to encode: " + err.Error())
	}
	return b.Bytes()
}

// report makes the report of what was done so far.
func (r *run) report() Report {
	t := &r.tally
	p := Report{Format: reportFormat, Tool: "gaon corpus " + strconv.Itoa(Version), Config: r.reportConfig(),
		Files: len(r.files), FilesSkipped: notNil(r.skipped), Timings: r.meter.timings}
	p.DocumentsIn, p.BytesIn = t.in.Documents, t.in.Bytes
	p.DocumentsTrain, p.BytesTrain = t.out[toTrain].Documents, t.out[toTrain].Bytes
	p.DocumentsHeldOut, p.BytesHeldOut = t.out[toHeldOut].Documents, t.out[toHeldOut].Bytes
	p.DocumentsDropped, p.BytesDropped = t.out[toDropped].Documents, t.out[toDropped].Bytes
	for _, x := range t.reasons {
		p.Reasons = append(p.Reasons, *x)
	}
	slices.SortFunc(p.Reasons, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Documents, a.Documents), cmp.Compare(a.Name, b.Name))
	})
	p.Reasons, p.Funnel = notNil(p.Reasons), p.Reasons.funnel(t)
	for _, x := range t.languages {
		p.Languages = append(p.Languages, *x)
	}
	slices.SortFunc(p.Languages, func(a, b LanguageCount) int {
		return cmp.Or(cmp.Compare(b.DocumentsIn, a.DocumentsIn), cmp.Compare(a.Lang, b.Lang))
	})
	p.Languages = notNil(p.Languages)
	p.Sources = r.sources()
	for k, kind := range personalKinds {
		p.Personal = append(p.Personal, PersonalCount{kind, t.found[k], t.found[k+personalKindCount], t.kept[k], t.kept[k+personalKindCount]})
	}
	p.Duplicates = r.table.report(t.clusters, p.Reasons)
	p.Evaluation = Evaluation{Files: len(r.config.Evaluation), Items: r.items, Removed: p.Reasons.Documents(ReasonEvaluation)}
	if r.index != nil {
		p.Evaluation.Grams = int64(len(r.index.owner))
	}
	p.HeldOut = HeldOut{r.held.perMille, r.held.returned, p.Reasons.Documents(ReasonHeldOutOverlap)}
	p.Quality = t.quality.report()
	for _, o := range r.outputs {
		p.Outputs = append(p.Outputs, o.describe())
	}
	p.Outputs = notNil(p.Outputs)
	return p
}

func notNil[S ~[]E, E any](s S) S {
	if s == nil {
		return S{}
	}
	return s
}

func (r *run) reportConfig() ReportConfig {
	c := r.config
	base := func(paths []string) []string {
		names := make([]string, len(paths))
		for i, p := range paths {
			names[i] = filepath.Base(p)
		}
		return names
	}
	limits := map[string]Limits{}
	for _, l := range c.Languages {
		limits[l] = c.Limits[l]
	}
	return ReportConfig{Inputs: base(c.Inputs), Evaluation: base(c.Evaluation), TextField: c.TextField, IDField: c.IDField,
		Separator: c.Separator, SplitBytes: c.SplitBytes, HeldOut: c.HeldOut, Languages: c.Languages, Limits: limits,
		Tokens: c.Tokens, LineMax: c.LineBytesMax, Memory: c.Memory}
}

// sources lists the files; those past reportFilesMax are one line.
func (r *run) sources() []SourceCount {
	list := []SourceCount{}
	for i := range r.tally.files {
		s := r.tally.files[i]
		if i < reportFilesMax {
			s.File, s.Input = r.files[i].name, r.files[i].input
			list = append(list, s)
			continue
		}
		if i == reportFilesMax {
			list = append(list, SourceCount{File: "…"})
		}
		list[reportFilesMax].add(s)
	}
	return list
}

func (s *SourceCount) add(o SourceCount) {
	s.DocumentsIn, s.BytesIn = s.DocumentsIn+o.DocumentsIn, s.BytesIn+o.BytesIn
	s.DocumentsUsed, s.BytesUsed = s.DocumentsUsed+o.DocumentsUsed, s.BytesUsed+o.BytesUsed
}

// clusterSizes are the classes of the report: up to so many documents.
var clusterSizes = []struct {
	name string
	max  uint32
}{{"2", 2}, {"3-5", 5}, {"6-10", 10}, {"11-100", 100}, {"101-1000", 1000}, {"1001-", 1<<32 - 1}}

func (t *documents) report(largest []Cluster, reasons Reasons) Duplicates {
	d := Duplicates{Exact: reasons.Documents(ReasonExactDuplicate), Near: reasons.Documents(ReasonNearDuplicate), Largest: notNil(largest)}
	for _, c := range clusterSizes {
		d.Sizes = append(d.Sizes, Count{Name: c.name})
	}
	clusters := make([]int64, len(clusterSizes))
	for _, size := range t.sizes {
		if size < 2 {
			continue
		}
		d.Clusters++
		for i, c := range clusterSizes {
			if size <= c.max {
				clusters[i]++
				d.Sizes[i].Documents += int64(size)
				break
			}
		}
	}
	return d
}

// largest returns the roots of the largest clusters, the earlier first of equals.
func (t *documents) largest() map[uint32]bool {
	var top []uint32
	for d, size := range t.sizes {
		if size < 2 || len(top) == reportClustersMax && size <= t.sizes[top[len(top)-1]] {
			continue
		}
		at, _ := slices.BinarySearchFunc(top, size, func(d uint32, size uint32) int {
			if t.sizes[d] >= size {
				return -1
			}
			return 1
		})
		top = slices.Insert(top, at, uint32(d))
		top = top[:min(len(top), reportClustersMax)]
	}
	set := map[uint32]bool{}
	for _, d := range top {
		set[d] = true
	}
	return set
}
