package corpus

import (
	"context"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// queuedPerWorker bounds how many items wait for each worker.
const queuedPerWorker = 2

// inOrder runs work on the items that produce emits, on so many goroutines,
// and hands the results to collect in the order of the items. At most
// weightMax units of items are under way at once; a heavier item waits until
// it is alone. The first error stops everything.
//
// Each worker is a value made by newWorker, so that it can keep buffers.
func inOrder[I, R, W any](ctx context.Context, workers int, weightMax int64,
	produce func(ctx context.Context, emit func(item I, weight int64) error) error,
	newWorker func() W, work func(W, I) (R, error), collect func(R) error,
) error {
	type ticket struct {
		item   I
		weight int64
		result chan R
	}
	group, ctx := errgroup.WithContext(ctx)
	weights := semaphore.NewWeighted(weightMax)
	todo := make(chan *ticket, workers*queuedPerWorker)
	ordered := make(chan *ticket, workers*queuedPerWorker)
	group.Go(func() error {
		defer close(todo)
		defer close(ordered)
		return produce(ctx, func(item I, weight int64) error {
			t := &ticket{item, max(1, min(weight, weightMax)), make(chan R, 1)}
			if err := weights.Acquire(ctx, t.weight); err != nil {
				return err
			}
			for _, queue := range [...]chan *ticket{ordered, todo} {
				select {
				case queue <- t:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	for range workers {
		group.Go(func() error {
			w := newWorker()
			for t := range todo {
				r, err := work(w, t.item)
				if err != nil {
					return err
				}
				t.result <- r
				if ctx.Err() != nil {
					return ctx.Err()
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		for t := range ordered {
			select {
			case r := <-t.result:
				if err := collect(r); err != nil {
					return err
				}
				weights.Release(t.weight)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}
