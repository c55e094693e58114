package modelsign

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gaon-ai/gaon/internal/unit"
)

// signed wraps any statement text in a bundle with a good signature, to see
// what is refused although the right key signed it.
func signed(t *testing.T, stmt string) []byte {
	t.Helper()
	key := testKey(t)
	sum := sha256.Sum256(PAE(PayloadType, []byte(stmt)))
	sig, err := key.Sign(nil, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, `{"mediaType":%q,"verificationMaterial":{"publicKey":{"hint":%q}},"dsseEnvelope":{"payload":%q,"payloadType":%q,"signatures":[{"sig":%q}]}}`,
		mediaType, hintOf(t, key), base64.StdEncoding.EncodeToString([]byte(stmt)), PayloadType, base64.StdEncoding.EncodeToString(sig))
}

const goodStatement = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"ROOT"}}],"predicateType":"https://model_signing/signature/v1.0","predicate":{"serialization":{"method":"files","hash_type":"sha256","allow_symlinks":false},"resources":[{"name":"a","digest":"HASH","algorithm":"sha256"}]}}`

func fill(text string) string {
	digest := unit.DigestOf([]byte("content"))
	root := Manifest{Resources: []Resource{{"a", digest}}}.Root()
	return strings.NewReplacer("ROOT", root.Hex(), "HASH", digest.Hex()).Replace(text)
}

func TestStatementsRefused(t *testing.T) {
	rows := []struct{ name, old, new, field string }{
		{"good", "", "", ""},
		{"more fields in a file's descriptor", `"algorithm"`, `"annotations":{"x":1},"algorithm"`, ""},
		{"other statement type", "Statement/v1", "Statement/v0.1", "statement._type"},
		{"other predicate", "signature/v1.0", "Digests/v0.1", "statement.predicateType"},
		{"two subjects", `"subject":[`, `"subject":[{"name":"x","digest":{}},`, "statement.subject"},
		{"no subject", `"subject":[{"name":"m","digest":{"sha256":"ROOT"}}]`, `"subject":[]`, "statement.subject"},
		{"unnamed subject", `"name":"m"`, `"name":""`, "subject[0].name"},
		{"wrong root", `"ROOT"`, `"HASH"`, "subject[0].digest.sha256"},
		{"no root", `"sha256":"ROOT"`, ``, "subject[0].digest.sha256"},
		{"shards", `"method":"files"`, `"method":"shards","shard_size":1000`, "predicate.serialization.method"},
		{"shard size with files", `"method":"files"`, `"method":"files","shard_size":1000`, "predicate.serialization.shard_size"},
		{"other hash", `"hash_type":"sha256"`, `"hash_type":"blake3"`, "predicate.serialization.hash_type"},
		{"other hash of a file", `"algorithm":"sha256"`, `"algorithm":"blake2b"`, "predicate.resources[0].algorithm"},
		{"symbolic links followed", `"allow_symlinks":false`, `"allow_symlinks":true`, "predicate.serialization.allow_symlinks"},
		{"symbolic links as text", `"allow_symlinks":false`, `"allow_symlinks":"false"`, "statement.predicate.serialization.allow_symlinks"},
		{"ignores everything", `"allow_symlinks":false`, `"allow_symlinks":false,"ignore_paths":["."]`, "predicate.serialization.ignore_paths[0]"},
		{"ignores a pattern", `"allow_symlinks":false`, `"allow_symlinks":false,"ignore_paths":["*"]`, "predicate.serialization.ignore_paths[0]"},
		{"no files", `{"name":"a","digest":"HASH","algorithm":"sha256"}`, ``, "predicate.resources"},
		{"absolute path", `"name":"a"`, `"name":"/etc/passwd"`, "predicate.resources[0].name"},
		{"path upwards", `"name":"a"`, `"name":"../a"`, "predicate.resources[0].name"},
		{"path upwards inside", `"name":"a"`, `"name":"x/../a"`, "predicate.resources[0].name"},
		{"folder itself", `"name":"a"`, `"name":"."`, "predicate.resources[0].name"},
		{"NUL in a path", `"name":"a"`, `"name":"a\u0000"`, "predicate.resources[0].name"},
		{"long path", `"name":"a"`, `"name":"` + strings.Repeat("a", nameBytesMax+1) + `"`, "predicate.resources[0].name"},
		{"upper-case digest", `"digest":"HASH"`, `"digest":"` + strings.Repeat("AB", 32) + `"`, "predicate.resources[0].digest"},
		{"short digest", `"digest":"HASH"`, `"digest":"ab"`, "predicate.resources[0].digest"},
		{"file given twice", `"resources":[`, `"resources":[{"name":"a","digest":"HASH","algorithm":"sha256"},`, "predicate.resources[1].name"},
		{"unknown field in the predicate", `"resources"`, `"extra":1,"resources"`, "statement.predicate.extra"},
		{"field given twice", `"name":"a"`, `"name":"b","name":"a"`, "statement.predicate.resources[0].name"},
		{"other letter case", `"name":"a"`, `"name":"a","Name":"b"`, "statement.predicate.resources[0].Name"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if row.old != "" && !strings.Contains(goodStatement, row.old) {
				t.Fatalf("the statement has no %s", row.old)
			}
			b := signed(t, fill(strings.Replace(goodStatement, row.old, row.new, 1)))
			_, err := VerifyBundle(b, testKey(t).Public())
			if row.field == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			var bad *FormatError
			if !errors.As(err, &bad) || bad.Field != row.field {
				t.Fatalf("got %v, want a FormatError at %s", err, row.field)
			}
		})
	}
}

// TestOrderOfOthers: the Python implementation sorts by path parts, so its
// statements list a/x before a-b/x.
func TestOrderOfOthers(t *testing.T) {
	one, two := unit.DigestOf([]byte("1")), unit.DigestOf([]byte("2"))
	root := Manifest{Resources: []Resource{{"a/x", one}, {"a-b/x", two}}}.Root()
	stmt := strings.NewReplacer(
		`{"name":"a","digest":"HASH","algorithm":"sha256"}`,
		fmt.Sprintf(`{"name":"a/x","digest":%q,"algorithm":"sha256"},{"name":"a-b/x","digest":%q,"algorithm":"sha256"}`, one.Hex(), two.Hex()),
		"ROOT", root.Hex()).Replace(goodStatement)
	m, err := VerifyBundle(signed(t, stmt), testKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	if m.Resources[0].Name != "a-b/x" || m.Resources[1].Name != "a/x" {
		t.Errorf("not sorted: %+v", m.Resources)
	}
}

func TestBundlesRefused(t *testing.T) {
	f := newFolder(t)
	f.sign()
	good := string(signed(t, fill(goodStatement)))
	sig := good[strings.Index(good, `"sig":"`)+7 : len(good)-5]
	pub, err := EncodePublicKey(&f.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	raw := base64.StdEncoding.EncodeToString(pub)
	hint := `"hint":"` + hintOf(t, f.key) + `"`
	const formatErr, sigErr = "format", "signature"
	rows := []struct{ name, old, new, want string }{
		{"good", "", "", ""},
		{"spaces", `,"dsseEnvelope"`, " ,\n\t\"dsseEnvelope\"", ""},
		{"older media type", "bundle.v0.3+json", "bundle+json;version=0.2", ""},
		{"empty log entries", `}},"dsse`, `},"tlogEntries":[],"timestampVerificationData":{}},"dsse`, ""},
		{"keyid empty", `"sig"`, `"keyid":"","sig"`, ""},
		{"keyid null", `"sig"`, `"keyid":null,"sig"`, ""},
		{"key itself, as before version 1.1", hint, `"rawBytes":"` + raw + `","keyDetails":"PKIX_ECDSA_P256_SHA_256"`, ""},
		{"another key itself", hint, `"rawBytes":"` + base64.StdEncoding.EncodeToString([]byte("no key")) + `"`, formatErr},
		{"other key details", hint, hint + `,"keyDetails":"PKIX_ECDSA_P384_SHA_384"`, sigErr},
		{"no key named", hint, ``, formatErr},
		{"other media type", "bundle.v0.3+json", "bundle.v0.4+json", formatErr},
		{"other payload type", "in-toto+json", "in-toto+yaml", formatErr},
		{"no signatures", `{"sig":"` + sig + `"}`, ``, formatErr},
		{"two signatures", `{"sig":"` + sig + `"}`, `{"sig":"` + sig + `"},{"sig":"` + sig + `"}`, formatErr},
		{"empty signature", sig, ``, formatErr},
		{"signature not base64", sig, `!!!!`, formatErr},
		{"signature of zeros", sig, `AAAA`, sigErr},
		{"line end inside base64", sig, sig[:4] + `\n` + sig[4:], formatErr},
		{"no padding", `"payload":"`, `"payload":"QQ","payload":"`, formatErr},
		{"message signature", `"dsseEnvelope"`, `"messageSignature":{},"dsseEnvelope"`, formatErr},
		{"certificate", `"publicKey"`, `"certificate":{},"publicKey"`, formatErr},
		{"trailing", `"}]}}`, `"}]}} {}`, formatErr},
		{"nothing", good, ``, formatErr},
		{"list", good, `[]`, formatErr},
		{"null", good, `null`, formatErr},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if row.old != "" && !strings.Contains(good, row.old) {
				t.Fatalf("the bundle has no %s", row.old)
			}
			_, err := VerifyBundle([]byte(strings.Replace(good, row.old, row.new, 1)), f.key.Public())
			var format *FormatError
			var signature *SignatureError
			switch {
			case row.want == "" && err != nil,
				row.want == formatErr && !errors.As(err, &format),
				row.want == sigErr && !errors.As(err, &signature):
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
	var format *FormatError
	if _, err := VerifyBundle(make([]byte, bundleBytesMax+1), f.key.Public()); !errors.As(err, &format) {
		t.Errorf("huge bundle: got %v", err)
	}
}

func TestBundleForm(t *testing.T) {
	f := newFolder(t)
	var got map[string]any
	if err := json.Unmarshal(f.sign(), &got); err != nil {
		t.Fatal(err)
	}
	if got["mediaType"] != "application/vnd.dev.sigstore.bundle.v0.3+json" || len(got) != 3 {
		t.Errorf("%v", got)
	}
	material := got["verificationMaterial"].(map[string]any)
	if hint := material["publicKey"].(map[string]any)["hint"]; hint != hintOf(t, f.key) {
		t.Errorf("hint %v", hint)
	}
}
