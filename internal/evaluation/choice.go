package evaluation

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
)

// Choice is how multiple choice went.
type Choice struct {
	Items int `json:"items"`
	// Accuracy is by log-likelihood per byte of the choice, AccuracyRaw by
	// log-likelihood, which favours short choices.
	Accuracy    Accuracy `json:"accuracy"`
	AccuracyRaw Accuracy `json:"accuracy_raw"`
	// Chance is what guessing would get: the mean of one over the choices.
	Chance float64 `json:"chance"`
}

// Accuracy is a share of right answers with its 95 % interval (Wilson 1927).
type Accuracy struct {
	Correct int     `json:"correct"`
	Share   float64 `json:"share"`
	Low     float64 `json:"low"`
	High    float64 `json:"high"`
}

// The scorer sees the question as prefix and each choice, after one space, as
// continuation, as is customary.
func (item *Item) continuations() []string {
	out := make([]string, len(item.Choices))
	for i, c := range item.Choices {
		out[i] = " " + c
	}
	return out
}

// choices scores the multiple-choice items, if there are any.
func (e *evaluation) choices(ctx context.Context) error {
	items := e.input.Items
	if len(items) == 0 {
		return nil
	}
	all := make([][]float64, len(items))
	err := e.each(ctx, "choice", len(items), func(i int) error {
		got, err := e.scorer.LogLikelihoods(ctx, items[i].Question, items[i].continuations())
		if err != nil {
			return fmt.Errorf("score item %d (%s): %w", i, items[i].ID, err)
		}
		if len(got) != len(items[i].Choices) {
			return fmt.Errorf("score item %d (%s): %d log-likelihoods for %d choices", i, items[i].ID, len(got), len(items[i].Choices))
		}
		for k, nats := range got {
			if math.IsNaN(nats) || math.IsInf(nats, 0) || nats > 0 {
				return fmt.Errorf("score item %d (%s): %v is no log-likelihood (choice %d)", i, items[i].ID, nats, k)
			}
		}
		all[i] = got
		return nil
	})
	if err != nil {
		return err
	}
	c := &Choice{Items: len(items)}
	for i := range items {
		item := &items[i]
		perByte := make([]float64, len(item.Choices))
		for k, text := range item.continuations() {
			perByte[k] = all[i][k] / float64(len(text))
		}
		chosen, chosenRaw := e.pick(item.ID, perByte), e.pick(item.ID, all[i])
		if chosen == item.Answer {
			c.Accuracy.Correct++
		}
		if chosenRaw == item.Answer {
			c.AccuracyRaw.Correct++
		}
		c.Chance += 1 / float64(len(item.Choices))
		sizes := make([]int, len(item.Choices))
		for k, text := range item.continuations() {
			sizes[k] = len(text)
		}
		e.raw.write(rawChoice{"choice", item.ID, all[i], sizes, chosen, chosenRaw, item.Answer})
	}
	c.Chance /= float64(len(items))
	c.Accuracy.fill(len(items))
	c.AccuracyRaw.fill(len(items))
	e.report.Choice = c
	return nil
}

// pick returns the choice with the highest score. Among equals a hash of seed
// and id decides: always taking the first would credit a scorer that says the
// same of everything with the habits of whoever wrote the answers.
func (e *evaluation) pick(id string, scores []float64) int {
	best := []int{0}
	for i := 1; i < len(scores); i++ {
		if top := scores[best[0]]; scores[i] > top {
			best = append(best[:0], i)
		} else if scores[i] == top {
			best = append(best, i)
		}
	}
	if len(best) == 1 {
		return best[0]
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%d\n%s", e.config.Seed, id)
	return best[mix(h.Sum64())%uint64(len(best))]
}

// mix spreads the bits of a hash: the finaliser of splitmix64 (Steele, Lea and
// Flood 2014, figure 14).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (a *Accuracy) fill(items int) {
	a.Share = float64(a.Correct) / float64(items)
	a.Low, a.High = wilson(a.Correct, items)
}

// wilson returns the 95 % score interval of k out of n (Wilson 1927, as in
// Brown, Cai and DasGupta 2001, equation 4).
func wilson(k, n int) (low, high float64) {
	const z = 1.959963984540054
	p, m := float64(k)/float64(n), float64(n)
	centre := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(0, centre-half), min(1, centre+half)
}
