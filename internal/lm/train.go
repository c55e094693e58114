package lm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
)

// Limits of a training run.
const (
	stepsMax     = 1 << 30
	batchMax     = 1 << 14
	batchRowsMax = 1 << 20 // tokens of one step
)

// Defaults where a TrainConfig has zero: those of Llama (Touvron et al.,
// section 2.3) but for the learning rate, which suits models of one to ten
// million weights; larger ones want less.
const (
	LearningRateDefault = 3e-3
	WeightDecayDefault  = 0.1
	Beta1Default        = 0.9
	Beta2Default        = 0.95
	EpsilonDefault      = 1e-8
	ClipNormDefault     = 1.0
)

// TrainConfig is a training run. With the tokens it decides every bit of the
// weights; Workers, CheckpointEvery, CheckpointFolder and Progress do not.
type TrainConfig struct {
	Model Config
	// Seed draws the initial weights and the order of the text.
	Seed uint64
	// Steps is the number of updates; the first Warmup of them, 0 for none,
	// raise the learning rate. Batch is the number of sequences of
	// Model.ContextLength tokens in a step.
	Steps, Warmup, Batch int

	// LearningRate is the greatest rate, LearningRateMin that of the last step.
	// Zero: LearningRateDefault and a tenth of LearningRate.
	LearningRate, LearningRateMin float64
	// WeightDecay is AdamW's, for matrices only; zero: WeightDecayDefault,
	// negative: none.
	WeightDecay float64
	// Beta1, Beta2 and Epsilon are AdamW's; zero: the defaults.
	Beta1, Beta2, Epsilon float64
	// ClipNorm is the greatest length of a gradient; zero: ClipNormDefault,
	// negative: any length.
	ClipNorm float64

	// Workers is the number of goroutines, 0 for one per usable core.
	Workers int
	// CheckpointFolder, "" for none, is where checkpoints are written and looked
	// for; it is made if missing and belongs to this run alone. A checkpoint is
	// written after each CheckpointEvery steps (0: never), after the last step,
	// and when the run is cancelled.
	CheckpointEvery  int
	CheckpointFolder string
	// Progress is called after every step on the goroutine of Train.
	Progress func(Step)
}

// Step reports a finished update.
type Step struct {
	Step, Steps  int     // Step counts from 1 to Steps
	Loss         float64 // nats per token, before the update, of this step's batch
	LearningRate float64
	GradNorm     float64 // before clipping
	Tokens       int64   // read since the run began, those before a resumption included
	Flops        int64   // likewise; see Config.TrainingFlops
}

// TrainReport is what a finished run was.
type TrainReport struct {
	Steps         int
	Tokens, Flops int64
	Parameters    int64
	FinalLoss     float64 // nats per token of the last step's batch
	ResumedAt     int     // steps done before this call, 0 for a fresh run
	// Run is the SHA-256, in hexadecimal, of everything that decides the
	// weights but the kernel; Data that of the tokens.
	Run, Data string
	// Kernels names the kernels and processors' kinds that took part, such as
	// "avx512 amd64". With more than one the run cannot be repeated to the bit
	// on one machine.
	Kernels []string
	// Damaged names checkpoints that were passed over because their checksum
	// did not hold.
	Damaged []string
}

// withDefaults fills in what is zero and turns the negative "none" into zero.
func (c TrainConfig) withDefaults() TrainConfig {
	fill := func(x *float64, standard float64) {
		if *x == 0 {
			*x = standard
		}
	}
	fill(&c.LearningRate, LearningRateDefault)
	fill(&c.LearningRateMin, c.LearningRate/10)
	fill(&c.WeightDecay, WeightDecayDefault)
	fill(&c.Beta1, Beta1Default)
	fill(&c.Beta2, Beta2Default)
	fill(&c.Epsilon, EpsilonDefault)
	fill(&c.ClipNorm, ClipNormDefault)
	c.WeightDecay = max(c.WeightDecay, 0)
	c.ClipNorm = max(c.ClipNorm, 0)
	return c
}

// Validate says which field is wrong and what it may be.
func (c TrainConfig) Validate() error {
	if err := c.Model.Validate(); err != nil {
		return err
	}
	c = c.withDefaults()
	for _, f := range []struct {
		name               string
		value, least, most int
	}{
		{"steps", c.Steps, 1, stepsMax},
		{"warm-up steps", c.Warmup, 0, c.Steps - 1},
		{"batch", c.Batch, 1, batchMax},
		{"workers", c.Workers, 0, workersMax},
		{"steps between checkpoints", c.CheckpointEvery, 0, stepsMax},
	} {
		if f.value < f.least || f.value > f.most {
			return badConfig(f.name, "is %d, want %d to %d", f.value, f.least, f.most)
		}
	}
	if rows := c.Batch * c.Model.ContextLength; rows > batchRowsMax {
		return badConfig("batch", "of %d sequences of %d tokens makes %d tokens a step, want at most %d",
			c.Batch, c.Model.ContextLength, rows, batchRowsMax)
	}
	for _, f := range []struct {
		name               string
		value, least, most float64
	}{
		{"learning rate", c.LearningRate, math.SmallestNonzeroFloat64, 1},
		{"least learning rate", c.LearningRateMin, 0, c.LearningRate},
		{"weight decay", c.WeightDecay, 0, 10},
		{"beta1", c.Beta1, 0, 0.9999},
		{"beta2", c.Beta2, 0, 0.999999},
		{"epsilon", c.Epsilon, 1e-20, 1},
		{"greatest gradient norm", c.ClipNorm, 0, 1e9},
	} {
		if !(f.value >= f.least && f.value <= f.most) {
			return badConfig(f.name, "is %g, want %g to %g", f.value, f.least, f.most)
		}
	}
	return nil
}

// Memory estimates the bytes that the run holds at most, the tokens apart:
// weights, moments, gradients, two packed copies of the weights, activations.
func (c TrainConfig) Memory() int64 {
	m := c.Model
	rows := int64(c.Batch) * int64(m.ContextLength)
	floats := 6*m.Parameters() + rows*activationFloats(m) + min(rows, headRows)*int64(m.VocabSize)
	if m.TieEmbeddings {
		floats += 2 * int64(m.VocabSize) * int64(m.HiddenSize)
	}
	return 4 * floats
}

// run is a training run under way.
type run struct {
	config   TrainConfig // with defaults
	team     crew
	model    *Model
	state    adamw
	step     int // updates done
	saved    int // the step of the newest good checkpoint, -1 if there is none
	lastLoss float64
	identity identity
	kernels  []string
	damaged  []string
}

// Train trains a model on the tokens: documents one after another, joined by
// the caller with the model's begin and end tokens. Each step reads Batch windows of
// ContextLength tokens (see the rule at type windows: every epoch reads the
// corpus once, cut at other places and in another order). A corpus of fewer
// tokens than one window and its last target is refused (*CorpusShortError).
//
// Where CheckpointFolder holds checkpoints of this very run, Train goes on from
// the newest that is whole, to the same weights bit for bit as without the
// interruption; a checkpoint of another run is refused (*OtherRunError). When
// ctx is cancelled Train finishes the step at hand, writes a checkpoint and
// returns an error that wraps ctx's.
func Train(ctx context.Context, c TrainConfig, tokens []uint32) (*Model, TrainReport, error) {
	if err := c.Validate(); err != nil {
		return nil, TrainReport{}, err
	}
	c = c.withDefaults()
	if want := c.Model.ContextLength + 1; len(tokens) < want {
		return nil, TrainReport{}, &CorpusShortError{Have: len(tokens), Want: want}
	}
	if err := checkTokens(tokens, c.Model.VocabSize); err != nil {
		return nil, TrainReport{}, err
	}
	r, err := newRun(c, tokens)
	if err != nil {
		return nil, TrainReport{}, err
	}
	resumed := r.step
	if err := r.train(ctx, tokens); err != nil {
		return nil, r.report(resumed), err
	}
	return r.model, r.report(resumed), nil
}

// newRun begins a run or takes it up from its folder.
func newRun(c TrainConfig, tokens []uint32) (*run, error) {
	r := &run{config: c, team: newCrew(c.Workers), saved: -1, identity: newIdentity(c, tokens)}
	if c.CheckpointFolder != "" {
		if err := r.resume(); err != nil {
			return nil, err
		}
	}
	if r.model == nil {
		m, err := New(c.Model, c.Seed)
		if err != nil {
			return nil, err
		}
		r.model = m
		r.state = adamw{make([]float32, len(m.weights)), make([]float32, len(m.weights))}
	}
	if k := Kernel() + " " + runtime.GOARCH; !slices.Contains(r.kernels, k) && r.step < c.Steps {
		r.kernels = append(r.kernels, k)
	}
	return r, nil
}

func (r *run) report(resumed int) TrainReport {
	return TrainReport{
		Steps: r.step, Tokens: r.tokens(), Flops: r.flops(), Parameters: r.config.Model.Parameters(),
		FinalLoss: r.lastLoss, ResumedAt: resumed, Run: r.identity.digest(), Data: r.identity.Data,
		Kernels: r.kernels, Damaged: r.damaged,
	}
}

// tokens and flops since the run began follow from the steps done.
func (r *run) tokens() int64 {
	return int64(r.step) * int64(r.config.Batch) * int64(r.config.Model.ContextLength)
}

func (r *run) flops() int64 {
	return int64(r.step) * int64(r.config.Batch) * r.config.Model.TrainingFlops(r.config.Model.ContextLength)
}

// train takes the steps that are left.
func (r *run) train(ctx context.Context, tokens []uint32) error {
	c := r.config
	if r.step == c.Steps {
		return nil
	}
	p := newPass(r.model, c.Batch, c.Model.ContextLength, r.team, true)
	draw := newWindows(c.Seed, tokens, c.Model.ContextLength)
	inputs, targets := make([]uint32, p.rows), make([]uint32, p.rows)
	sums := make([]float64, blocks(len(r.model.weights), normPart))
	for r.step < c.Steps {
		if ctx.Err() != nil {
			return errors.Join(fmt.Errorf("training stopped after step %d of %d: %w", r.step, c.Steps, ctx.Err()), r.checkpoint())
		}
		draw.batch(r.step, inputs, targets)
		done, err := r.update(p, inputs, targets, sums)
		if err != nil {
			return err
		}
		r.step++
		r.lastLoss = done.Loss
		if c.Progress != nil {
			done.Step, done.Steps, done.Tokens, done.Flops = r.step, c.Steps, r.tokens(), r.flops()
			c.Progress(done)
		}
		if r.step == c.Steps || c.CheckpointEvery > 0 && r.step%c.CheckpointEvery == 0 {
			if err := r.checkpoint(); err != nil {
				return err
			}
		}
	}
	return nil
}

// update takes one step: gradients of the batch's mean loss, then AdamW.
func (r *run) update(p *pass, inputs, targets []uint32, sums []float64) (Step, error) {
	p.pack()
	p.run(inputs)
	p.losses(targets)
	p.backpropagate(inputs)
	s := Step{Loss: p.meanLoss(), LearningRate: r.config.rate(r.step), GradNorm: gradNorm(p.grad.flat, r.team, sums)}
	if sum := s.Loss + s.GradNorm; math.IsNaN(sum) || math.IsInf(sum, 0) {
		return s, &DivergedError{Step: r.step + 1, Loss: s.Loss, GradNorm: s.GradNorm}
	}
	r.state.update(r.model, p.grad.flat, r.config, r.step, s.LearningRate, clipFactor(s.GradNorm, r.config.ClipNorm), r.team)
	return s, nil
}
