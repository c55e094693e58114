package proof

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Algorithm byte of Ed25519 in an encoded note key (c2sp.org/signed-note,
// "Signatures": 0x01).
const algorithmEd25519 = 1

// VerifierKey is the public half of a ledger's key: what anybody needs to
// check its checkpoints. The zero value verifies nothing.
type VerifierKey struct {
	text     string
	verifier note.Verifier
}

// ParseVerifierKey reads a key in the form of a signed note,
// "name+hash+base64" (c2sp.org/signed-note, "Verifier keys").
func ParseVerifierKey(text string) (VerifierKey, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "PRIVATE+KEY+") {
		return VerifierKey{}, fmt.Errorf("verifier key: this is a private key; keep it secret and give its public half")
	}
	verifier, err := note.NewVerifier(text)
	if err != nil {
		return VerifierKey{}, fmt.Errorf("verifier key %q: want name+hash+base64, as the centre prints it: %w", clip(text), err)
	}
	return VerifierKey{text: text, verifier: verifier}, nil
}

// Name returns the key's name, which is the origin of the log it signs.
func (k VerifierKey) Name() string {
	if k.verifier == nil {
		return ""
	}
	return k.verifier.Name()
}

// String returns the key in the form ParseVerifierKey reads.
func (k VerifierKey) String() string { return k.text }

// SigningKey is the private half: it signs a ledger's checkpoints. Its owner
// keeps it; this package only encodes it.
type SigningKey struct {
	secret   string
	signer   note.Signer
	verifier VerifierKey
}

// GenerateSigningKey makes an Ed25519 key for the log with this origin, such
// as "example.kr/centre": no spaces and no plus sign. random is crypto/rand's
// Reader outside of tests.
func GenerateSigningKey(random io.Reader, origin string) (SigningKey, error) {
	if err := checkOrigin(origin); err != nil {
		return SigningKey{}, err
	}
	secret, _, err := note.GenerateKey(random, origin)
	if err != nil {
		return SigningKey{}, fmt.Errorf("generate a key for %s: %w", origin, err)
	}
	return ParseSigningKey(secret)
}

// ParseSigningKey reads what SigningKey.Secret wrote:
// "PRIVATE+KEY+name+hash+base64". The error never repeats the text.
func ParseSigningKey(secret string) (SigningKey, error) {
	secret = strings.TrimSpace(secret)
	signer, err := note.NewSigner(secret)
	if err != nil {
		return SigningKey{}, fmt.Errorf("signing key: want PRIVATE+KEY+name+hash+base64: %w", err)
	}
	// note knows no way from the private to the public key, so the seed is
	// taken from the last field, which NewSigner has just checked.
	encoded := secret[strings.LastIndex(secret, "+")+1:]
	if fields := strings.SplitN(secret, "+", 5); len(fields) == 5 {
		encoded = fields[4] // base64 may hold a plus sign itself
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(raw) != 1+ed25519.SeedSize || raw[0] != algorithmEd25519 {
		return SigningKey{}, fmt.Errorf("signing key: not an Ed25519 key")
	}
	public := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	text, err := note.NewEd25519VerifierKey(signer.Name(), public)
	if err != nil {
		return SigningKey{}, fmt.Errorf("signing key %s: %w", signer.Name(), err)
	}
	verifier, err := ParseVerifierKey(text)
	if err != nil {
		return SigningKey{}, err
	}
	return SigningKey{secret: secret, signer: signer, verifier: verifier}, nil
}

// Origin returns the name of the log this key signs, empty for the zero key.
func (k SigningKey) Origin() string { return k.verifier.Name() }

// Verifier returns the public half.
func (k SigningKey) Verifier() VerifierKey { return k.verifier }

// Secret returns the private key in the form ParseSigningKey reads. Whoever
// has it can sign in the centre's name.
func (k SigningKey) Secret() string { return k.secret }

// String hides the secret, so that a key printed by mistake leaks nothing.
func (k SigningKey) String() string { return "signing key of " + k.Origin() }

// GoString does the same for %#v.
func (k SigningKey) GoString() string { return k.String() }

// checkOrigin refuses names that a signature line could not carry.
func checkOrigin(origin string) error {
	if origin == "" || len(origin) > originBytesMax || strings.ContainsFunc(origin, notInOrigin) {
		return fmt.Errorf("origin %q: want 1 to %d bytes such as example.kr/centre, without spaces, control characters and plus signs",
			clip(origin), originBytesMax)
	}
	return nil
}

// clip keeps what an error quotes from outside to a readable length.
func clip(s string) string {
	const quotedMax = 80
	if len(s) <= quotedMax {
		return s
	}
	return s[:quotedMax] + "…"
}
