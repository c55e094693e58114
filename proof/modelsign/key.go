package modelsign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// PEM block types of the two key forms: PKCS #8 (RFC 5208) and
// SubjectPublicKeyInfo (RFC 5280).
const (
	blockPrivate = "PRIVATE KEY"
	blockPublic  = "PUBLIC KEY"
	keyBytesMax  = 64 << 10
)

// NewKey makes a P-256 signing key.
func NewKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	return key, nil
}

// suite is what a curve fixes: the hash its signatures take, as the reference
// implementation and the Sigstore algorithm registry pair them.
type suite struct {
	hash    crypto.Hash
	details string // Sigstore's PublicKeyDetails, in bundles before version 1.1
}

func suiteOf(key *ecdsa.PublicKey) (suite, error) {
	if key == nil || key.Curve == nil {
		return suite{}, &KeyError{Problem: "no key given"}
	}
	switch key.Curve {
	case elliptic.P256():
		return suite{crypto.SHA256, "PKIX_ECDSA_P256_SHA_256"}, nil
	case elliptic.P384():
		return suite{crypto.SHA384, "PKIX_ECDSA_P384_SHA_384"}, nil
	case elliptic.P521():
		return suite{crypto.SHA512, "PKIX_ECDSA_P521_SHA_512"}, nil
	}
	return suite{}, &KeyError{Problem: "curve " + key.Curve.Params().Name + " is not one of P-256, P-384, P-521"}
}

func publicKey(key crypto.PublicKey) (*ecdsa.PublicKey, suite, error) {
	public, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, suite{}, &KeyError{Problem: fmt.Sprintf("%T is not an ECDSA public key (P-256, P-384 or P-521)", key)}
	}
	s, err := suiteOf(public)
	return public, s, err
}

// Hint returns the key's fingerprint as it stands in a bundle: the SHA-256 of
// the key's PEM text, in hex (OMS 4.1; the reference implementation hashes the
// PEM form, line ends included).
func Hint(key *ecdsa.PublicKey) (string, error) {
	text, err := EncodePublicKey(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// EncodePublicKey writes the key as PEM, SubjectPublicKeyInfo.
func EncodePublicKey(key *ecdsa.PublicKey) ([]byte, error) {
	if _, err := suiteOf(key); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, &KeyError{Problem: err.Error()}
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockPublic, Bytes: der}), nil
}

// ParsePublicKey reads a P-256, P-384 or P-521 key from PEM.
func ParsePublicKey(text []byte) (*ecdsa.PublicKey, error) {
	der, err := block(text, blockPublic)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, &KeyError{Problem: "public key: " + err.Error()}
	}
	public, _, err := publicKey(parsed)
	return public, err
}

// EncodePrivateKey writes the key as PEM, PKCS #8, unencrypted: the caller
// guards the bytes.
func EncodePrivateKey(key *ecdsa.PrivateKey) ([]byte, error) {
	if key == nil {
		return nil, &KeyError{Problem: "no key given"}
	}
	if _, err := suiteOf(&key.PublicKey); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, &KeyError{Problem: err.Error()}
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockPrivate, Bytes: der}), nil
}

// ParsePrivateKey reads a P-256, P-384 or P-521 key from PEM, PKCS #8.
func ParsePrivateKey(text []byte) (*ecdsa.PrivateKey, error) {
	der, err := block(text, blockPrivate)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, &KeyError{Problem: "private key: " + err.Error()}
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, &KeyError{Problem: fmt.Sprintf("%T is not an ECDSA private key (P-256, P-384 or P-521)", parsed)}
	}
	_, err = suiteOf(&key.PublicKey)
	return key, err
}

// WritePrivateKey creates the key's file, readable by its owner only. A file
// that is there already is left alone and the call fails: a key is never
// overwritten.
func WritePrivateKey(file string, key *ecdsa.PrivateKey) error {
	text, err := EncodePrivateKey(key)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return &KeyError{Problem: file + " exists already, a key is never overwritten"}
	}
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	return nil
}

// ReadPrivateKey reads a key's file.
func ReadPrivateKey(file string) (*ecdsa.PrivateKey, error) {
	text, err := readKey(file)
	if err != nil {
		return nil, err
	}
	return ParsePrivateKey(text)
}

// ReadPublicKey reads a public key's file.
func ReadPublicKey(file string) (*ecdsa.PublicKey, error) {
	text, err := readKey(file)
	if err != nil {
		return nil, err
	}
	return ParsePublicKey(text)
}

func readKey(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if info.Size() > keyBytesMax {
		return nil, &KeyError{Problem: fmt.Sprintf("%s is %d bytes long, no key is", file, info.Size())}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	return text, nil
}

// block returns the content of the one PEM block in text.
func block(text []byte, kind string) ([]byte, error) {
	first, rest := pem.Decode(text)
	switch {
	case first == nil:
		return nil, &KeyError{Problem: "not a PEM file"}
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, &KeyError{Problem: "more than one key in the file"}
	case first.Type == "EC PRIVATE KEY" && kind == blockPrivate:
		return nil, &KeyError{Problem: "an EC PRIVATE KEY: convert it with: openssl pkcs8 -topk8 -nocrypt"}
	case first.Type == "ENCRYPTED PRIVATE KEY" && kind == blockPrivate:
		return nil, &KeyError{Problem: "the key is encrypted: decrypt it with: openssl pkcs8"}
	case first.Type != kind:
		return nil, &KeyError{Problem: fmt.Sprintf("a PEM block %q, want %q", first.Type, kind)}
	case len(first.Headers) > 0:
		return nil, &KeyError{Problem: "PEM headers are not allowed"}
	}
	return first.Bytes, nil
}
