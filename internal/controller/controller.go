// Package controller is what makes a centre act: loops that follow the state,
// compare what should be with what is, do the difference, and report back as
// commands.
//
// A loop may stop anywhere and start again: every act is idempotent, named by
// job and attempt, and nothing is remembered but the ledger and the engines.
//
// Begin with Schedule, Engine and Factory.
package controller

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/schedule"
	"github.com/gaon-ai/gaon/internal/writer"
)

// follow calls act for every newer state, and at least every period: the
// world changes without the ledger telling.
func follow(ctx context.Context, w *writer.Writer, period time.Duration, act func(context.Context, *centre.State)) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		state, moved := w.Watch()
		act(ctx, state)
		select {
		case <-ctx.Done():
			return
		case <-w.Done():
			return
		case <-moved:
		case <-tick.C:
		}
	}
}

// order sends a controller's command; it answers true when its effect is on
// record. A refusal is a race lost to the present and is looked at again with
// the next state.
func order(ctx context.Context, w *writer.Writer, log *slog.Logger, key string, c centre.Command) bool {
	_, err := w.Do(ctx, writer.Order{By: centre.Controller, Key: key, Command: c})
	var refusal interface{ Code() string }
	switch {
	case err == nil:
		return true
	case errors.As(err, &refusal):
		log.Debug("refused", "key", key, "code", refusal.Code(), "err", err)
	case ctx.Err() == nil:
		log.Error("command failed", "key", key, "err", err)
	}
	return false
}

// Schedule places waiting jobs until the context ends.
func Schedule(ctx context.Context, w *writer.Writer, log *slog.Logger) {
	follow(ctx, w, time.Minute, func(ctx context.Context, state *centre.State) {
		for _, p := range schedule.Decide(state.View()).Place {
			j, _ := state.Jobs.Get(p.Job)
			order(ctx, w, log, attemptKey("place", p.Job, j.Attempt+1), centre.PlaceJob{Job: p.Job, Placement: p.Placement})
		}
	})
}
