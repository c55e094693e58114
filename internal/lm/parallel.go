package lm

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// workersMax bounds the goroutines one training run or evaluation uses.
const workersMax = 256

// crew runs numbered tasks on a fixed number of goroutines. Tasks are handed
// out as goroutines become free, so a busy machine does not leave one goroutine
// waiting for another; which goroutine runs a task must never change what the
// task computes.
type crew struct{ workers int }

// newCrew takes the wanted number of goroutines, 0 for one per usable core.
func newCrew(workers int) crew {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return crew{min(workers, workersMax)}
}

// run calls do(worker, task) once for each task from 0 to tasks-1 and returns
// when all are done. worker, less than crew.workers, names scratch space that no
// other goroutine uses meanwhile.
func (c crew) run(tasks int, do func(worker, task int)) {
	workers := min(c.workers, tasks)
	if workers <= 1 {
		for t := range tasks {
			do(0, t)
		}
		return
	}
	var next atomic.Int64
	work := func(worker int) {
		for t := int(next.Add(1)) - 1; t < tasks; t = int(next.Add(1)) - 1 {
			do(worker, t)
		}
	}
	var group sync.WaitGroup
	for w := 1; w < workers; w++ {
		group.Go(func() { work(w) })
	}
	work(0)
	group.Wait()
}

// blocks returns how many parts of at most size elements n elements make.
func blocks(n, size int) int { return (n + size - 1) / size }

// block returns the bounds of part i.
func block(i, size, n int) (from, to int) { return i * size, min(i*size+size, n) }
