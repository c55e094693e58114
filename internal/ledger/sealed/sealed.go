// Package sealed keeps what must one day be erasable, such as a person's name
// and address, outside the entries of the ledger: a record sealed under a key
// of its own, which an entry binds by a salted hash.
//
// It is not an access control: whoever holds the ledger's Vault can open every
// record that was not erased. It hides the content of a record and not that
// there is one, nor its length.
//
// Begin with New(vault).Close: put the digest into the entry and append the
// side record in the same batch. Destroying the key with Erase takes the
// record and its salt from the world, and leaves every proof valid: the entry
// holds nothing but a hash over 32 random bytes that nobody has any more, so
// that no list of names can be tried against it.
package sealed

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/unit"
)

const (
	// SaltBytes is the length of the random salt in each record.
	SaltBytes = 32
	// DetailsBytesMax is the longest record that can be closed.
	DetailsBytesMax = ledger.SideBytesMax - overheadBytes

	keyBytes      = 32 // AES-256
	nonceBytes    = 12 // of AES-GCM, NIST SP 800-38D, section 8.2.2
	tagBytes      = 16
	overheadBytes = 1 + nonceBytes + SaltBytes + tagBytes

	// domain separates these hashes from all others. It is part of the format.
	domain = "gaon.sealed/1\n"
	// version is the first byte of a record.
	version = 1
	// recordName: a subject has one record, so its name says nothing.
	recordName = "details"
)

// ErrDamaged: the stored record is not the one that was sealed, or its key is
// another one.
var ErrDamaged = errors.New("the sealed record or its key was changed: restore both from the last backup")

// Records closes, opens and erases records. It is safe for concurrent use.
type Records struct {
	vault  ledger.Vault
	random io.Reader
}

// New returns the records whose keys are in the vault.
func New(vault ledger.Vault) *Records { return &Records{vault: vault, random: rand.Reader} }

// Close seals details, 1 to DetailsBytesMax bytes, under a new key. It returns
// the digest that binds them, to stand in an entry, and the record, to be
// appended in one batch with that entry. The key is durable when Close
// returns; if the batch is then refused, the key opens nothing and does no
// harm.
func (r *Records) Close(details []byte) (unit.Digest, ledger.Side, error) {
	if len(details) == 0 || len(details) > DetailsBytesMax {
		return "", ledger.Side{}, fmt.Errorf("seal: %d bytes of details, want 1 to %d", len(details), DetailsBytesMax)
	}
	var chance [SaltBytes + keyBytes + nonceBytes]byte
	if _, err := io.ReadFull(r.random, chance[:]); err != nil {
		return "", ledger.Side{}, fmt.Errorf("seal: %w", err)
	}
	salt, key, nonce := chance[:SaltBytes], chance[SaltBytes:SaltBytes+keyBytes], chance[SaltBytes+keyBytes:]
	bound := Bind([SaltBytes]byte(salt), details)
	// No caller may cut this short: the key must be durable before a record
	// that needs it can be.
	stands, err := r.vault.CreateSideKey(context.Background(), bound.Hex(), key)
	if err != nil {
		return "", ledger.Side{}, fmt.Errorf("seal: %w", err)
	}
	record, err := seal(bound, stands, nonce, salt, details)
	if err != nil {
		return "", ledger.Side{}, fmt.Errorf("seal: %w", err)
	}
	return bound, ledger.Side{Subject: bound.Hex(), Name: recordName, Record: record}, nil
}

// Open returns the details that the digest binds. After Erase the error is
// ledger.ErrErased; for a digest nothing was stored under, ledger.ErrNotFound.
func (r *Records) Open(ctx context.Context, bound unit.Digest) ([]byte, error) {
	d, err := r.Disclose(ctx, bound)
	return d.Details, err
}

// Disclosure is what proves to somebody else that an entry is about these
// details: Bind(Salt, Details) is the digest in the entry.
type Disclosure struct {
	Salt    [SaltBytes]byte
	Details []byte
}

// Disclose opens a record together with its salt. Whoever gets the salt can
// show for ever whose entry it is, even after Erase.
func (r *Records) Disclose(ctx context.Context, bound unit.Digest) (Disclosure, error) {
	if _, err := unit.ParseDigest(string(bound)); err != nil {
		return Disclosure{}, fmt.Errorf("open sealed record: %w", err)
	}
	key, err := r.vault.SideKey(ctx, bound.Hex())
	if err != nil {
		return Disclosure{}, fmt.Errorf("open sealed record: %w", err)
	}
	record, err := r.vault.SideRecord(ctx, bound.Hex(), recordName)
	if err != nil {
		return Disclosure{}, fmt.Errorf("open sealed record: %w", err)
	}
	d, err := open(bound, key, record)
	if err != nil {
		return Disclosure{}, fmt.Errorf("open sealed record %s: %w", bound.Short(), err)
	}
	return d, nil
}

// Erase destroys key and record, for ever. It may be repeated.
func (r *Records) Erase(ctx context.Context, bound unit.Digest) error {
	if _, err := unit.ParseDigest(string(bound)); err != nil {
		return fmt.Errorf("erase sealed record: %w", err)
	}
	return r.vault.EraseSubject(ctx, bound.Hex())
}

// Bind returns the digest that binds details under a salt: the SHA-256 of the
// domain "gaon.sealed/1\n", the salt and the details, one after the other.
func Bind(salt [SaltBytes]byte, details []byte) unit.Digest {
	h := sha256.New()
	h.Write([]byte(domain))
	h.Write(salt[:])
	h.Write(details)
	return unit.NewDigest([sha256.Size]byte(h.Sum(nil)))
}

// seal lays out a record:
//
//	version, 1 byte: 1
//	nonce, 12 bytes
//	AES-256-GCM of salt (32 bytes) and details, with its tag of 16 bytes;
//	the additional data are the domain and the bound digest as text
func seal(bound unit.Digest, key, nonce, salt, details []byte) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, 0, len(salt)+len(details))
	plain = append(append(plain, salt...), details...)
	record := make([]byte, 0, overheadBytes+len(details))
	record = append(append(record, version), nonce...)
	return aead.Seal(record, nonce, plain, additional(bound)), nil
}

// open is the inverse of seal. It checks the digest as well, so that a record
// proves itself even to who distrusts the key.
func open(bound unit.Digest, key, record []byte) (Disclosure, error) {
	if len(record) < overheadBytes+1 || len(record) > ledger.SideBytesMax {
		return Disclosure{}, fmt.Errorf("%w: %d bytes", ErrDamaged, len(record))
	}
	if record[0] != version {
		return Disclosure{}, fmt.Errorf("record version %d, this gaon knows %d: install a later gaon: %w", record[0], version, ErrDamaged)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return Disclosure{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	plain, err := aead.Open(nil, record[1:1+nonceBytes], record[1+nonceBytes:], additional(bound))
	if err != nil {
		return Disclosure{}, ErrDamaged
	}
	d := Disclosure{Salt: [SaltBytes]byte(plain), Details: plain[SaltBytes:]}
	if Bind(d.Salt, d.Details) != bound {
		return Disclosure{}, fmt.Errorf("%w: it is not the record that the entry binds", ErrDamaged)
	}
	return d, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != keyBytes {
		return nil, fmt.Errorf("key of %d bytes, want %d", len(key), keyBytes)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func additional(bound unit.Digest) []byte { return []byte(domain + string(bound)) }
