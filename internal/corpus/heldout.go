package corpus

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/gaon-ai/gaon/internal/unit"
)

// Held-out documents are chosen by the digest of their text, so that adding
// documents moves none from one side to the other. No document to train on may
// share eight words in a row with one of them, for then the model would be
// measured on what it has read. Usually the documents to train on give way. But
// words that stand in many of them, such as the note under every article of a
// paper, would take the whole paper away: then the held-out document gives way
// and is trained on.
const heldOutCommonMax = 3 // so many documents to train on give way to one run of words

// heldOut is what is known of the documents kept apart.
type heldOut struct {
	table    gramTable
	counts   []uint32 // by gram: documents to train on that have it
	live     []bool   // by gram: a document still kept apart has it
	items    []heldOutItem
	lengths  [overlapWords + 1]bool
	perMille int // the share really taken
	returned int64
}

type heldOutItem struct {
	document uint32
	grams    []uint32
}

// chooseHeldOut flags the documents to keep apart, and those to train on that
// must be looked at again.
func (r *run) chooseHeldOut(ctx context.Context) error {
	h := &r.held
	h.lengths[overlapWords] = true
	if r.config.HeldOut == 0 {
		return nil
	}
	r.meter.step(stepHeldOut, int64(len(r.table.flags)), 0)
	if err := r.markHeldOut(); err != nil {
		return err
	}
	if err := r.indexHeldOut(ctx); err != nil {
		return err
	}
	h.counts, h.live = make([]uint32, h.table.n), make([]bool, h.table.n)
	if err := r.countOverlaps(ctx); err != nil {
		return err
	}
	for _, item := range h.items {
		common := false
		for _, g := range item.grams {
			common = common || h.counts[g] > heldOutCommonMax
		}
		if common {
			h.returned++
			r.table.flags[item.document] = r.table.flags[item.document]&^flagHeldOut | flagOverlap
			continue
		}
		for _, g := range item.grams {
			h.live[g] = true
		}
	}
	return nil
}

// markHeldOut flags documents from the lowest digests up, as far as the share
// and the memory for their text go.
func (r *run) markHeldOut() error {
	var bytes, count [perMille]int64
	total := int64(0)
	err := r.eachRecord(func(d uint32, rec record) {
		if r.table.stays(d) {
			total++
			if r.table.flags[d]&flagMeasurable != 0 {
				bytes[rec.bucket] += int64(rec.bytes)
				count[rec.bucket]++
			}
		}
	})
	if err != nil {
		return err
	}
	limit, sum, chosen := r.config.Memory/heldOutShareOfMemory, int64(0), int64(0)
	share := 0
	for share < perMille && (share < r.config.HeldOut || chosen == 0) {
		if sum += bytes[share]; unit.Bytes(sum) > limit || chosen+count[share] >= total {
			break
		}
		chosen += count[share]
		share++
	}
	if chosen == 0 {
		share = 0
	}
	r.held.perMille = share
	return r.eachRecord(func(d uint32, rec record) {
		if int(rec.bucket) < share && r.table.stays(d) && r.table.flags[d]&flagMeasurable != 0 {
			r.table.flags[d] |= flagHeldOut
		}
	})
}

func (r *run) eachRecord(f func(d uint32, rec record)) error {
	file, err := os.Open(r.records.path)
	if err != nil {
		return &FileError{File: filepath.Base(r.records.path), Err: plain(err)}
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, readBufferBytes)
	var b [recordBytes]byte
	for d := uint32(0); ; d++ {
		if _, err := io.ReadFull(in, b[:]); errors.Is(err, io.EOF) && int(d) == len(r.table.flags) {
			return nil
		} else if err != nil {
			return &FileError{File: filepath.Base(r.records.path), Err: errSpill}
		}
		f(d, parseRecord(b[:]))
	}
}

// frames works on the frames of the spill that hold a document which want says
// yes to, on all cores.
func frames[R any](ctx context.Context, r *run, want func(d uint32) bool, newWorker func() *overlapper, work func(o *overlapper, s spillFrame) (R, error), collect func(R) error) error {
	produce := func(ctx context.Context, emit func(s spillFrame, weight int64) error) error {
		return readFrames(r.spill.path, func(first, count uint32) bool {
			if want == nil {
				return true
			}
			for d := first; d < first+count; d++ {
				if want(d) {
					return true
				}
			}
			return false
		}, emit)
	}
	return inOrder(ctx, r.config.Workers, r.queueBytes(), produce, newWorker, work, collect)
}

// hashedItem is a document's runs of words, by hash.
type hashedItem struct {
	document uint32
	hashes   []uint64
}

// indexHeldOut reads the documents kept apart into the table. One of fewer
// than eight words is trained on after all: it would stand in many others.
func (r *run) indexHeldOut(ctx context.Context) error {
	h, t := &r.held, &r.table
	is := func(d uint32) bool { return t.flags[d]&flagHeldOut != 0 }
	work := func(o *overlapper, s spillFrame) (items []hashedItem, err error) {
		err = s.documents(func(d uint32, doc *draft) error {
			if is(d) {
				o.split(doc.Text)
				item := hashedItem{document: d}
				for i := 0; i+overlapWords <= len(o.words); i++ {
					item.hashes = append(item.hashes, o.grams.window(i, overlapWords))
				}
				items = append(items, item)
			}
			return nil
		})
		return items, err
	}
	return frames(ctx, r, is, newOverlapper, work, func(items []hashedItem) error {
		for _, item := range items {
			if len(item.hashes) == 0 {
				t.flags[item.document] &^= flagHeldOut
				continue
			}
			grams := make([]uint32, len(item.hashes))
			for i, hash := range item.hashes {
				grams[i], _ = h.table.insert(hash)
			}
			h.items = append(h.items, heldOutItem{item.document, distinct(grams)})
		}
		return nil
	})
}

func newOverlapper() *overlapper { return &overlapper{} }

// countOverlaps counts for each run of words how many documents to train on
// have it, and flags those documents. Sums do not depend on the order.
func (r *run) countOverlaps(ctx context.Context) error {
	h, t := &r.held, &r.table
	if h.table.n == 0 {
		return nil
	}
	trained := func(d uint32) bool { return t.stays(d) && t.flags[d]&flagHeldOut == 0 }
	work := func(o *overlapper, s spillFrame) (overlapping []uint32, err error) {
		var grams []uint32
		err = s.documents(func(d uint32, doc *draft) error {
			r.meter.done.Add(1)
			if !trained(d) {
				return nil
			}
			o.split(doc.Text)
			grams = grams[:0]
			o.hits(&h.table, &h.lengths, func(gram uint32, _, _ int) bool {
				grams = append(grams, gram)
				return true
			})
			if grams = distinct(grams); len(grams) > 0 {
				overlapping = append(overlapping, d)
			}
			for _, g := range grams {
				atomic.AddUint32(&h.counts[g], 1)
			}
			return nil
		})
		return overlapping, err
	}
	return frames(ctx, r, trained, newOverlapper, work, func(overlapping []uint32) error {
		for _, d := range overlapping {
			t.flags[d] |= flagOverlap
		}
		return nil
	})
}

// overlap returns the words of the text that a document kept apart has too.
func (h *heldOut) overlap(o *overlapper, text string) (words string, ok bool) {
	o.split(text)
	o.hits(&h.table, &h.lengths, func(gram uint32, i, n int) bool {
		if !h.live[gram] {
			return true
		}
		words, ok = text[o.words[i].start:o.words[i+n-1].end], true
		return false
	})
	return words, ok
}
