package modelsign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	_ "crypto/sha512" // SHA-384 and SHA-512, for the larger curves
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/gaon-ai/gaon/proof/internal/strict"
)

// The Sigstore bundle (sigstore/protobuf-specs, sigstore_bundle.proto) in its
// JSON form, with the fields the key method uses.
const mediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// mediaTypesRead are the spellings a reader must know besides (sigstore_bundle.proto, Bundle.media_type).
var mediaTypesRead = []string{
	mediaType,
	"application/vnd.dev.sigstore.bundle+json;version=0.1",
	"application/vnd.dev.sigstore.bundle+json;version=0.2",
	"application/vnd.dev.sigstore.bundle+json;version=0.3",
}

type bundle struct {
	MediaType string   `json:"mediaType"`
	Material  material `json:"verificationMaterial"`
	Envelope  envelope `json:"dsseEnvelope"`
}

// material names the key. Log entries and time stamps may stand beside it;
// nothing here depends on them, since the caller brings the key it trusts.
type material struct {
	PublicKey  keyHint            `json:"publicKey"`
	LogEntries *[]json.RawMessage `json:"tlogEntries,omitempty"`
	Timestamps json.RawMessage    `json:"timestampVerificationData,omitempty"`
}

// keyHint: bundles of the reference implementation before version 1.1 carry
// the key's PEM text itself instead of its fingerprint (OMS 11).
type keyHint struct {
	Hint       string `json:"hint,omitempty"`
	RawBytes   string `json:"rawBytes,omitempty"`
	KeyDetails string `json:"keyDetails,omitempty"`
}

type envelope struct {
	Payload     string      `json:"payload"`
	PayloadType string      `json:"payloadType"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	Sig   string  `json:"sig"`
	KeyID *string `json:"keyid,omitempty"`
}

// PAE is DSSE's pre-authentication encoding: the bytes that are hashed and
// signed (DSSE v1, protocol.md).
func PAE(payloadType string, payload []byte) []byte {
	out := make([]byte, 0, len(payload)+len(payloadType)+32)
	out = append(out, "DSSEv1 "...)
	out = strconv.AppendInt(out, int64(len(payloadType)), 10)
	out = append(out, ' ')
	out = append(out, payloadType...)
	out = append(out, ' ')
	out = strconv.AppendInt(out, int64(len(payload)), 10)
	out = append(out, ' ')
	return append(out, payload...)
}

// Config is what a signature says besides the files.
type Config struct {
	Name   string   // the model's name; empty takes the folder's
	Ignore []string // paths to leave out, besides SignatureFile and the standard exclusions
}

// Sign hashes the folder and signs it; the caller writes the bundle to
// SignatureFile in that folder, which the signature leaves out.
func Sign(dir string, key crypto.Signer, c Config) ([]byte, error) {
	m, err := Measure(dir, append([]string{SignatureFile}, c.Ignore...))
	if err != nil {
		return nil, err
	}
	stmt, err := Statement(m, c.Name)
	if err != nil {
		return nil, err
	}
	return SignStatement(stmt, key)
}

// SignStatement signs what Statement returned and wraps it in a bundle. It
// refuses any other bytes, so that it never signs what it has not understood.
// With a key held in memory the signature is deterministic (RFC 6979).
func SignStatement(stmt []byte, key crypto.Signer) ([]byte, error) {
	if key == nil {
		return nil, &KeyError{Problem: "no key given"}
	}
	if _, err := parseStatement(stmt); err != nil {
		return nil, err
	}
	public, s, err := publicKey(key.Public())
	if err != nil {
		return nil, err
	}
	hint, err := Hint(public)
	if err != nil {
		return nil, err
	}
	var chance io.Reader = rand.Reader
	if _, inMemory := key.(*ecdsa.PrivateKey); inMemory {
		chance = nil
	}
	sum := hashOf(s.hash, PAE(PayloadType, stmt))
	sig, err := key.Sign(chance, sum, s.hash)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	// A signature is checked when made and again when read: a key store that
	// answers nonsense is found here and not by the model's users.
	if !ecdsa.VerifyASN1(public, sum, sig) {
		return nil, &SignatureError{Problem: "the key store returned a signature that its own public key does not confirm"}
	}
	noKeyID := ""
	return encode(bundle{
		MediaType: mediaType,
		Material:  material{PublicKey: keyHint{Hint: hint}, LogEntries: &[]json.RawMessage{}},
		Envelope: envelope{
			Payload:     base64.StdEncoding.EncodeToString(stmt),
			PayloadType: PayloadType,
			Signatures:  []signature{{Sig: base64.StdEncoding.EncodeToString(sig), KeyID: &noKeyID}},
		},
	})
}

// Verify checks that the key signed the bundle and that the folder holds
// exactly the files it names. The paths in ignore are left out besides those
// the signature itself leaves out; a signature never needs them unless it was
// made by a version that did not name its own file.
func Verify(dir string, bundle []byte, key crypto.PublicKey, ignore ...string) (Manifest, error) {
	m, err := VerifyBundle(bundle, key)
	if err != nil {
		return Manifest{}, err
	}
	if err := m.Compare(dir, ignore...); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// VerifyBundle checks the signature alone and returns what it says of the
// files; Manifest.Compare then checks those.
func VerifyBundle(data []byte, key crypto.PublicKey) (Manifest, error) {
	public, s, err := publicKey(key)
	if err != nil {
		return Manifest{}, err
	}
	b, err := parseBundle(data)
	if err != nil {
		return Manifest{}, err
	}
	if err := b.Material.PublicKey.check(public, s); err != nil {
		return Manifest{}, err
	}
	payload, err := decode64(b.Envelope.Payload)
	if err != nil {
		return Manifest{}, &FormatError{Field: "dsseEnvelope.payload", Problem: err.Error()}
	}
	sig, err := decode64(b.Envelope.Signatures[0].Sig)
	if err != nil {
		return Manifest{}, &FormatError{Field: "dsseEnvelope.signatures[0].sig", Problem: err.Error()}
	}
	if !ecdsa.VerifyASN1(public, hashOf(s.hash, PAE(PayloadType, payload)), sig) {
		return Manifest{}, &SignatureError{Problem: "not made by this key over this statement: the bundle was changed or signed by someone else"}
	}
	return parseStatement(payload)
}

func parseBundle(data []byte) (bundle, error) {
	if len(data) > bundleBytesMax {
		return bundle{}, &FormatError{Field: "bundle", Problem: fmt.Sprintf("%d bytes, at most %d are read", len(data), bundleBytesMax)}
	}
	var b bundle
	if err := strict.Decode(data, &b); err != nil {
		return bundle{}, formatError("bundle", err)
	}
	switch {
	case !slices.Contains(mediaTypesRead, b.MediaType):
		return bundle{}, &FormatError{Field: "bundle.mediaType", Problem: fmt.Sprintf("%q, want %q", b.MediaType, mediaType)}
	case b.Envelope.PayloadType != PayloadType:
		return bundle{}, &FormatError{Field: "bundle.dsseEnvelope.payloadType", Problem: fmt.Sprintf("%q, want %q", b.Envelope.PayloadType, PayloadType)}
	case len(b.Envelope.Signatures) != 1:
		return bundle{}, &FormatError{Field: "bundle.dsseEnvelope.signatures", Problem: fmt.Sprintf("%d signatures, want 1", len(b.Envelope.Signatures))}
	}
	return b, nil
}

// check refuses a bundle that says it was made with another key: the reason is
// then known without trying.
func (h keyHint) check(key *ecdsa.PublicKey, s suite) error {
	if h.Hint == "" && h.RawBytes == "" {
		return &FormatError{Field: "verificationMaterial.publicKey", Problem: "names no key"}
	}
	want, err := Hint(key)
	if err != nil {
		return err
	}
	if h.Hint != "" && h.Hint != want {
		return &SignatureError{Problem: fmt.Sprintf("the bundle names the key %.16s…, the key given is %.16s…", h.Hint, want)}
	}
	if h.RawBytes != "" {
		text, err := decode64(h.RawBytes)
		if err != nil {
			return &FormatError{Field: "verificationMaterial.publicKey.rawBytes", Problem: err.Error()}
		}
		named, err := ParsePublicKey(text)
		if err != nil {
			return &FormatError{Field: "verificationMaterial.publicKey.rawBytes", Problem: err.Error()}
		}
		if !named.Equal(key) {
			return &SignatureError{Problem: "the bundle names another key than the one given"}
		}
	}
	if h.KeyDetails != "" && h.KeyDetails != s.details {
		return &SignatureError{Problem: fmt.Sprintf("the bundle was made with %s, the key given makes %s", h.KeyDetails, s.details)}
	}
	return nil
}

// decode64 reads standard base64 and accepts one spelling only: encoding/base64
// alone would skip line ends.
func decode64(text string) ([]byte, error) {
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("not base64: %w", err)
	}
	if len(data) == 0 || base64.StdEncoding.EncodedLen(len(data)) != len(text) {
		return nil, fmt.Errorf("not plain base64 of at least one byte")
	}
	return data, nil
}

func hashOf(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}
