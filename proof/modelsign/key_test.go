package modelsign

import (
	"bytes"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeysRoundTrip(t *testing.T) {
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if key.Curve != elliptic.P256() {
		t.Errorf("curve %s", key.Curve.Params().Name)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := WritePrivateKey(file, key); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	back, err := ReadPrivateKey(file)
	if err != nil || !back.Equal(key) {
		t.Fatalf("got another key: %v", err)
	}
	var refused *KeyError
	if err := WritePrivateKey(file, key); !errors.As(err, &refused) {
		t.Errorf("overwriting: got %v, want a KeyError", err)
	}
	text, err := EncodePublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParsePublicKey(text)
	if err != nil || !public.Equal(&key.PublicKey) {
		t.Fatalf("got another key: %v", err)
	}
	file = filepath.Join(t.TempDir(), "key.pub")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if public, err = ReadPublicKey(file); err != nil || !public.Equal(&key.PublicKey) {
		t.Fatalf("got another key: %v", err)
	}
}

func TestKeysRefused(t *testing.T) {
	good, err := EncodePrivateKey(testKey(t))
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	edDER, err := x509.MarshalPKCS8PrivateKey(edKey)
	if err != nil {
		t.Fatal(err)
	}
	encoded := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	public, err := EncodePublicKey(&testKey(t).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	rows := []struct{ name, given, problem string }{
		{"empty", "", "not a PEM"},
		{"not PEM", "hello", "not a PEM"},
		{"two keys", string(good) + string(good), "more than one"},
		{"public for private", string(public), "want \"PRIVATE KEY\""},
		{"old form", encoded("EC PRIVATE KEY", []byte{1}), "openssl pkcs8 -topk8"},
		{"encrypted", encoded("ENCRYPTED PRIVATE KEY", []byte{1}), "encrypted"},
		{"garbage inside", encoded(blockPrivate, []byte{1, 2, 3}), "private key"},
		{"Ed25519", encoded(blockPrivate, edDER), "not an ECDSA"},
		{"headers", strings.Replace(string(good), "-----\n", "-----\nProc-Type: 4,ENCRYPTED\n\n", 1), "headers"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var refused *KeyError
			if _, err := ParsePrivateKey([]byte(row.given)); !errors.As(err, &refused) || !strings.Contains(refused.Problem, row.problem) {
				t.Errorf("got %v, want a KeyError with %q", err, row.problem)
			}
		})
	}
	var refused *KeyError
	if _, err := ParsePublicKey(good); !errors.As(err, &refused) {
		t.Errorf("private for public: got %v", err)
	}
	file := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), keyBytesMax+1), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPrivateKey(file); !errors.As(err, &refused) {
		t.Errorf("big file: got %v", err)
	}
	if _, err := EncodePrivateKey(nil); !errors.As(err, &refused) {
		t.Errorf("no key: got %v", err)
	}
	if _, err := EncodePublicKey(nil); !errors.As(err, &refused) {
		t.Errorf("no key: got %v", err)
	}
}
