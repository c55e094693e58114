package host

import (
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/proof"
	"github.com/gaon-ai/gaon/proof/modelsign"
)

// Names in a data folder.
const (
	formatFile      = "format"
	ledgerFolder    = "ledger"
	artifactFolder  = "artifacts"
	engineFolder    = "engine"
	keyFolder       = "keys"
	ledgerKeyFile   = "ledger.key"
	modelKeyFile    = "model.pem"
	ledgerPublic    = "ledger.pub"
	modelPublic     = "model.pub"
	accessFile      = "user.json"
	folderFormat    = "gaon.centre/1"
	secretFileMode  = 0o600
	privateDirMode  = 0o700
	formatBytesMax  = 64
	originSeparator = "/"
)

// LedgerFolder is where the ledger of the centre in dir lies.
func LedgerFolder(dir string) string { return filepath.Join(dir, ledgerFolder) }

// PublicKeys returns what anybody needs to check the centre in dir: its
// ledger's verifier key and the key that signs its models, PEM. Reading them
// needs no rights on the secret keys beside them.
func PublicKeys(dir string) (ledgerKey proof.VerifierKey, modelKey *ecdsa.PublicKey, err error) {
	text, err := os.ReadFile(filepath.Join(dir, keyFolder, ledgerPublic))
	if err != nil {
		return ledgerKey, nil, noCentre(dir, err)
	}
	if ledgerKey, err = proof.ParseVerifierKey(strings.TrimSpace(string(text))); err != nil {
		return ledgerKey, nil, err
	}
	modelKey, err = modelsign.ReadPublicKey(filepath.Join(dir, keyFolder, modelPublic))
	return ledgerKey, modelKey, err
}

func noCentre(dir string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &ledger.HintError{Err: fmt.Errorf("there is no centre in %s", dir), Hint: "name another folder with --data, or start a centre with: gaon up"}
	}
	return err
}

// Access is how a local user reaches the centre, readable by that user alone.
type Access struct {
	Address string `json:"address"`
	Key     string `json:"key"`
}

// ReadAccess reads the access file of the centre in dir.
func ReadAccess(dir string) (Access, error) {
	var access Access
	path := filepath.Join(dir, accessFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return access, err
	}
	if err := json.Unmarshal(data, &access); err != nil {
		return access, &ledger.HintError{Err: fmt.Errorf("%s: %w", path, err), Hint: "remove that file and start the centre again, which makes a new key: gaon up"}
	}
	return access, nil
}

func writeAccess(dir string, access Access) error {
	data, err := json.MarshalIndent(access, "", "  ")
	if err != nil {
		return err
	}
	return writeSecret(filepath.Join(dir, accessFile), append(data, '\n'))
}

// writeSecret writes a file for this user's eyes only, whole or not at all.
func writeSecret(path string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // gone once renamed
	_, err = file.Write(data)
	if err = errors.Join(err, file.Chmod(secretFileMode), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// createSecret is writeSecret for what must be written once: if another has
// written it meanwhile, the error is fs.ErrExist and his stays.
func createSecret(path string, data []byte) error {
	temp := path + "." + rand.Text()
	if err := writeSecret(temp, data); err != nil {
		return err
	}
	defer os.Remove(temp)
	return os.Link(temp, path)
}

// prepareFolder makes the data folder, or refuses one that a newer version
// wrote.
func prepareFolder(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, keyFolder), privateDirMode); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	path := filepath.Join(dir, formatFile)
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return writeSecret(path, []byte(folderFormat+"\n"))
	case err != nil:
		return fmt.Errorf("data folder: %w", err)
	}
	if found := strings.TrimSpace(string(data[:min(len(data), formatBytesMax)])); found != folderFormat {
		return &ledger.HintError{Err: fmt.Errorf("the data in %s has the format %q; this program writes %q", dir, found, folderFormat),
			Hint: "use the version of gaon that wrote it, or a newer one; nothing was changed"}
	}
	return nil
}

// keys are the centre's secrets.
type keys struct {
	ledger proof.SigningKey
	model  *ecdsa.PrivateKey
}

// loadKeys reads the centre's keys, or makes them where the centre is new. Each
// is durable before anything is signed with it, and of two programs that make
// them at once both take the same.
func loadKeys(dir, name string) (keys, error) {
	var k keys
	text, err := readOrCreate(filepath.Join(dir, keyFolder, ledgerKeyFile), func() ([]byte, error) {
		key, err := proof.GenerateSigningKey(rand.Reader, origin(name))
		return []byte(key.Secret() + "\n"), err
	})
	if err == nil {
		k.ledger, err = proof.ParseSigningKey(strings.TrimSpace(string(text)))
	}
	if err != nil {
		return k, fmt.Errorf("ledger key: %w", err)
	}
	text, err = readOrCreate(filepath.Join(dir, keyFolder, modelKeyFile), func() ([]byte, error) {
		key, err := modelsign.NewKey()
		if err != nil {
			return nil, err
		}
		return modelsign.EncodePrivateKey(key)
	})
	if err == nil {
		k.model, err = modelsign.ParsePrivateKey(text)
	}
	if err != nil {
		return k, fmt.Errorf("model key: %w", err)
	}
	return k, k.writePublic(dir)
}

// readOrCreate reads a secret; where there is none it makes one.
func readOrCreate(path string, create func() ([]byte, error)) ([]byte, error) {
	data, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	if data, err = create(); err != nil {
		return nil, err
	}
	if err := createSecret(path, data); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path)
}

func (k keys) writePublic(dir string) error {
	text, err := k.modelPublic()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, keyFolder, modelPublic), []byte(text), 0o644)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, keyFolder, ledgerPublic), []byte(k.ledger.Verifier().String()+"\n"), 0o644)
	}
	return err
}

func (k keys) modelPublic() (string, error) {
	text, err := modelsign.EncodePublicKey(&k.model.PublicKey)
	return string(text), err
}

// origin is the name of the ledger's key (c2sp.org/tlog-checkpoint: a
// schema-less URL): the centre's name in letters that a signed note allows,
// and a random part, so that two centres of one name are told apart.
func origin(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	label := strings.Trim(b.String(), "-")
	if label == "" {
		label = "centre"
	}
	return "gaon" + originSeparator + label + originSeparator + strings.ToLower(rand.Text()[:8])
}
