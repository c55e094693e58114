package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/job"
	"github.com/gaon-ai/gaon/internal/model"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/internal/writer"
)

// Signer does what needs the centre's keys and files at the end of a run.
type Signer interface {
	// Chain stores what the sign stage must put into the passport, the chain
	// of the run with its ledger proofs, and returns its tree.
	Chain(ctx context.Context, state *centre.State, id factory.ID, run factory.Run) (unit.Digest, error)
	// Sign checks the release a sign stage made against the model that passed
	// the gate, signs it and stores the bundle. Signing again gives a bundle
	// as good as the first.
	Sign(ctx context.Context, state *centre.State, id factory.ID, run factory.Run) (model.WasSigned, error)
}

// Factory drives factory runs until the context ends.
func Factory(ctx context.Context, w *writer.Writer, signer Signer, log *slog.Logger) {
	follow(ctx, w, time.Minute, func(ctx context.Context, state *centre.State) {
		for id, run := range state.Factory.Runs.All() {
			if run.State == factory.Running {
				advance(ctx, w, signer, log, state, id, run)
			}
		}
	})
}

// advance does the one thing the run needs now.
func advance(ctx context.Context, w *writer.Writer, signer Signer, log *slog.Logger, state *centre.State, id factory.ID, run factory.Run) {
	if run.Stages[factory.StageSign].State == job.Succeeded {
		if m, ok := state.Models.Models.Get(model.ID(run.Model)); ok && m.State == model.Trained {
			signed, err := signer.Sign(ctx, state, id, run)
			if err != nil {
				fail(ctx, w, log, id, fmt.Errorf("signing: %w", err))
				return
			}
			order(ctx, w, log, "sign/"+string(id), centre.RecordSignature{WasSigned: signed})
			return
		}
	}
	stage, wants := run.Next()
	if !wants {
		return
	}
	submit := centre.SubmitStage{Run: id, Stage: stage}
	if stage == factory.StageSign {
		chain, err := signer.Chain(ctx, state, id, run)
		if err != nil {
			fail(ctx, w, log, id, fmt.Errorf("passport: %w", err))
			return
		}
		submit.Also = []job.Input{{Name: "chain", Tree: chain}}
	}
	_, err := w.Do(ctx, writer.Order{By: centre.Controller, Key: fmt.Sprintf("stage/%s/%s", id, stage), Command: submit})
	var race *factory.StateError
	if err != nil && !errors.As(err, &race) {
		fail(ctx, w, log, id, fmt.Errorf("stage %s: %w", stage, err))
	}
}

// storeCodes begins the codes of the artifact store. A full disk or a lost blob
// is a fault of the world, though it has a code.
const storeCodes = "artifact."

// fail ends a run that cannot go on. A fault of the world leaves the run as it
// is: it is tried again with the next state or after a restart.
func fail(ctx context.Context, w *writer.Writer, log *slog.Logger, id factory.ID, err error) {
	var refusal interface{ Code() string }
	if !errors.As(err, &refusal) || strings.HasPrefix(refusal.Code(), storeCodes) {
		if ctx.Err() == nil {
			log.Error("factory run waits for the fault to be mended", "run", id, "err", err)
		}
		return
	}
	order(ctx, w, log, "fail/"+string(id), centre.FailRun{Run: id, Reason: err.Error()})
}
