package sealed

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/gaon-ai/gaon/internal/unit"
)

// TestForm pins the stored form: records written once must open for ever.
func TestForm(t *testing.T) {
	var salt [SaltBytes]byte
	copy(salt[:], "the salt of this test is no salt")
	key, nonce := bytes.Repeat([]byte{7}, keyBytes), bytes.Repeat([]byte{9}, nonceBytes)
	bound := Bind(salt, []byte("details"))
	if bound != "sha256:526ff14feee093d524ba2c79299c678974fdc98e16c42f4ad3dbb84fd428d5f5" {
		t.Errorf("bound is %s", bound)
	}
	record, err := seal(bound, key, nonce, salt[:], []byte("details"))
	if err != nil {
		t.Fatal(err)
	}
	const golden = "0109090909090909090909090953ede1b4cd91ad15800dad189282caacf4c4068040ce9eb34fc02986a6156d0eb78093a28b3e5918e425a2ec399fce09673bf41e6d51b4"
	if got := hex.EncodeToString(record); got != golden {
		t.Errorf("record is %s", got)
	}
	if d, err := open(bound, key, record); err != nil || string(d.Details) != "details" || d.Salt != salt {
		t.Errorf("opened %+v, %v", d, err)
	}
	// Another key, a key of another length, and a record sealed for another digest.
	for _, c := range []struct {
		bound, sealedFor string
		key              []byte
	}{
		{string(bound), string(bound), bytes.Repeat([]byte{8}, keyBytes)},
		{string(bound), string(bound), key[:16]},
		{string(bound), string(Bind(salt, []byte("others"))), key},
	} {
		record, err := seal(unit.Digest(c.sealedFor), key, nonce, salt[:], []byte("details"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open(unit.Digest(c.bound), c.key, record); !errors.Is(err, ErrDamaged) {
			t.Errorf("opened with %v", err)
		}
	}
	// Sealed by who has the key, yet of other details than the entry binds.
	forged, err := seal(bound, key, nonce, salt[:], []byte("forged"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(bound, key, forged); !errors.Is(err, ErrDamaged) {
		t.Errorf("a record of other details opened with %v", err)
	}
}

// FuzzRecord: nothing opens but the record itself.
func FuzzRecord(f *testing.F) {
	var salt [SaltBytes]byte
	key, nonce := make([]byte, keyBytes), make([]byte, nonceBytes)
	bound := Bind(salt, []byte("details"))
	record, err := seal(bound, key, nonce, salt[:], []byte("details"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record)
	f.Add(record[:overheadBytes])
	f.Add([]byte{version})
	f.Fuzz(func(t *testing.T, data []byte) {
		if d, err := open(bound, key, data); err == nil && !bytes.Equal(data, record) {
			t.Fatalf("%x opened as %+v", data, d)
		}
	})
}
