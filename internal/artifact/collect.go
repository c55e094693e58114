package artifact

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/gaon-ai/gaon/internal/unit"
)

// Sweep says what Collect may remove.
type Sweep struct {
	// Before is now less the grace age: what was put since stays, whoever
	// names it. The age must be longer than the longest upload plus the time
	// until its entry is written; a day is ample.
	Before unit.Instant

	// Roots yields what the ledger names, so that what is missing is found.
	// It may be nil where nobody keeps such a list.
	Roots iter.Seq[unit.Digest]
}

// Collect removes what nobody needs: blobs that are old, that live does not
// name, and that no live or young tree lists. Live says whether the ledger
// names a digest; it is asked again right before a blob goes, so it should
// answer from the present state.
//
// A root that is absent, or a tree that is corrupt or of a newer format, stops
// the collection before anything is removed: the files it listed cannot be
// known, and a restored listing would find them gone. All absent roots are
// reported, each as *AbsentError.
func Collect(ctx context.Context, s Store, live func(unit.Digest) bool, sweep Sweep) (removed int, freed unit.Bytes, err error) {
	if err := rootsPresent(ctx, s, sweep.Roots); err != nil {
		return 0, 0, err
	}
	keep, err := mark(ctx, s, live, sweep.Before)
	if err != nil {
		return 0, 0, fmt.Errorf("mark: %w", err)
	}
	for d, err := range s.Each(ctx) {
		if err != nil {
			return removed, freed, fmt.Errorf("sweep: %w", err)
		}
		if keep[d] || live(d) {
			continue
		}
		// A tree put since we marked renewed its files first, and Delete leaves
		// what is young.
		size, err := s.Size(ctx, d)
		if err != nil {
			var absent *AbsentError
			if errors.As(err, &absent) {
				continue // another collection was here
			}
			return removed, freed, fmt.Errorf("sweep: %w", err)
		}
		gone, err := s.Delete(ctx, d, sweep.Before)
		if err != nil {
			return removed, freed, fmt.Errorf("sweep: %w", err)
		}
		if gone {
			removed++
			freed += size
		}
	}
	return removed, freed, nil
}

func rootsPresent(ctx context.Context, s Store, roots iter.Seq[unit.Digest]) error {
	if roots == nil {
		return nil
	}
	var missing []error
	for d := range roots {
		_, err := s.Size(ctx, d)
		var absent *AbsentError
		if err != nil && !errors.As(err, &absent) {
			return err
		}
		if err != nil {
			missing = append(missing, err)
		}
	}
	return errors.Join(missing...)
}

// mark returns what live and young trees list, and themselves.
func mark(ctx context.Context, s Store, live func(unit.Digest) bool, before unit.Instant) (map[unit.Digest]bool, error) {
	keep := map[unit.Digest]bool{}
	for d, err := range s.Each(ctx) {
		if err != nil {
			return nil, err
		}
		named := live(d)
		if !named {
			stored, err := s.Stored(ctx, d)
			var absent *AbsentError
			if errors.As(err, &absent) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if stored < before {
				continue
			}
		}
		keep[d] = true
		t, isTree, err := readIfTree(ctx, s, d)
		var absent *AbsentError
		if errors.As(err, &absent) && !named {
			continue
		}
		if err != nil {
			return nil, err
		}
		if isTree {
			for _, f := range t.Files {
				keep[f.Digest] = true
			}
		}
	}
	return keep, nil
}
