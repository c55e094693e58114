package corpus

import (
	"bytes"
	"context"
	"fmt"
)

// filter is the last step: it decides on each document, from what the steps
// before found, and writes it to one of three files.
func (r *run) filter(ctx context.Context) error {
	r.meter.step(stepFilter, int64(len(r.table.flags)), 0)
	for _, name := range [...]string{TrainFile, HeldOutFile, DroppedFile} {
		o, err := newOutput(r.work, name, true, r.config.create)
		if err != nil {
			return err
		}
		r.outputs = append(r.outputs, o)
	}
	recs, err := openRecords(r.records.path)
	if err != nil {
		return err
	}
	defer recs.close()
	largest := r.table.largest()
	work := func(o *overlapper, s spillFrame) (*sifted, error) {
		out := &sifted{tally: newTally(0)}
		sifter := sifter{run: r, records: recs, over: o, largest: largest, out: out}
		return out, s.documents(sifter.document)
	}
	err = frames(ctx, r, nil, newOverlapper, work, func(s *sifted) error {
		r.tally.merge(&s.tally)
		r.meter.done.Add(s.documents)
		for i := range s.lines {
			if err := r.outputs[i].write(s.lines[i].Bytes()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, o := range r.outputs {
		if err := o.finish(); err != nil {
			return err
		}
	}
	return nil
}

// Places of the outputs, and of the lines for them.
const (
	toTrain = iota
	toHeldOut
	toDropped
	outputCount
)

// sifted is a frame after the last step.
type sifted struct {
	documents int64
	lines     [outputCount]bytes.Buffer
	tally     tally
}

// sifter decides on the documents of one frame.
type sifter struct {
	run     *run
	records *records
	over    *overlapper
	largest map[uint32]bool
	out     *sifted
}

func (s *sifter) document(number uint32, d *draft) error {
	s.out.documents++
	table := &s.run.table
	reason, detail, err := s.reason(number, d)
	if err != nil {
		return err
	}
	if size := table.sizes[number]; size > 1 {
		d.Copies = int(size)
		if s.largest[number] {
			s.out.tally.cluster(d)
		}
	}
	to := toTrain
	switch {
	case reason != "":
		to = toDropped
		appendJSONLine(&s.out.lines[to], Dropped{ID: d.ID, Source: d.Source, Reason: reason, Detail: detail})
	case table.flags[number]&flagHeldOut != 0:
		to = toHeldOut
		appendJSONLine(&s.out.lines[to], d.Document)
	default:
		appendJSONLine(&s.out.lines[to], d.Document)
	}
	s.out.tally.document(d, to, reason, detail)
	return nil
}

// reason says why the document is dropped, or "". Copies come first, so that a
// reason of quality always speaks of one text once.
func (s *sifter) reason(number uint32, d *draft) (reason, detail string, err error) {
	flags := s.run.table.flags[number]
	switch {
	case d.early:
		return d.reason, d.detail, nil
	case flags&(flagExact|flagNear) != 0:
		root := s.run.table.parent[number]
		var b [recordBytes]byte
		if err := s.records.read(root, b[:]); err != nil {
			return "", "", err
		}
		rec := parseRecord(b[:])
		detail = fmt.Sprintf("of %s:%d", s.run.files[rec.file].name, rec.line)
		if flags&flagExact != 0 {
			return ReasonExactDuplicate, detail, nil
		}
		return ReasonNearDuplicate, detail, nil
	case d.reason != "":
		return d.reason, d.detail, nil
	case flags&flagOverlap != 0 && flags&flagHeldOut == 0:
		if words, ok := s.run.held.overlap(s.over, d.Text); ok {
			return ReasonHeldOutOverlap, clip(words, detailRunesMax), nil
		}
	}
	return "", "", nil
}
