package controller

import (
	"context"
	"log/slog"
	"time"

	"github.com/gaon-ai/gaon/internal/centre"
	"github.com/gaon-ai/gaon/internal/party"
	"github.com/gaon-ai/gaon/internal/unit"
	"github.com/gaon-ai/gaon/internal/writer"
)

// Eraser destroys the key of a sealed record, for ever. It may be repeated.
type Eraser interface {
	Erase(ctx context.Context, bound unit.Digest) error
}

// Erase makes sure, until the context ends, that the details of every person
// whose erasure is on record cannot be read any more: a centre may have
// stopped between the record and the deed.
func Erase(ctx context.Context, w *writer.Writer, e Eraser, log *slog.Logger) {
	done := map[party.PersonID]bool{}
	follow(ctx, w, time.Minute, func(ctx context.Context, state *centre.State) {
		for id, person := range state.Party.People.All() {
			if !person.Erased || done[id] {
				continue
			}
			if err := e.Erase(ctx, person.Details); err != nil {
				if ctx.Err() == nil {
					log.Error("a person's details are not erased yet; it is tried again", "person", id, "err", err)
				}
				continue
			}
			done[id] = true
		}
	})
}
