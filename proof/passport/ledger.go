package passport

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/proof"
)

// Place is where an entry stands in a ledger.
type Place struct {
	Origin string // name of the ledger's key
	Index  int64  // of the entry
	Size   int64  // of the ledger when the checkpoint was signed
}

// LedgerFunc checks a receipt (C2SP tlog-proof) over the exact bytes of an
// entry with the ledger's key, and says where the entry stands.
type LedgerFunc func(entry []byte, receipt string) (Place, error)

// entryBytesMax is the longest entry of a ledger (C2SP tlog-tiles: lengths are
// 16 bits).
const entryBytesMax = 1<<16 - 1

// LedgerKey checks receipts with the ledger's key, or one of its keys if it
// had several: see proof.VerifyReceipt. Without any key it is nil, and Verify
// says that none was given.
func LedgerKey(keys ...proof.VerifierKey) LedgerFunc {
	if !slices.ContainsFunc(keys, func(k proof.VerifierKey) bool { return k.Name() != "" }) {
		return nil
	}
	return func(entry []byte, receipt string) (Place, error) {
		head, index, err := proof.VerifyReceipt(receipt, entry, keys...)
		if err != nil {
			return Place{}, err
		}
		return Place{Origin: head.Origin, Index: index, Size: head.Size}, nil
	}
}

// checkLedger checks each receipt, and that the entries it proves record what
// the passport says: each stage's end with its outputs, the gate's verdict
// with the model and its scores, each approval.
func checkLedger(p Passport, ledger LedgerFunc) []error {
	var f finder
	f.words("ledger.origin", p.Ledger.Origin)
	if ledger == nil {
		f.add("ledger", "no key of the ledger was given, so nothing of it can be checked")
		return f.found
	}
	var records []record
	for i, e := range p.Ledger.Entries {
		field := fmt.Sprintf("ledger.entries[%d]", i)
		f.oneOf(field+".of", e.Of, EntryStart, StageCurate, StageTokenizer, StageTrain, StageEvaluate, EntryGate, EntryApproval)
		if i > 0 && p.Ledger.Entries[i-1].Index > e.Index {
			f.add(field+".index", "%d is out of order", e.Index)
		}
		if !f.proved(field, e, p.Ledger.Origin, ledger) {
			continue // what is not proved is no evidence
		}
		r, err := readRecord(field, e)
		if err != nil {
			f.found = append(f.found, err)
			continue
		}
		records = append(records, r)
	}
	f.recorded(p, records)
	return f.found
}

// proved checks the receipt of one entry.
func (f *finder) proved(field string, e Entry, origin string, ledger LedgerFunc) bool {
	if len(e.Entry) == 0 || len(e.Entry) > entryBytesMax {
		f.add(field+".entry", "%d bytes, want 1 to %d", len(e.Entry), entryBytesMax)
		return false
	}
	place, err := ledger(e.Entry, e.Receipt)
	if err != nil {
		f.add(field+".receipt", "%v", err)
		return false
	}
	f.need(place.Index == e.Index, field+".index", "%d, but the receipt proves entry %d", e.Index, place.Index)
	f.need(place.Origin == origin, "ledger.origin", "%q, but the receipt is of %q", origin, place.Origin)
	return place.Index == e.Index && place.Origin == origin
}

// ProofFormat is the value of the field format of ProofFile.
const ProofFormat = "gaon.passport-proof/1"

// Release is the content of ProofFile: the ledger's entry that records the
// release of the signed model, with its receipt. It cannot be inside what is
// signed, because the entry names the signature; so it stands beside the
// bundle, and the signature leaves it out by name.
type Release struct {
	Format string `json:"format"`
	Entry
}

// releaseDocument is Release as it is written: encoding/json would take the
// embedded fields, package strict wants them plain.
type releaseDocument struct {
	Format  string `json:"format"`
	Of      string `json:"of"`
	Index   int64  `json:"index"`
	Entry   []byte `json:"entry"`
	Receipt string `json:"receipt"`
}

// EncodeProof writes the content of ProofFile.
func EncodeProof(index int64, entry []byte, receipt string) ([]byte, error) {
	return encode(releaseDocument{ProofFormat, EntryRelease, index, entry, receipt})
}

// WriteProof puts ProofFile into the model's folder, whole or not at all.
func WriteProof(dir string, index int64, entry []byte, receipt string) error {
	data, err := EncodeProof(index, entry, receipt)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, ProofFile), data)
}

// ParseProof reads the content of ProofFile. It takes one spelling only, so
// that no byte of it can change unnoticed.
func ParseProof(data []byte) (Release, error) {
	var d releaseDocument
	if err := parse(data, proofBytesMax, &d); err != nil {
		return Release{}, err
	}
	if d.Format != ProofFormat || d.Of != EntryRelease {
		return Release{}, &FieldError{Field: "format", Problem: fmt.Sprintf("%q of %q is not known, want %q of %q", d.Format, d.Of, ProofFormat, EntryRelease)}
	}
	again, err := encode(d)
	if err != nil {
		return Release{}, err
	}
	if !bytes.Equal(again, data) {
		return Release{}, &FieldError{Field: "document", Problem: "is not in its one written form"}
	}
	return Release{d.Format, Entry{d.Of, d.Index, d.Entry, d.Receipt}}, nil
}

// errNoProof says that the release is not proved yet.
var errNoProof = errors.New(ProofFile + " is missing: the ledger's proof of the release is written some time after signing")

// checkRelease checks that the ledger recorded the release of exactly this
// passport under exactly this signature, after everything the passport tells.
func checkRelease(dir string, p Passport, passport, bundle unit.Digest, ledger LedgerFunc) []error {
	data, err := readFile(filepath.Join(dir, ProofFile), proofBytesMax)
	if errors.Is(err, fs.ErrNotExist) {
		return []error{errNoProof}
	}
	if err != nil {
		return []error{err}
	}
	release, err := ParseProof(data)
	if err != nil {
		return []error{fmt.Errorf("%s: %w", ProofFile, err)}
	}
	var f finder
	if ledger == nil {
		f.add(ProofFile, "no key of the ledger was given, so it cannot be checked")
		return f.found
	}
	f.proved(ProofFile, release.Entry, p.Ledger.Origin, ledger)
	f.recordedRelease(release.Entry, passport, bundle)
	for _, e := range p.Ledger.Entries {
		f.need(e.Index < release.Index, ProofFile, "entry %d is not after entry %d, which the passport tells of", release.Index, e.Index)
	}
	return f.found
}

// readFile reads a file of bounded size; links are refused.
func readFile(file string, limit int64) ([]byte, error) {
	info, err := os.Lstat(file)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s: want a regular file of at most %d bytes", filepath.Base(file), limit)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return data, nil
}

// writeFile writes a file whole or not at all: if the machine stops before the
// rename, the old file, or none, is there.
func writeFile(file string, data []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(file), err)
	}
	_, err = temporary.Write(data)
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), file)
	}
	if err != nil {
		os.Remove(temporary.Name())
		return fmt.Errorf("write %s: %w", filepath.Base(file), err)
	}
	return nil
}
