package lm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A checkpoint file is
//
//	8 bytes   "GAONCKPT"
//	4 bytes   version, little-endian
//	4 bytes   length of the header
//	header    JSON: the run's identity, the step, the loss, the kernels
//	weights, first moments, second moments: float32, little-endian
//	32 bytes  SHA-256 of all that stands before
//
// Its name is checkpoint-STEP.gaon, STEP with nine digits or more.
const (
	checkpointMagic     = "GAONCKPT"
	checkpointVersion   = 1
	checkpointHeaderMax = 1 << 16
	checkpointsKept     = 2
)

var checkpointName = regexp.MustCompile(`^checkpoint-([0-9]{9,10})\.gaon$`)

// identity is everything that decides a run's weights but the kernel: the
// checkpoint of one run cannot be taken for another's.
type identity struct {
	Model                         Config
	Seed                          uint64
	Steps, Warmup, Batch          int
	LearningRate, LearningRateMin float64
	WeightDecay                   float64
	Beta1, Beta2, Epsilon         float64
	ClipNorm                      float64
	Data                          string // SHA-256 of the tokens
	Tokens                        int    // their number
}

func newIdentity(c TrainConfig, tokens []uint32) identity {
	return identity{
		Model: c.Model, Seed: c.Seed, Steps: c.Steps, Warmup: c.Warmup, Batch: c.Batch,
		LearningRate: c.LearningRate, LearningRateMin: c.LearningRateMin, WeightDecay: c.WeightDecay,
		Beta1: c.Beta1, Beta2: c.Beta2, Epsilon: c.Epsilon, ClipNorm: c.ClipNorm,
		Data: tokensDigest(tokens), Tokens: len(tokens),
	}
}

func (id identity) digest() string {
	sum := sha256.Sum256(mustJSON(id))
	return hex.EncodeToString(sum[:])
}

// mustJSON encodes a value that always can be.
func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// difference names the first field in which other differs, "" if none does.
func (id identity) difference(other identity) (field, have, want string) {
	if id == other {
		return "", "", ""
	}
	flat := func(id identity) ([]string, map[string]string) {
		keys, fields := []string{}, map[string]string{}
		var walk func(prefix string, text []byte)
		walk = func(prefix string, text []byte) {
			var object map[string]json.RawMessage
			if json.Unmarshal(text, &object) != nil {
				keys = append(keys, prefix)
				fields[prefix] = string(text)
				return
			}
			for key, value := range object {
				walk(strings.TrimPrefix(prefix+"."+key, "."), value)
			}
		}
		walk("", mustJSON(id))
		slices.Sort(keys)
		return keys, fields
	}
	keys, mine := flat(id)
	_, theirs := flat(other)
	for _, key := range keys {
		if mine[key] != theirs[key] {
			return key, mine[key], theirs[key]
		}
	}
	return "identity", "", ""
}

// checkpointHeader is the JSON in a checkpoint.
type checkpointHeader struct {
	Run     identity
	Step    int
	Loss    float64
	Kernels []string
}

// CheckpointPath is where the checkpoint after so many steps lies in its folder.
func CheckpointPath(folder string, step int) string {
	return filepath.Join(folder, fmt.Sprintf("checkpoint-%09d.gaon", step))
}

// checkpoint writes the state, unless that was just done, and removes all other
// checkpoints but the newest good one before it.
func (r *run) checkpoint() error {
	folder := r.config.CheckpointFolder
	if folder == "" || r.saved == r.step {
		return nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	if err := writeFile(CheckpointPath(folder, r.step), r.write); err != nil {
		return err
	}
	// At this point the new checkpoint is durable. If we stop here, older ones
	// stay for the next call to remove.
	before := r.saved
	r.saved = r.step
	steps, unfinished, err := listCheckpoints(folder)
	if err != nil {
		return err
	}
	for _, step := range steps {
		if step != r.step && step != before {
			unfinished = append(unfinished, CheckpointPath(folder, step))
		}
	}
	for _, path := range unfinished {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove old checkpoint: %w", err)
		}
	}
	return nil
}

// write writes the checkpoint's bytes.
func (r *run) write(w io.Writer) error {
	hash := sha256.New()
	to := io.MultiWriter(w, hash)
	text := mustJSON(checkpointHeader{Run: r.identity, Step: r.step, Loss: r.lastLoss, Kernels: r.kernels})
	head := binary.LittleEndian.AppendUint32([]byte(checkpointMagic), checkpointVersion)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(text)))
	if _, err := to.Write(append(head, text...)); err != nil {
		return err
	}
	for _, part := range [][]float32{r.model.weights, r.state.m, r.state.v} {
		if err := writeFloats(to, part); err != nil {
			return err
		}
	}
	_, err := w.Write(hash.Sum(nil))
	return err
}

// listCheckpoints returns the steps with a checkpoint, newest first, and the
// paths of unfinished files.
func listCheckpoints(folder string) (steps []int, unfinished []string, err error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list checkpoints: %w", err)
	}
	for _, e := range entries {
		if m := checkpointName.FindStringSubmatch(e.Name()); m != nil {
			step, err := strconv.Atoi(m[1])
			if err == nil {
				steps = append(steps, step)
			}
		} else if strings.HasPrefix(e.Name(), temporary+"checkpoint-") {
			unfinished = append(unfinished, filepath.Join(folder, e.Name()))
		}
	}
	slices.SortFunc(steps, func(a, b int) int { return b - a })
	return steps, unfinished, nil
}

// errDamaged marks a checkpoint whose bytes are not those that were written.
var errDamaged = errors.New("damaged")

// resume takes up the newest whole checkpoint. Where none is whole the run
// begins anew: it leads to the same weights, later.
func (r *run) resume() error {
	steps, _, err := listCheckpoints(r.config.CheckpointFolder)
	if err != nil {
		return err
	}
	for _, step := range steps {
		path := CheckpointPath(r.config.CheckpointFolder, step)
		err := r.open(path, step)
		if errors.Is(err, errDamaged) {
			r.damaged = append(r.damaged, filepath.Base(path))
			continue
		}
		return err
	}
	return nil
}

func (r *run) open(path string, step int) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read checkpoint: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read checkpoint: %w", err)
	}
	if err := r.read(f, info.Size(), path); err != nil {
		return err
	}
	if r.step != step {
		r.model, r.step, r.saved = nil, 0, -1
		return badFormat(path, "", "holds step %d: it was renamed", step)
	}
	return nil
}

// read takes the state from a checkpoint of size bytes. It allocates nothing
// larger than the header before it knows that the rest belongs to this run, and
// reports another run only if the checksum holds: a damaged header is damage.
func (r *run) read(file io.Reader, size int64, name string) error {
	const fixed = len(checkpointMagic) + 8
	if size < int64(fixed+sha256.Size) {
		return errDamaged
	}
	hash := sha256.New()
	body := io.LimitReader(file, size-sha256.Size)
	from := io.TeeReader(body, hash)
	fail := func(err error) error { return fmt.Errorf("read checkpoint %s: %w", name, err) }

	head := make([]byte, fixed)
	if _, err := io.ReadFull(from, head); err != nil {
		return fail(err)
	}
	version := binary.LittleEndian.Uint32(head[len(checkpointMagic):])
	length := binary.LittleEndian.Uint32(head[len(checkpointMagic)+4:])
	if string(head[:len(checkpointMagic)]) != checkpointMagic || length > checkpointHeaderMax || int64(length) > size-int64(fixed)-sha256.Size {
		return errDamaged
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(from, text); err != nil {
		return fail(err)
	}
	state, refusal := r.judge(text, version, size-int64(fixed)-int64(length)-sha256.Size, name)
	if refusal == nil {
		for _, part := range [][]float32{state.model.weights, state.state.m, state.state.v} {
			if err := readFloats(from, part); err != nil {
				return fail(err)
			}
		}
	} else if _, err := io.Copy(io.Discard, from); err != nil {
		return fail(err)
	}
	sum := make([]byte, sha256.Size)
	if _, err := io.ReadFull(file, sum); err != nil {
		return fail(err)
	}
	if !bytes.Equal(sum, hash.Sum(nil)) {
		return errDamaged
	}
	if refusal != nil {
		return refusal
	}
	r.model, r.state, r.step, r.saved = state.model, state.state, state.step, state.step
	r.lastLoss, r.kernels = state.lastLoss, state.kernels
	return nil
}

// judge reads the header and makes room for a state of the given bytes, or says
// why the checkpoint is of no use to this run.
func (r *run) judge(text []byte, version uint32, bytes int64, name string) (*run, error) {
	if version != checkpointVersion {
		return nil, badFormat(name, "", "is a checkpoint of version %d, this program reads version %d: use the program that wrote it", version, checkpointVersion)
	}
	var h checkpointHeader
	if err := json.Unmarshal(text, &h); err != nil {
		return nil, badFormat(name, "header", "%v", err)
	}
	if field, have, want := h.Run.difference(r.identity); field != "" {
		return nil, &OtherRunError{File: name, Field: field, Have: have, Want: want}
	}
	if h.Step < 0 || h.Step > r.config.Steps {
		return nil, badFormat(name, "Step", "is %d, want 0 to %d", h.Step, r.config.Steps)
	}
	n := r.config.Model.Parameters()
	if bytes != 3*4*n {
		return nil, badFormat(name, "", "holds %d bytes of state, want %d", bytes, 3*4*n)
	}
	m, err := emptyModel(r.config.Model)
	if err != nil {
		return nil, err
	}
	return &run{model: m, state: adamw{make([]float32, n), make([]float32, n)}, step: h.Step, lastLoss: h.Loss, kernels: h.Kernels}, nil
}
