package corpus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Shares of Config.Memory: texts under way get half of it, the buffers that
// sort keys most of the rest.
const (
	memoryQueueShare = 2
	memoryBandsShare = 3
	memoryExactShare = 16
)

// Names in the work folder.
const (
	workPattern = ".work-*"
	spillFile   = "documents.spill"
	recordsFile = "documents.records"
)

// run is one curation. Its steps are those of the names in Progress: read
// everything and judge each document by itself; find duplicates; keep some
// documents apart; write what is left.
type run struct {
	config  Config
	files   []inputFile
	skipped []string
	work    string // folder, gone after close

	spill   *workFile // documents in the order of the input
	records *workFile // recordBytes for each of them
	exact   *sorter
	bands   *sorter
	table   documents
	index   *Contamination
	items   int64 // evaluation items
	held    heldOut
	meter   meter
	tally   tally
	outputs []*output
}

func newRun(c Config) (*run, error) {
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return nil, &WriteError{File: filepath.Base(c.Out), Err: plain(err)}
	}
	files, skipped, err := listInputs(c.Inputs, c.Out)
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(c.Out, workPattern)
	if err != nil {
		return nil, &WriteError{File: filepath.Base(c.Out), Err: plain(err)}
	}
	r := &run{config: c, files: files, skipped: skipped, work: work}
	r.meter.call = c.Progress
	r.tally = newTally(len(files))
	r.tally.quality = &quality{}
	r.exact = newSorter(work, "exact", int64(c.Memory)/memoryExactShare, c.create)
	r.bands = newSorter(work, "bands", int64(c.Memory)/memoryBandsShare, c.create)
	if r.spill, err = createWork(work, spillFile, c.create); err == nil {
		r.records, err = createWork(work, recordsFile, c.create)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// close removes the work folder and whatever is open in it.
func (r *run) close() {
	for _, o := range r.outputs {
		o.abandon()
	}
	for _, w := range []*workFile{r.spill, r.records} {
		if w != nil {
			w.file.Close()
		}
	}
	os.RemoveAll(r.work)
}

func (r *run) queueBytes() int64 { return int64(r.config.Memory) / memoryQueueShare }

func (r *run) curate(ctx context.Context) (Report, error) {
	r.meter.start()
	err := r.steps(ctx)
	r.meter.finish()
	report := r.report()
	if err != nil {
		return report, err
	}
	if report.DocumentsTrain == 0 {
		err = &EmptyError{Files: len(r.files), Documents: report.DocumentsIn, Reasons: report.Reasons.counts()}
	}
	if werr := r.publish(report); werr != nil {
		return report, werr
	}
	return report, err
}

func (r *run) steps(ctx context.Context) (err error) {
	if r.index, r.items, err = readEvaluation(ctx, r.config); err != nil {
		return err
	}
	if err := r.read(ctx); err != nil {
		return err
	}
	r.meter.step(stepDuplicates, int64(len(r.table.flags)), 0)
	if err := r.findDuplicates(ctx); err != nil {
		return err
	}
	if err := r.chooseHeldOut(ctx); err != nil {
		return err
	}
	return r.filter(ctx)
}

// read is the first step: every document is judged by itself and spilled.
func (r *run) read(ctx context.Context) error {
	total, numbers := int64(0), map[*inputFile]uint32{}
	for i := range r.files {
		total += r.files[i].size
		numbers[&r.files[i]] = uint32(i)
	}
	r.meter.step(stepRead, 0, total)
	languages := map[string]bool{}
	for _, l := range r.config.Languages {
		languages[l] = true
	}
	produce := func(ctx context.Context, emit func(*batch, int64) error) error {
		b := batcher{ctx: ctx, config: r.config, bytes: &r.meter.bytes, emit: func(b *batch) error {
			return emit(b, documentWeight*int64(len(b.buf)))
		}}
		return b.readAll(r.files)
	}
	newWorker := func() *preparer {
		return &preparer{config: r.config, languages: languages, files: numbers, index: r.index}
	}
	if err := inOrder(ctx, r.config.Workers, r.queueBytes(), produce, newWorker, (*preparer).batch, r.take); err != nil {
		return err
	}
	if err := r.spill.finish(); err != nil {
		return err
	}
	return r.records.finish()
}

// take puts a batch behind those before it: numbers are given here.
func (r *run) take(p *prepared) error {
	first := uint32(len(r.table.flags))
	if int64(first)+int64(len(p.flags)) > documentsMax {
		return &LimitError{File: "the corpus", Limit: limitDocuments, Max: documentsMax, Seen: documentsMax + 1}
	}
	for _, keys := range [...]struct {
		to   *sorter
		list []entry
	}{{r.exact, p.exact}, {r.bands, p.bands}} {
		for _, e := range keys.list {
			e.doc += first
			if err := keys.to.add(e); err != nil {
				return err
			}
		}
	}
	p.frame.first = first
	if err := r.spill.writeFrame(p.frame); err != nil {
		return err
	}
	if err := r.records.write(p.records); err != nil {
		return err
	}
	r.table.add(p.flags)
	r.meter.done.Add(int64(len(p.flags)))
	return nil
}

// publish writes the report and its page and gives everything its final name.
// Without a document to train on, only what explains that is published.
func (r *run) publish(report Report) error {
	page, err := report.page()
	if err != nil {
		return fmt.Errorf("render the report page: %w", err)
	}
	data := report.json()
	files := r.outputs
	if report.DocumentsTrain == 0 {
		files = slices.DeleteFunc(slices.Clone(files), func(o *output) bool { return o.name != DroppedFile })
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{PageFile, page}, {ReportFile, data}} {
		o, err := newOutput(r.work, f.name, false, r.config.create)
		if err != nil {
			return err
		}
		r.outputs = append(r.outputs, o)
		if err := errors.Join(o.write(f.data), o.finish()); err != nil {
			return err
		}
		files = append(files, o)
	}
	return commit(r.config.Out, files)
}
