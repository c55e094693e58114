package proof

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	originBytesMax     = 255
	checkpointBytesMax = 64 << 10 // a note holds at most 100 signatures
	checkpointFirst    = 3        // origin, size, root
)

// Checkpoint is what a log commits to: at this size its root was this hash.
type Checkpoint struct {
	Origin string
	Size   int64     // leaves
	Root   tlog.Hash // RFC 6962 tree head
	Extra  []string  // extension lines; Gaon writes none
}

// Text returns the signed part, three lines or more (c2sp.org/tlog-checkpoint,
// "Note text").
func (c Checkpoint) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%d\n%s\n", c.Origin, c.Size, c.Root)
	for _, line := range c.Extra {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// ParseCheckpointText reads the signed part of a checkpoint. It checks no
// signature: use OpenCheckpoint on anything that came from outside.
func ParseCheckpointText(text string) (Checkpoint, error) {
	body, ended := strings.CutSuffix(text, "\n")
	lines := strings.Split(body, "\n")
	if !ended || len(lines) < checkpointFirst {
		return Checkpoint{}, fmt.Errorf("checkpoint: want lines for origin, size and root, have %d", len(lines))
	}
	c := Checkpoint{Origin: lines[0]}
	if err := checkOrigin(c.Origin); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint line 1: %w", err)
	}
	size, err := parseDecimal(lines[1])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint line 2 (size): %w", err)
	}
	c.Size = size
	if c.Root, err = parseHash(lines[2]); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint line 3 (root): %w", err)
	}
	for i, line := range lines[checkpointFirst:] {
		if line == "" {
			return Checkpoint{}, fmt.Errorf("checkpoint line %d: empty extension line", checkpointFirst+i+1)
		}
		c.Extra = append(c.Extra, line)
	}
	return c, nil
}

// SignCheckpoint returns the signed note. The key's name must be the origin.
func SignCheckpoint(c Checkpoint, key SigningKey) ([]byte, error) {
	if key.signer == nil || key.Origin() != c.Origin {
		return nil, fmt.Errorf("sign checkpoint of %s: the key is for %q", c.Origin, key.Origin())
	}
	signed, err := note.Sign(&note.Note{Text: c.Text()}, key.signer)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint of %s: %w", c.Origin, err)
	}
	return signed, nil
}

// OpenCheckpoint checks a signed checkpoint and returns what it says, with the
// names of the keys that signed it. At least one of the keys must be the
// log's own: its name is the origin line. Signatures by keys not given are
// ignored, as c2sp.org/signed-note asks.
func OpenCheckpoint(signed []byte, keys ...VerifierKey) (Checkpoint, []string, error) {
	if len(signed) > checkpointBytesMax {
		return Checkpoint{}, nil, fmt.Errorf("checkpoint: %d bytes, at most %d are read", len(signed), checkpointBytesMax)
	}
	var verifiers []note.Verifier
	for _, k := range keys {
		if k.verifier != nil {
			verifiers = append(verifiers, k.verifier)
		}
	}
	if len(verifiers) == 0 {
		return Checkpoint{}, nil, errors.New("checkpoint: no verifier key was given to check its signature with")
	}
	opened, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return Checkpoint{}, nil, explainNote(err, keys)
	}
	c, err := ParseCheckpointText(opened.Text)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	if err := checkSignatureLines(signed, opened); err != nil {
		return Checkpoint{}, nil, err
	}
	var names []string
	own := false
	for _, s := range opened.Sigs {
		names = append(names, s.Name)
		own = own || s.Name == c.Origin
	}
	if !own {
		return Checkpoint{}, nil, fmt.Errorf("checkpoint of %s: signed by %s, not by the log itself", c.Origin, strings.Join(names, ", "))
	}
	return c, names, nil
}

// checkSignatureLines refuses what note.Open tolerates: base64 with stray bits
// in its last character, and repeated lines. Either would let a byte of the
// checkpoint change unnoticed.
func checkSignatureLines(signed []byte, opened *note.Note) error {
	for _, s := range append(append([]note.Signature(nil), opened.Sigs...), opened.UnverifiedSigs...) {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil || strings.ContainsAny(s.Base64, "\r\n") {
			return fmt.Errorf("checkpoint: the signature of %s is not in canonical base64: it was changed", s.Name)
		}
	}
	block := string(signed[len(opened.Text)+1:])
	if lines := strings.Count(block, "\n"); lines != len(opened.Sigs)+len(opened.UnverifiedSigs) {
		return fmt.Errorf("checkpoint: a signature line is repeated")
	}
	return nil
}

// explainNote turns note's errors into sentences that say what to do.
func explainNote(err error, keys []VerifierKey) error {
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		var have, want []string
		for _, s := range unverified.Note.UnverifiedSigs {
			have = append(have, fmt.Sprintf("%s+%08x", clip(s.Name), s.Hash))
		}
		for _, k := range keys {
			want = append(want, k.text)
		}
		return fmt.Errorf("checkpoint: no signature by a known key: signed by %s, known is %s: %w",
			strings.Join(have, ", "), strings.Join(want, ", "), ErrSignature)
	case errors.As(err, &invalid):
		return fmt.Errorf("checkpoint: the signature of %s does not match: the text or the signature was changed: %w",
			clip(invalid.Name), ErrSignature)
	}
	return fmt.Errorf("checkpoint: not a signed note, or it was changed: %w", errors.Join(err, ErrSignature))
}

// ErrSignature marks a checkpoint whose signature does not hold.
var ErrSignature = errors.New("signature not valid")

func parseDecimal(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != s {
		return 0, fmt.Errorf("%q is not a decimal number without leading zeros", clip(s))
	}
	return n, nil
}

// parseHash accepts the one canonical encoding of 32 bytes.
func parseHash(s string) (tlog.Hash, error) {
	var h tlog.Hash
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != tlog.HashSize || strings.ContainsAny(s, "\r\n") {
		return h, fmt.Errorf("%q is not the base64 of 32 bytes", clip(s))
	}
	copy(h[:], raw)
	return h, nil
}

// notInOrigin: signed-note key names hold neither spaces nor plus signs.
func notInOrigin(r rune) bool {
	return r == '+' || r < 0x20 || r == unicode.ReplacementChar || unicode.IsSpace(r)
}

// ReadCheckpoint returns what a signed checkpoint claims, without checking any
// signature: only for showing it, or for knowing what to ask for next.
func ReadCheckpoint(signed []byte) (Checkpoint, error) {
	split := strings.LastIndex(string(signed[:min(len(signed), checkpointBytesMax)]), "\n\n")
	if split < 0 {
		return Checkpoint{}, errors.New("checkpoint: not a signed note")
	}
	return ParseCheckpointText(string(signed[:split+1]))
}
