package proof

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	receiptHeader = "c2sp.org/tlog-proof@v1"

	// receiptBytesMax leaves room for a checkpoint with its cosignatures, a
	// path through the tallest tree, and extra data.
	receiptBytesMax = checkpointBytesMax + 64<<10
	receiptPathMax  = 63 // a tree of 2^63 leaves
)

// ReceiptExtension is how the name of a receipt's file ends
// (c2sp.org/tlog-proof: ".tlog-proof").
const ReceiptExtension = ".tlog-proof"

// Receipt proves, without the log at hand, that an entry is in it.
type Receipt struct {
	Index      int64       // of the entry, from 0
	Path       []tlog.Hash // RFC 6962, section 2.1.1: from the leaf's sibling up
	Checkpoint []byte      // the signed head, as it is
	Extra      []byte      // covered by no signature; Gaon writes none
}

// Text returns the receipt in the form of c2sp.org/tlog-proof.
func (r Receipt) Text() string {
	var b strings.Builder
	b.WriteString(receiptHeader + "\n")
	if len(r.Extra) > 0 {
		b.WriteString("extra " + base64.StdEncoding.EncodeToString(r.Extra) + "\n")
	}
	fmt.Fprintf(&b, "index %d\n", r.Index)
	for _, h := range r.Path {
		b.WriteString(h.String() + "\n")
	}
	b.WriteString("\n")
	b.Write(r.Checkpoint)
	return b.String()
}

// ParseReceipt reads a receipt and checks nothing but its form: it takes one
// spelling only. Use VerifyReceipt on anything that came from outside.
func ParseReceipt(text string) (Receipt, error) {
	if len(text) > receiptBytesMax {
		return Receipt{}, fmt.Errorf("receipt: %d bytes, at most %d are read", len(text), receiptBytesMax)
	}
	head, checkpoint, found := strings.Cut(text, "\n\n")
	if !found {
		return Receipt{}, errors.New("receipt: no empty line before a checkpoint: it is not a receipt, or it was cut off")
	}
	lines := strings.Split(head, "\n")
	if lines[0] != receiptHeader {
		return Receipt{}, fmt.Errorf("receipt line 1: %q, want %s", clip(lines[0]), receiptHeader)
	}
	r := Receipt{Checkpoint: []byte(checkpoint)}
	rest := lines[1:]
	var err error
	if len(rest) > 0 && strings.HasPrefix(rest[0], "extra ") {
		if r.Extra, err = base64.StdEncoding.Strict().DecodeString(rest[0][len("extra "):]); err != nil || len(r.Extra) == 0 {
			return Receipt{}, fmt.Errorf("receipt line 2 (extra): not base64")
		}
		rest = rest[1:]
	}
	if len(rest) == 0 || !strings.HasPrefix(rest[0], "index ") {
		return Receipt{}, errors.New("receipt: the line that begins with index is missing")
	}
	if r.Index, err = parseDecimal(rest[0][len("index "):]); err != nil {
		return Receipt{}, fmt.Errorf("receipt index: %w", err)
	}
	if rest = rest[1:]; len(rest) > receiptPathMax {
		return Receipt{}, fmt.Errorf("receipt: %d hashes, at most %d are possible", len(rest), receiptPathMax)
	}
	for i, line := range rest {
		h, err := parseHash(line)
		if err != nil {
			return Receipt{}, fmt.Errorf("receipt: hash %d: %w", i, err)
		}
		r.Path = append(r.Path, h)
	}
	if r.Text() != text {
		return Receipt{}, errors.New("receipt: not in its one written form: it was changed")
	}
	return r, nil
}

// MakeReceipt proves the entry at index from the log's tiles, up to the signed
// checkpoint, which must cover it; nil stands for the log's newest. It checks
// the tiles against the checkpoint, not the checkpoint's signature.
func MakeReceipt(ctx context.Context, src Source, signed []byte, index int64) (string, error) {
	if signed == nil {
		var err error
		if signed, err = src.ReadFile(ctx, CheckpointPath); err != nil {
			return "", fmt.Errorf("receipt: checkpoint: %w", err)
		}
	}
	c, err := ReadCheckpoint(signed)
	if err != nil {
		return "", fmt.Errorf("receipt: %w", err)
	}
	if index < 0 || index >= c.Size {
		return "", fmt.Errorf("receipt: entry %d is not among the %d that the checkpoint covers", index, c.Size)
	}
	path, err := tlog.ProveRecord(c.Size, index, HashReader(ctx, src, c))
	if err != nil {
		return "", fmt.Errorf("receipt of entry %d: %w", index, err)
	}
	return Receipt{Index: index, Path: path, Checkpoint: bytes.Clone(signed)}.Text(), nil
}

// VerifyReceipt checks that exactly these bytes are an entry of the log that
// one of the keys belongs to. It returns the signed head that covers the
// entry, and where the entry stands. A receipt with extra data is refused:
// no signature covers them.
func VerifyReceipt(receipt string, entry []byte, keys ...VerifierKey) (Checkpoint, int64, error) {
	r, err := ParseReceipt(receipt)
	if err != nil {
		return Checkpoint{}, 0, err
	}
	if len(r.Extra) > 0 {
		return Checkpoint{}, 0, errors.New("receipt: it carries extra data that no signature covers")
	}
	c, _, err := OpenCheckpoint(r.Checkpoint, keys...)
	if err != nil {
		return Checkpoint{}, 0, fmt.Errorf("receipt: %w", err)
	}
	if r.Index >= c.Size {
		return Checkpoint{}, 0, fmt.Errorf("receipt: entry %d is not among the %d that its checkpoint covers", r.Index, c.Size)
	}
	if err := tlog.CheckRecord(r.Path, c.Size, c.Root, r.Index, tlog.RecordHash(entry)); err != nil {
		return Checkpoint{}, 0, fmt.Errorf("receipt: %w", &ReceiptError{Index: r.Index, Size: c.Size, Origin: c.Origin})
	}
	return c, r.Index, nil
}

// ReceiptError: the receipt is well formed and signed, yet does not prove this
// entry.
type ReceiptError struct {
	Index, Size int64
	Origin      string
}

func (e *ReceiptError) Error() string {
	return fmt.Sprintf("it does not prove that this is entry %d of the first %d of %s: the entry or the receipt was changed, or they do not belong together", e.Index, e.Size, e.Origin)
}

// Code names the refusal.
func (e *ReceiptError) Code() string { return "proof.receipt" }
