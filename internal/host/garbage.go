package host

import (
	"bytes"
	"context"
	"regexp"
	"time"

	"github.com/gaon-ai/gaon/internal/artifact"
	"github.com/gaon-ai/gaon/internal/ledger"
	"github.com/gaon-ai/gaon/internal/unit"
)

// Paces of garbage collection.
const (
	garbageEvery = 24 * time.Hour
	garbageGrace = 2 * unit.Day // longer than any upload and any job's last step
	garbageBatch = 1024         // entries read at once
)

// collectGarbage removes, once a day, artifacts that no ledger entry names.
func (h *Host) collectGarbage(ctx context.Context) {
	tick := time.NewTicker(garbageEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		removed, freed, err := h.CollectGarbage(ctx)
		if err != nil && ctx.Err() == nil {
			h.Log.Error("garbage collection", "err", err)
			continue
		}
		h.Log.Info("garbage collection", "removed", removed, "freed", freed.String())
	}
}

// CollectGarbage removes artifacts older than the grace that no ledger entry
// names. The ledger itself is asked, not the state: the state forgets old
// jobs, and what history names must stay.
func (h *Host) CollectGarbage(ctx context.Context) (removed int, freed unit.Bytes, err error) {
	named, err := namedDigests(ctx, h.Ledger)
	if err != nil {
		return 0, 0, err
	}
	return artifact.Collect(ctx, h.Store, func(d unit.Digest) bool { return named[d] }, artifact.Sweep{Before: Now().Add(-garbageGrace)})
}

var digestPattern = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// namedDigests is every digest that stands in any entry.
func namedDigests(ctx context.Context, l ledger.Ledger) (map[unit.Digest]bool, error) {
	named := map[unit.Digest]bool{}
	for next := int64(0); ; {
		batch, err := l.Read(ctx, next, garbageBatch)
		if err != nil || len(batch) == 0 {
			return named, err
		}
		for _, e := range batch {
			next = e.Seq + 1
			if !bytes.Contains(e.Data, []byte("sha256:")) {
				continue
			}
			for _, found := range digestPattern.FindAll(e.Data, -1) {
				named[unit.Digest(found)] = true
			}
		}
	}
}
