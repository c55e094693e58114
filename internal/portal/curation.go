package portal

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/corpus"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/unit"
)

const corpusOutput = "corpus" // of the curate stage, as package stage names it

// reportBytesMax bounds the report that is read for its summary.
const reportBytesMax = 64 << 20

// curation is the summary of a corpus's report.
type curation struct {
	Run      factory.ID
	Known    bool
	Missing  bool // the stage is done and its report cannot be read
	In       int64
	Train    int64
	HeldOut  int64
	Dropped  int64
	Bytes    unit.Bytes // of text kept
	Personal int64
	Exact    int64
	Near     int64
	Overlap  int64
	Funnel   []step
	Langs    []keptLanguage
}

// step is how many documents were left after a step.
type step struct {
	Name      string
	Documents int64
	Lost      int64
	Width     string // in per cent of what came in
}

// keptLanguage is a language with the documents kept of it, by ISO 639-1 code.
type keptLanguage struct {
	Code      string
	Documents int64
}

func (p *Portal) curationOf(id factory.ID, run factory.Run) curation {
	tree, ok := run.Output(corpusOutput)
	if !ok {
		return curation{Run: id}
	}
	c := p.reports.get(tree, stamp{}, func(curation) curation { return p.readReport(tree) })
	if c.Missing {
		p.reports.drop(tree)
	}
	c.Run = id
	return c
}

func (p *Portal) readReport(tree unit.Digest) curation {
	var r corpus.Report
	err := readFileOf(context.Background(), p.Store, tree, corpus.ReportFile, func(from io.Reader) error {
		return json.NewDecoder(io.LimitReader(from, reportBytesMax)).Decode(&r)
	})
	if err != nil {
		p.Log.Warn("curation report not readable", "tree", tree, "err", err)
		return curation{Missing: true}
	}
	return summarise(r)
}

func summarise(r corpus.Report) curation {
	c := curation{Known: true, In: r.DocumentsIn, Train: r.DocumentsTrain, HeldOut: r.DocumentsHeldOut, Dropped: r.DocumentsDropped,
		Bytes: unit.Bytes(r.BytesTrain + r.BytesHeldOut), Exact: r.Duplicates.Exact, Near: r.Duplicates.Near, Overlap: r.Evaluation.Removed}
	for _, found := range r.Personal {
		c.Personal += found.Certain + found.Probable
	}
	left := r.DocumentsIn
	for _, count := range r.Funnel {
		share := float64(count.Documents) / float64(max(1, r.DocumentsIn))
		width := unit.Micro(min(max(share, 0), 1) * 100_000_000)
		c.Funnel = append(c.Funnel, step{count.Name, count.Documents, left - count.Documents, decimal(width, 1)})
		left = count.Documents
	}
	for _, l := range r.Languages {
		if kept := l.DocumentsTrain + l.DocumentsHeldOut; kept > 0 {
			c.Langs = append(c.Langs, keptLanguage{l.Lang, kept})
		}
	}
	return c
}

// policyOfReport is for a page that a job wrote: it may run its own script and
// draw, and is otherwise shut in: another origin, no network, no cookies.
const policyOfReport = "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

// showCuration sends the report's own page or its JSON.
func (p *Portal) showCuration(w http.ResponseWriter, r *http.Request, v *visit) {
	_, run, ok := v.run(r.PathValue("run"))
	tree, has := run.Output(corpusOutput)
	kind := map[string]string{corpus.PageFile: "text/html; charset=utf-8", corpus.ReportFile: "application/json"}[r.PathValue("file")]
	if !ok || !has || kind == "" {
		p.missing(w, v)
		return
	}
	w.Header().Set("Content-Security-Policy", policyOfReport)
	w.Header().Set("X-Frame-Options", "SAMEORIGIN")
	p.sendFrom(w, r, v, tree, r.PathValue("file"), kind)
}

// sendFrom sends a file of a tree. Bytes that turn out changed break the
// answer off, so that nobody takes them for whole.
func (p *Portal) sendFrom(w http.ResponseWriter, r *http.Request, v *visit, tree unit.Digest, name, kind string) {
	listing, err := artifact.ReadTree(r.Context(), p.Store, tree)
	if err != nil {
		p.fault(w, err)
		return
	}
	file, ok := listing.Find(name)
	if !ok {
		p.missing(w, v)
		return
	}
	from, err := p.Store.Open(r.Context(), file.Digest)
	if err != nil {
		p.fault(w, err)
		return
	}
	defer from.Close()
	w.Header().Set("Content-Type", kind)
	if _, err := io.Copy(w, from); err != nil && r.Context().Err() == nil {
		p.Log.Error("file broken off", "tree", tree, "file", name, "err", err)
		panic(http.ErrAbortHandler)
	}
}
