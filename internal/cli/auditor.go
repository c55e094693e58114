package cli

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gaon-ai/gaon/internal/api"
	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/host"
	"github.com/gaon-ai/gaon/internal/ledger/sqlite"
	"github.com/gaon-ai/gaon/proof"
	"github.com/gaon-ai/gaon/proof/modelsign"
	"github.com/gaon-ai/gaon/proof/passport"
	"github.com/gaon-ai/gaon/proof/receipt"
)

func (s *settings) auditorCommands() []*cobra.Command {
	return []*cobra.Command{
		s.verify(), s.receiptCommand(),
		noun(groupAuditor, "ledger", "The ledger itself", s.ledgerShow(), s.ledgerExport()),
		noun(groupAuditor, "model", "Models and their passports", s.modelList(),
			showing[api.Model](s, "/models", "One model, whole"), s.modelDownload(), s.modelPassport()),
	}
}

// trust is the keys a verification stands on.
type trust struct {
	ledgerKey string
	modelKey  string
}

func (t *trust) flags(c *cobra.Command) {
	c.Flags().StringVar(&t.ledgerKey, "ledger-key", "", "the ledger's verifier key, or a file with it (default: the data folder's)")
	c.Flags().StringVar(&t.modelKey, "model-key", "", "file with the key that signs models, PEM (default: the data folder's)")
}

// load reads the keys; those not named come from the data folder.
func (t *trust) load(data string) (proof.VerifierKey, crypto.PublicKey, error) {
	var ledgerKey proof.VerifierKey
	var modelKey crypto.PublicKey
	if t.ledgerKey == "" || t.modelKey == "" {
		fromLedger, fromModel, err := host.PublicKeys(data)
		if err != nil && t.ledgerKey == "" {
			return ledgerKey, nil, err
		}
		ledgerKey = fromLedger
		if fromModel != nil {
			modelKey = fromModel
		}
	}
	if t.ledgerKey != "" {
		text := t.ledgerKey
		if file, err := os.ReadFile(text); err == nil {
			text = string(file)
		}
		key, err := proof.ParseVerifierKey(strings.TrimSpace(text))
		if err != nil {
			return ledgerKey, nil, fmt.Errorf("--ledger-key: %w", err)
		}
		ledgerKey = key
	}
	if t.modelKey != "" {
		key, err := modelsign.ReadPublicKey(t.modelKey)
		if err != nil {
			return ledgerKey, nil, fmt.Errorf("--model-key: %w", err)
		}
		modelKey = key
	}
	return ledgerKey, modelKey, nil
}

// checked is one thing that was verified, as verify prints it.
type checked struct {
	What    string `json:"what"`
	Path    string `json:"path"`
	OK      bool   `json:"ok"`
	Detail  string `json:"detail"`
	Problem string `json:"problem,omitempty"`
	hint    string
}

// VerifyError says that something is not as it was signed.
type VerifyError struct {
	Failed int
	hint   string
}

func (e *VerifyError) Error() string { return fmt.Sprintf("%d of the checks failed", e.Failed) }

// Hint says what to do next.
func (e *VerifyError) Hint() string {
	if e.hint != "" {
		return e.hint
	}
	return "restore what was changed from a backup, and ask who changed it"
}

func (s *settings) verify() *cobra.Command {
	var keys trust
	c := &cobra.Command{Use: "verify [PATH...]", Short: "Check ledger, receipts, models and exports; needs no network and no running centre", GroupID: groupAuditor,
		Long: `Without a path: the local centre's whole ledger is hashed again, replayed, and
its accounts are checked. With paths: each may be a receipt, a model folder
with its passport, a data folder, or a log exported with gaon ledger export.`,
		Example: `  gaon verify
  gaon verify receipt-G9.json models/gaon-mini
  gaon verify --ledger-key centre.pub --model-key model.pub models/gaon-mini`,
		RunE: func(c *cobra.Command, args []string) error {
			ledgerKey, modelKey, err := keys.load(s.data)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				args = []string{s.data}
			}
			v := verifier{s: s, ledger: ledgerKey, model: modelKey, bar: newBar(c.ErrOrStderr())}
			var all []checked
			failure := &VerifyError{}
			for _, path := range args {
				result := v.check(c.Context(), path)
				if errors.Is(c.Context().Err(), context.Canceled) {
					return c.Context().Err()
				}
				if !result.OK {
					failure.Failed++
					failure.hint = result.hint
				}
				all = append(all, result)
			}
			v.bar.clear()
			if err := s.printChecked(c.OutOrStdout(), all); err != nil {
				return err
			}
			if failure.Failed > 0 {
				return failure
			}
			return nil
		}}
	keys.flags(c)
	return c
}

func (s *settings) printChecked(w io.Writer, all []checked) error {
	if s.output != "table" {
		return s.printValue(w, all)
	}
	for _, r := range all {
		mark := "✓"
		text := r.Detail
		if !r.OK {
			mark, text = "✗", r.Problem
		}
		if _, err := fmt.Fprintf(w, "%s %s %s\n    %s\n", mark, r.What, r.Path, strings.ReplaceAll(text, "\n", "\n    ")); err != nil {
			return err
		}
	}
	return nil
}

type verifier struct {
	s      *settings
	ledger proof.VerifierKey
	model  crypto.PublicKey
	bar    *bar
}

// check finds out what the path is and verifies it.
func (v *verifier) check(ctx context.Context, path string) checked {
	result := checked{Path: path}
	var err error
	info, statErr := os.Stat(path)
	is := func(parts ...string) bool {
		_, err := os.Stat(filepath.Join(append([]string{path}, parts...)...))
		return err == nil
	}
	switch {
	case statErr != nil:
		result.What, err = v.s.say("path", "경로"), statErr
	case !info.IsDir():
		result.What = v.s.say("receipt", "영수증")
		result.Detail, err = v.receipt(path)
	case is(passport.File):
		result.What = v.s.say("model", "모델")
		result.Detail, err = v.passport(path)
	case is(proof.CheckpointPath) && is("tile"):
		result.What = v.s.say("exported log", "내보낸 원장")
		result.Detail, err = v.log(ctx, proof.Folder(os.DirFS(path)))
	default:
		result.What = v.s.say("ledger", "원장")
		result.Detail, err = v.centre(ctx, path)
	}
	result.OK = err == nil
	if err != nil {
		result.Problem, result.hint, _ = strings.Cut(err.Error(), "\nhint: ")
		var h hinted
		if result.hint == "" && errors.As(err, &h) {
			result.hint = h.Hint()
		}
	}
	return result
}

func (v *verifier) receipt(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	d, err := receipt.Verify(data, func(entry []byte, text string) (int64, error) {
		_, seq, err := proof.VerifyReceipt(text, entry, v.ledger)
		return seq, err
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(v.s.say("grant %s of %s: awarded %s, charged %s credits on %d lines, each proved in the ledger",
		"%[2]s의 과제 %[1]s: 배정 %[3]s, 사용 %[4]s 크레딧, 명세 %[5]d줄 모두 원장에서 증명됨"), d.Grant, d.Centre, d.Awarded, d.Charged, len(d.Lines)), nil
}

func (v *verifier) passport(dir string) (string, error) {
	verified, err := v.verifyPassport(dir)
	if err != nil {
		return "", err
	}
	passed, skipped := 0, 0
	for _, o := range verified.Outcomes {
		switch o.State {
		case passport.Passed:
			passed++
		case passport.Skipped:
			skipped++
		}
	}
	return fmt.Sprintf(v.s.say("%s: signature, files and chain hold; %d checks passed, %d cannot be made offline",
		"%s: 서명, 파일, 계보가 모두 맞음. 확인 %d개 통과, %d개는 오프라인에서 확인할 수 없음"), verified.Passport.Model.Name, passed, skipped), nil
}

func (v *verifier) verifyPassport(dir string) (passport.Verified, error) {
	if v.model == nil {
		return passport.Verified{}, fmt.Errorf("no key to check the model's signature with\nhint: give it with --model-key FILE")
	}
	return passport.Verify(dir, passport.Keys{Model: v.model, Ledger: passport.LedgerKey(v.ledger)})
}

func (v *verifier) options() proof.Options {
	return proof.Options{Keys: []proof.VerifierKey{v.ledger},
		Progress: func(done, total int64) { v.bar.set(v.s.say("ledger", "원장"), "", done, total) }}
}

func (v *verifier) log(ctx context.Context, src proof.Source) (string, error) {
	report, err := proof.VerifyLedger(ctx, src, v.options())
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(v.s.say("%d entries hashed again, as signed by %s", "항목 %d개를 다시 해시함, 서명자 %s"), report.Checkpoint.Size, strings.Join(report.Signers, ", ")), nil
}

// centre checks a data folder: every entry hashed, replayed, and the
// invariants of the state that comes out.
func (v *verifier) centre(ctx context.Context, dir string) (string, error) {
	src, err := sqlite.Inspect(ctx, host.LedgerFolder(dir))
	if err != nil {
		return "", err
	}
	defer src.Close()
	options, state := v.options(), new(centre.State)
	options.Each = func(seq int64, data []byte) error {
		entry, err := centre.DecodeEntry(data)
		if err != nil {
			return fmt.Errorf("entry %d: %w", seq, err)
		}
		state.Apply(entry)
		return nil
	}
	report, err := src.Verify(ctx, options)
	if err != nil {
		return "", err
	}
	if err := state.Check(); err != nil {
		return "", fmt.Errorf("after %d entries: %w", state.Seq, err)
	}
	hash, err := state.Hash()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(v.s.say("%d entries hashed again and replayed, signed by %s; accounts sum to zero, no device is held twice\nstate %s",
		"항목 %d개를 다시 해시하고 재생함, 서명자 %s. 계정 합계 0, 장치 중복 없음\n상태 %s"), report.Checkpoint.Size, strings.Join(report.Signers, ", "), hash), nil
}

func (s *settings) receiptCommand() *cobra.Command {
	var file string
	c := &cobra.Command{Use: "receipt GRANT", Short: "Write the receipt of a grant, each line with its proof", GroupID: groupAuditor, Args: exactly("GRANT"),
		Example: "  gaon receipt G9 --file receipt.json && gaon verify receipt.json",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			if file == "" {
				file = "receipt-" + args[0] + ".json"
			}
			if err := saveReceipt(c.Context(), client, args[0], file); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), s.say("%s\nnext: gaon verify %s\n", "%s\n다음: gaon verify %s\n"), file, file)
			return err
		}}
	c.Flags().StringVar(&file, "file", "", "where to write it (default: receipt-GRANT.json)")
	return c
}

func saveReceipt(ctx context.Context, client *api.Client, grant, file string) error {
	stream, err := client.Stream(ctx, "/grants/"+grant+"/receipt")
	if err != nil {
		return err
	}
	defer stream.Close()
	return saveStream(stream, file)
}

// saveStream writes a file whole or not at all.
func saveStream(r io.Reader, path string) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // gone once renamed
	_, err = io.Copy(file, r)
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(file.Name(), path)
}

func (s *settings) ledgerShow() *cobra.Command {
	return &cobra.Command{Use: "show ENTRY", Short: "Print one entry and its proof", Args: exactly("ENTRY"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			var found api.Entry
			if err := client.Get(c.Context(), "/entries/"+args[0], &found); err != nil {
				return err
			}
			if s.output != "table" {
				return s.printValue(c.OutOrStdout(), found)
			}
			return s.printValue(c.OutOrStdout(), json.RawMessage(found.Data))
		}}
}

func (s *settings) ledgerExport() *cobra.Command {
	return &cobra.Command{Use: "export DIR", Short: "Write the local centre's log as files that anybody can verify", Args: exactly("DIR"),
		Example: "  gaon ledger export ./log && gaon verify ./log",
		RunE: func(c *cobra.Command, args []string) error {
			src, err := sqlite.Inspect(c.Context(), host.LedgerFolder(s.data))
			if err != nil {
				return err
			}
			defer src.Close()
			bar := newBar(c.ErrOrStderr())
			defer bar.clear()
			head, err := proof.Export(c.Context(), src, args[0], func(done, total int64) { bar.set(s.say("export", "내보내기"), "", done, total) })
			if err != nil {
				return err
			}
			bar.clear()
			_, err = fmt.Fprintf(c.OutOrStdout(), s.say("%d entries in %s\nnext: gaon verify %s\n", "항목 %d개를 %s 에 기록함\n다음: gaon verify %s\n"), head.Size, args[0], args[0])
			return err
		}}
}

func (s *settings) modelList() *cobra.Command {
	return listing(s, "/models", "Models",
		column[api.Model]{"id", func(v api.Model) string { return string(v.ID) }},
		column[api.Model]{"name", func(v api.Model) string { return v.Name }},
		column[api.Model]{"state", func(v api.Model) string { return v.State }},
		column[api.Model]{"run", func(v api.Model) string { return v.Run }},
		column[api.Model]{"bits per byte", func(v api.Model) string { return v.Scores["bits_per_byte"].String() }},
		column[api.Model]{"label", func(v api.Model) string { return v.Label.String() }})
}

func (s *settings) modelDownload() *cobra.Command {
	return &cobra.Command{Use: "download ID DIR", Short: "Write a signed model with its passport and proof into a folder", Args: exactly("ID", "DIR"),
		Example: "  gaon model download M41 models/gaon-mini && gaon verify models/gaon-mini",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			if err := downloadModel(c.Context(), client, args[0], args[1], s.progress(c.ErrOrStderr(), "download", "내려받기")); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), s.say("%s\nnext: gaon verify %s\n", "%s\n다음: gaon verify %s\n"), args[1], args[1])
			return err
		}}
}

func (s *settings) modelPassport() *cobra.Command {
	var keys trust
	var page string
	c := &cobra.Command{Use: "passport DIR", Short: "Show a model's passport with its verification", Args: exactly("DIR"),
		Example: "  gaon model passport models/gaon-mini\n  gaon model passport models/gaon-mini --html passport.html",
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := os.Stat(args[0]); errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("there is no folder %s\nhint: fetch the model first: gaon model download ID %s", args[0], args[0])
			}
			v := verifier{s: s, bar: newBar(io.Discard)}
			var err error
			if v.ledger, v.model, err = keys.load(s.data); err != nil {
				return err
			}
			verified, failed := v.verifyPassport(args[0])
			if page != "" {
				html, err := passport.HTML(verified, s.lang)
				if err == nil {
					err = os.WriteFile(page, html, 0o644)
				}
				return errors.Join(err, failed)
			}
			if s.output != "table" {
				return errors.Join(s.printValue(c.OutOrStdout(), verified), failed)
			}
			_, err = fmt.Fprint(c.OutOrStdout(), passport.Text(verified, s.lang))
			return errors.Join(err, failed)
		}}
	keys.flags(c)
	c.Flags().StringVar(&page, "html", "", "write a page for a browser instead")
	return c
}

// downloadModel writes the model's files and, once all are there, the ledger's
// proof of the release.
func downloadModel(ctx context.Context, client *api.Client, id, dir string, progress func(done, total int64)) error {
	files, err := api.Download(ctx, client, "/models/"+id+"/outputs/"+api.ModelOutput, dir, progress)
	if err != nil {
		return err
	}
	var m api.Model
	if err := client.Get(ctx, "/models/"+id, &m); err != nil {
		return err
	}
	var entry api.Entry
	if err := client.Get(ctx, fmt.Sprintf("/entries/%d", m.Entry), &entry); err != nil {
		return err
	}
	if len(files.Files) == 0 {
		return fmt.Errorf("model %s has no files", id)
	}
	return passport.WriteProof(dir, entry.Entry, entry.Data, entry.Receipt)
}
