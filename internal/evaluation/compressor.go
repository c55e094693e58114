package evaluation

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Compressor says how many bits a general compressor needs for a byte of the
// held-out documents. They are compressed together, so it learns from one for
// the next, which the scorer and the byte models may not: the comparison leans
// to the compressor.
type Compressor struct {
	Name      string `json:"name"` // "zstd" or "klauspost/compress"
	Version   string `json:"version"`
	Arguments string `json:"arguments"`
	// Prefix is with the training text as a prefix to refer to; Joint is the
	// size of training and held-out text together less that of the training
	// text; Alone is without training text. 0 means not measured, Joint for
	// training text over 16 MiB. BitsPerByte is the lowest of them.
	Prefix      float64 `json:"prefix"`
	Joint       float64 `json:"joint"`
	Alone       float64 `json:"alone"`
	BitsPerByte float64 `json:"bits_per_byte"`
	// TrainBytes is how much training text it was given: all of it, or the
	// first 64 MiB.
	TrainBytes int64 `json:"train_bytes"`
}

// Limits of the compressor. zstd -19 does about 1.2 MB a second.
const (
	prefixBytesMax   = 64 << 20
	jointBytesMax    = 16 << 20
	windowLog        = 29 // 512 MiB: prefix and held-out text fit
	compressTimeMax  = 30 * time.Minute
	compressErrorMax = 4096
)

// compressorBench keeps the training text in a temporary file.
type compressorBench struct {
	zstd   string // path of the command, or "" for the library
	folder string
	train  *os.File
	writer *bufio.Writer
	bytes  int64
}

func newCompressorBench(config Config) (*compressorBench, error) {
	b := &compressorBench{}
	switch config.Zstd {
	case "-":
	case "":
		b.zstd, _ = exec.LookPath("zstd") // absent is fine: the library then
	default:
		path, err := exec.LookPath(config.Zstd)
		if err != nil {
			return nil, fmt.Errorf("find the zstd command: %w", err)
		}
		b.zstd = path
	}
	var err error
	if b.folder, err = os.MkdirTemp(config.Folder, "evaluation-*"); err != nil {
		return nil, err
	}
	if b.train, err = os.Create(filepath.Join(b.folder, "train")); err != nil {
		b.close()
		return nil, err
	}
	b.writer = bufio.NewWriterSize(b.train, 1<<18)
	return b, nil
}

// add takes a training document.
func (b *compressorBench) add(text string) error {
	text = text[:min(int64(len(text)), prefixBytesMax-b.bytes)]
	b.bytes += int64(len(text))
	if _, err := b.writer.WriteString(text); err != nil {
		return fmt.Errorf("keep training text for the compressor: %w", err)
	}
	return nil
}

func (b *compressorBench) close() {
	if b.train != nil {
		b.train.Close()
	}
	os.RemoveAll(b.folder)
}

// measure compresses the held-out documents in each way.
func (b *compressorBench) measure(ctx context.Context, documents []Document) (Compressor, error) {
	if err := b.writer.Flush(); err != nil {
		return Compressor{}, fmt.Errorf("keep training text for the compressor: %w", err)
	}
	var held bytes.Buffer
	for _, d := range documents {
		held.WriteString(d.Text)
	}
	ctx, cancel := context.WithTimeout(ctx, compressTimeMax)
	defer cancel()
	measure := b.measureCommand
	if b.zstd == "" {
		measure = b.measureLibrary
	}
	c, err := measure(ctx, held.Bytes())
	if err != nil {
		return Compressor{}, fmt.Errorf("measure the compressor: %w", err)
	}
	c.TrainBytes = b.bytes
	c.BitsPerByte = c.Alone
	for _, way := range []float64{c.Prefix, c.Joint} {
		if way > 0 {
			c.BitsPerByte = min(c.BitsPerByte, way)
		}
	}
	return c, nil
}

// perByte turns compressed bytes into bits per byte of text.
func perByte(compressed int64, text []byte) float64 {
	return 8 * float64(compressed) / float64(len(text))
}

var zstdVersion = regexp.MustCompile(`v(\d+\.\d+\.\d+)`)

// measureCommand uses the zstd command.
func (b *compressorBench) measureCommand(ctx context.Context, held []byte) (Compressor, error) {
	about, err := exec.CommandContext(ctx, b.zstd, "--version").Output()
	if err != nil {
		return Compressor{}, fmt.Errorf("%s --version: %w", b.zstd, err)
	}
	version := zstdVersion.FindSubmatch(about)
	if version == nil {
		return Compressor{}, fmt.Errorf("%s --version does not name a version: %.100q", b.zstd, about)
	}
	arguments := []string{"-19", fmt.Sprintf("--long=%d", windowLog), "--single-thread", "--no-check"}
	c := Compressor{Name: "zstd", Version: string(version[1]), Arguments: strings.Join(arguments, " ")}
	heldPath := filepath.Join(b.folder, "held-out")
	if err := os.WriteFile(heldPath, held, 0o600); err != nil {
		return Compressor{}, err
	}
	size, err := b.compressed(ctx, arguments, heldPath)
	if err != nil {
		return Compressor{}, err
	}
	c.Alone = perByte(size, held)
	if b.bytes == 0 {
		return c, nil
	}
	size, err = b.compressed(ctx, append(arguments, "--patch-from="+b.train.Name()), heldPath)
	if err != nil {
		return Compressor{}, err
	}
	c.Prefix = perByte(size, held)
	if b.bytes > jointBytesMax {
		return c, nil
	}
	train, err := b.compressed(ctx, arguments, b.train.Name())
	if err != nil {
		return Compressor{}, err
	}
	joint, err := b.joinHeldOut(ctx, arguments, held)
	if err != nil {
		return Compressor{}, err
	}
	c.Joint = perByte(max(joint-train, 1), held)
	return c, nil
}

// joinHeldOut puts the held-out text behind the training text and returns the
// compressed size of both. It is the last to use the training file.
func (b *compressorBench) joinHeldOut(ctx context.Context, arguments []string, held []byte) (int64, error) {
	if _, err := b.train.WriteAt(held, b.bytes); err != nil {
		return 0, err
	}
	return b.compressed(ctx, arguments, b.train.Name())
}

// compressed runs the command on a file and returns the compressed size.
func (b *compressorBench) compressed(ctx context.Context, arguments []string, path string) (int64, error) {
	out := path + ".zst"
	defer os.Remove(out)
	command := exec.CommandContext(ctx, b.zstd, append(append([]string{}, arguments...), "-q", "-f", path, "-o", out)...)
	command.WaitDelay = 10 * time.Second
	command.Env = []string{"LC_ALL=C"} // ZSTD_CLEVEL and the like must not reach it
	said := &headWriter{left: compressErrorMax}
	command.Stderr = said
	if err := command.Run(); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", command.String(), errors.Join(err, ctx.Err()), bytes.TrimSpace(said.kept.Bytes()))
	}
	info, err := os.Stat(out)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// headWriter keeps the first bytes written to it.
type headWriter struct {
	kept bytes.Buffer
	left int
}

func (w *headWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	w.kept.Write(p[:n])
	w.left -= n
	return len(p), nil
}

// measureLibrary uses the compressor in this program, weaker than zstd -19.
func (b *compressorBench) measureLibrary(ctx context.Context, held []byte) (Compressor, error) {
	c := Compressor{Name: "klauspost/compress", Version: libraryVersion(), Arguments: "zstd, best compression, window over all of the text"}
	train := make([]byte, b.bytes)
	if _, err := io.ReadFull(io.NewSectionReader(b.train, 0, b.bytes), train); err != nil {
		return Compressor{}, err
	}
	size, err := librarySize(ctx, nil, held)
	if err != nil {
		return Compressor{}, err
	}
	c.Alone = perByte(size, held)
	if b.bytes == 0 {
		return c, nil
	}
	if size, err = librarySize(ctx, train, held); err != nil {
		return Compressor{}, err
	}
	c.Prefix = perByte(size, held)
	if b.bytes > jointBytesMax {
		return c, nil
	}
	first, err := librarySize(ctx, nil, train)
	if err != nil {
		return Compressor{}, err
	}
	both, err := librarySize(ctx, nil, append(train, held...))
	if err != nil {
		return Compressor{}, err
	}
	c.Joint = perByte(max(both-first, 1), held)
	return c, nil
}

// windowOver returns the smallest window that holds size bytes: the library
// takes twice the window in memory.
func windowOver(size int) int {
	return min(max(zstd.MinWindowSize, 1<<bits.Len(uint(size))), zstd.MaxWindowSize)
}

// librarySize returns the compressed size of text, given a dictionary.
func librarySize(ctx context.Context, dictionary, text []byte) (int64, error) {
	options := []zstd.EOption{
		zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(windowOver(len(dictionary) + len(text))),
	}
	if len(dictionary) > 0 {
		options = append(options, zstd.WithEncoderDictRaw(1, dictionary))
	}
	count := &countWriter{}
	encoder, err := zstd.NewWriter(count, options...)
	if err != nil {
		return 0, err
	}
	defer encoder.Close()
	for len(text) > 0 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n := min(len(text), 1<<20)
		if _, err := encoder.Write(text[:n]); err != nil {
			return 0, err
		}
		text = text[n:]
	}
	if err := encoder.Close(); err != nil {
		return 0, err
	}
	return count.bytes, nil
}

type countWriter struct{ bytes int64 }

func (w *countWriter) Write(p []byte) (int, error) {
	w.bytes += int64(len(p))
	return len(p), nil
}

// libraryVersion reads the library's version from this program.
func libraryVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/klauspost/compress" {
				return module.Version
			}
		}
	}
	return "unknown"
}
