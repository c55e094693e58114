package unit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Digest names bytes by their SHA-256: "sha256:" and 64 lower-case hex digits.
// The empty digest names nothing.
type Digest string

const digestPrefix = "sha256:"

// DigestOf returns the digest of the bytes.
func DigestOf(data []byte) Digest { return NewDigest(sha256.Sum256(data)) }

// NewDigest wraps a finished SHA-256 sum.
func NewDigest(sum [sha256.Size]byte) Digest {
	return Digest(digestPrefix + hex.EncodeToString(sum[:]))
}

// ParseDigest checks the form and returns the digest.
func ParseDigest(s string) (Digest, error) {
	digits, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(digits) != 2*sha256.Size || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", fmt.Errorf("digest %q: want sha256: and 64 lower-case hex digits", s)
	}
	return Digest(s), nil
}

// Hex returns the hex digits alone.
func (d Digest) Hex() string { return strings.TrimPrefix(string(d), digestPrefix) }

// Short returns twelve digits, enough for a person to tell digests apart.
func (d Digest) Short() string {
	if h := d.Hex(); len(h) > 12 {
		return h[:12]
	}
	return d.Hex()
}
