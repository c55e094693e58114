package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gaon-ai/gaon/internal/serving"
	"github.com/gaon-ai/gaon/proof/modelsign"
	"github.com/gaon-ai/gaon/proof/passport"
)

// shutdownTimeout bounds how long answers in progress may go on after the
// service was asked to end.
const shutdownTimeout = 5 * time.Second

// serve answers on serve.sock from the release, once every file of it is what
// the passport says and the centre signed.
func serve(ctx context.Context, w *work) error {
	release := w.in(releaseOutput)
	if err := w.trusted(release); err != nil {
		return fmt.Errorf("this model is not served: %w", err)
	}
	server, err := serving.Load(release)
	if err != nil {
		return err
	}
	// A socket that an earlier life of this attempt left would be in the way.
	if err := os.Remove(w.path(socketFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", socketFile) // relative: a socket's path is short by law
	if err != nil {
		return err
	}
	answers := &http.Server{Handler: server.Handler(), ReadHeaderTimeout: shutdownTimeout}
	failed := make(chan error, 1)
	go func() { failed <- answers.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := answers.Shutdown(closing); err != nil {
		return answers.Close()
	}
	return nil
}

// trusted checks signature, files and passport with the centre's key. The
// ledger's proofs are checked by who has the ledger's key: the centre did
// before it signed, and anybody can afterwards.
func (w *work) trusted(release string) error {
	key, err := modelsign.ParsePublicKey([]byte(w.params.Trust))
	if err != nil {
		return fmt.Errorf("the key of the centre: %w", err)
	}
	verified, err := passport.Verify(release, passport.Keys{Model: key})
	for _, check := range []string{passport.CheckSignature, passport.CheckFiles, passport.CheckForm, passport.CheckManifest, passport.CheckChain,
		passport.CheckEvaluation, passport.CheckApprovals} {
		if o := verified.Outcome(check); o.State != passport.Passed {
			return fmt.Errorf("%s: %s: %w", check, o.Sentence.En, errors.Join(err, errNotVerified))
		}
	}
	return nil
}

var errNotVerified = errors.New("the passport does not hold")
