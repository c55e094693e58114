package proof

import (
	"fmt"
	"strings"
)

// Kind says what was done to a ledger.
type Kind string

// The kinds, by their wire names: never renamed.
const (
	KindEdited     Kind = "edited"     // the entry's bytes are not those that were signed
	KindSwapped    Kind = "swapped"    // two entries changed places
	KindInserted   Kind = "inserted"   // an entry stands where the next one should
	KindRemoved    Kind = "removed"    // an entry is missing, later ones follow
	KindTruncated  Kind = "truncated"  // the log ends before the signed size
	KindHash       Kind = "hash"       // the entry is as signed, its hash in a tile is not
	KindTile       Kind = "tile"       // a tile above the entries' own hashes was changed
	KindRewritten  Kind = "rewritten"  // entries and hashes agree with each other, not with a signed head
	KindCheckpoint Kind = "checkpoint" // the signed head itself was changed
)

// TamperedError names the first thing in a ledger that is not as it was
// signed.
type TamperedError struct {
	Kind   Kind
	Seq    int64  // first bad entry; -1 where only a checkpoint is concerned
	Last   int64  // last entry that may be bad; Seq where exactly one is known
	With   int64  // KindSwapped: the other entry
	Path   string // the file of the log, where one is known
	Detail string // for an operator
	Cause  error
}

// Code names the finding, such as "proof.edited".
func (e *TamperedError) Code() string { return "proof." + string(e.Kind) }

func (e *TamperedError) Unwrap() error { return e.Cause }

func (e *TamperedError) Error() string {
	var b strings.Builder
	switch e.Kind {
	case KindEdited:
		fmt.Fprintf(&b, "entry %d was changed after it was signed", e.Seq)
	case KindSwapped:
		fmt.Fprintf(&b, "entries %d and %d were swapped", e.Seq, e.With)
	case KindInserted:
		fmt.Fprintf(&b, "entry %d was inserted", e.Seq)
	case KindRemoved:
		fmt.Fprintf(&b, "entry %d was removed", e.Seq)
	case KindTruncated:
		fmt.Fprintf(&b, "the ledger was cut off: entry %d and all after it are missing", e.Seq)
	case KindHash:
		fmt.Fprintf(&b, "the stored hash of entry %d was changed, the entry itself is as signed", e.Seq)
	case KindTile:
		fmt.Fprintf(&b, "the stored hashes over entries %d to %d were changed, the entries themselves are as signed", e.Seq, e.Last)
	case KindRewritten:
		fmt.Fprintf(&b, "the ledger was rewritten: the first bad entry is between %d and %d", e.Seq, e.Last)
	case KindCheckpoint:
		b.WriteString("the signed head was changed or is not by this key")
	default:
		fmt.Fprintf(&b, "entry %d: %s", e.Seq, e.Kind)
	}
	if e.Path != "" {
		fmt.Fprintf(&b, " (%s)", e.Path)
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	return b.String()
}
