package proof

import "fmt"

// verdict weighs what was seen. The signed root decides who is right: if the
// entries give it, they are as signed and only stored hashes were changed; if
// the stored hashes give it, the entry that does not fit them was changed.
func (v *verification) verdict() error {
	entriesHold := v.broken == nil && v.entries.Size() == v.head.Size && v.entries.Root() == v.head.Root
	if entriesHold {
		return v.verdictWhole()
	}
	hashesHold := v.lost == nil && v.hashes != nil && v.hashes.Size() == v.head.Size && v.hashes.Root() == v.head.Root
	bad := v.badEntry()
	// An entry and its hash changed alike show first in a tile above them.
	earlier := v.upper != nil && !hashesHold && (bad == nil || v.upper.Last < bad.Seq)
	switch {
	case earlier:
		return v.rewritten(v.upper.Seq, v.upper.Last, "the entries and their own hashes do not give the stored "+v.upper.Path)
	case bad != nil:
		switch {
		case !hashesHold && v.broken == nil:
			bad.Detail += "; stored hashes were changed too"
		case !hashesHold && v.sameAt < bad.Seq:
			// Nothing leads from the entries read so far to the signed root.
			bad.Detail += fmt.Sprintf("; whether entries %d to %d are as signed cannot be told without it", v.sameAt, bad.Seq-1)
		}
		return bad
	case v.lost != nil:
		return v.lost
	}
	return v.rewritten(v.sameAt, v.head.Size-1, "the entries and all tiles agree with each other, not with the signed root")
}

// verdictWhole: every entry is as signed. The rest of the log must be too.
func (v *verification) verdictWhole() error {
	if v.forked != nil {
		return v.rewritten(v.sameAt, v.forked.Size-1, fmt.Sprintf("at %d entries another root was signed before", v.forked.Size))
	}
	switch {
	case v.mismatch != nil:
		seq := v.mismatch.seq
		return &TamperedError{Kind: KindHash, Seq: seq, Last: seq, Path: leafTilePath(seq, v.head.Size)}
	case v.lost != nil:
		return v.lost
	case v.upper != nil:
		return v.upper
	}
	return v.checkCount()
}

// checkCount refuses entries stored beyond the signed size.
func (v *verification) checkCount() error {
	counter, ok := v.src.(Counter)
	if !ok {
		return nil
	}
	stored, err := counter.StoredEntries(v.ctx)
	if err != nil {
		return fmt.Errorf("verify ledger: count entries: %w", err)
	}
	if stored > v.head.Size {
		return &TamperedError{Kind: KindInserted, Seq: v.head.Size, Last: stored - 1,
			Detail: fmt.Sprintf("%d entries are stored, %d are signed", stored, v.head.Size)}
	}
	return nil
}

// badEntry names the first entry that is not as its stored hash says, or that
// could not be read.
func (v *verification) badEntry() *TamperedError {
	m := v.mismatch
	if m == nil {
		return v.broken
	}
	e := &TamperedError{Kind: KindEdited, Seq: m.seq, Last: m.seq, Path: bundlePath(m.seq, v.head.Size),
		Detail: fmt.Sprintf("it hashes to %s, signed is %s", m.have, m.want)}
	switch {
	case m.partner >= 0:
		e.Kind, e.With = KindSwapped, m.partner
	case m.wantNext:
		e.Kind = KindInserted
	case m.haveLater:
		e.Kind = KindRemoved
	}
	return e
}

// rewritten narrows a range by the earlier checkpoints that do hold.
func (v *verification) rewritten(seq, last int64, detail string) error {
	if v.forked != nil {
		last = min(last, v.forked.Size-1)
	}
	seq = min(max(seq, v.sameAt), last)
	return &TamperedError{Kind: KindRewritten, Seq: seq, Last: last, Detail: detail}
}
