package lm

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// windows chooses what each step reads. The corpus is one ring of n tokens: the
// last is followed by the first. An epoch begins at a drawn token, goes round
// once and cuts the ring into n/span windows (rounded down, so fewer than span
// tokens are left out, others in each epoch), which are read in a drawn order.
// Within an epoch each token is thus a target at most once.
//
// Which tokens step s reads is a pure function of seed and s: a resumed run
// needs no state of it.
type windows struct {
	seed   uint64
	tokens []uint32
	span   int

	epoch int // the epoch that start and order belong to, -1 at first
	start int
	order []int
}

func newWindows(seed uint64, tokens []uint32, span int) *windows {
	return &windows{seed: seed, tokens: tokens, span: span, epoch: -1}
}

// batch fills inputs and targets, len(inputs)/span windows each, for the step.
func (w *windows) batch(step int, inputs, targets []uint32) {
	n, count, sequences := len(w.tokens), len(w.tokens)/w.span, len(inputs)/w.span
	for b := range sequences {
		number := step*sequences + b
		w.enter(number / count)
		at := (w.start + w.order[number%count]*w.span) % n
		for i := b * w.span; i < (b+1)*w.span; i++ {
			inputs[i] = w.tokens[at]
			if at++; at == n {
				at = 0
			}
			targets[i] = w.tokens[at]
		}
	}
}

func (w *windows) enter(epoch int) {
	if epoch == w.epoch {
		return
	}
	draw := philox{seed: w.seed, stream: streamWindows + uint64(epoch)}
	w.epoch = epoch
	w.order = draw.shuffle(len(w.tokens) / w.span)
	// shuffle uses counters from 1 on.
	w.start = draw.below(0, len(w.tokens))
}

// tokensDigest is the SHA-256 of the ids, four bytes each, little-endian.
func tokensDigest(tokens []uint32) string {
	h := sha256.New()
	buffer := make([]byte, 0, 1<<16)
	for _, id := range tokens {
		if buffer = binary.LittleEndian.AppendUint32(buffer, id); len(buffer) == cap(buffer) {
			h.Write(buffer)
			buffer = buffer[:0]
		}
	}
	h.Write(buffer)
	return hex.EncodeToString(h.Sum(nil))
}
