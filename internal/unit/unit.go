// Package unit holds the quantities Gaon counts in: instants, spans,
// chip-seconds, credits, bytes, score millionths and digests, each an integer
// with a type of its own so that none can be mistaken for another.
//
// It is not a library of conversions for display; pages and commands format
// quantities with the String methods here and nothing else.
//
// Begin with Credits and ChipSeconds: they are what a tenant pays and uses.
package unit

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Instant is a point in time: milliseconds since 1970-01-01T00:00:00Z.
// The pure half receives instants, it never asks for one.
type Instant int64

// Span is a length of time in milliseconds.
type Span int64

// Spans that people speak of.
const (
	Millisecond Span = 1
	Second           = 1000 * Millisecond
	Minute           = 60 * Second
	Hour             = 60 * Minute
	Day              = 24 * Hour
)

// Add returns the instant d later.
func (t Instant) Add(d Span) Instant { return t + Instant(d) }

// Sub returns the span from u to t, negative if t is earlier.
func (t Instant) Sub(u Instant) Span { return Span(t - u) }

// Seconds returns the whole seconds in d, rounded up: a started second counts.
func (d Span) Seconds() int64 {
	if d <= 0 {
		return 0
	}
	return (int64(d)-1)/1000 + 1
}

// String writes the span as people say it: 1h02m03s, 4.5s.
func (d Span) String() string {
	if d < 0 {
		// The least int64 has no positive twin; a millisecond less is shown.
		return "-" + max(-d, -(d+1)).String()
	}
	switch {
	case d < Second:
		return fmt.Sprintf("%dms", int64(d))
	case d < Minute:
		return fmt.Sprintf("%d.%ds", d/Second, d%Second/100)
	case d < Hour:
		return fmt.Sprintf("%dm%02ds", d/Minute, d%Minute/Second)
	}
	return fmt.Sprintf("%dh%02dm%02ds", d/Hour, d%Hour/Minute, d%Minute/Second)
}

// ChipSeconds is use of devices: one device held for one second is one,
// whatever the chip. Rate turns it into credits.
type ChipSeconds int64

// Rate says what one chip is worth beside the reference chip, in millionths:
// 1,000,000 is the reference chip itself, 5,000 a two-hundredth of it.
type Rate int64

// RateReference is the reference chip's own rate.
const RateReference Rate = 1_000_000

// Credits is money inside a centre, in micro-credits: 1,000,000 micro-credits
// are one credit, and one credit is one hour of the reference chip.
type Credits int64

// Credit is one whole credit.
const Credit Credits = 1_000_000

// Price returns what the use costs at the rate, rounded down to a whole
// micro-credit so that no tenant ever pays for what was not used:
//
//	micro-credits = floor(chip-seconds × rate / 3600)
//
// since rate is in millionths and a credit is both 1,000,000 micro-credits and
// 3,600 reference chip-seconds. Negative use costs nothing; a price beyond the
// int64 range is capped there, so it can never wrap into a small number.
func Price(use ChipSeconds, rate Rate) Credits {
	if use <= 0 || rate <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(use), uint64(rate))
	if hi >= 3600 {
		return math.MaxInt64
	}
	quotient, _ := bits.Div64(hi, lo, 3600)
	if quotient > math.MaxInt64 {
		return math.MaxInt64
	}
	return Credits(quotient)
}

// String writes credits with all the decimals that matter: 12.5, 0.000277.
func (c Credits) String() string { return decimalMillionths(int64(c)) }

// ParseCredits reads "12", "12.5" or "0.000277" credits; more than six
// decimals are refused, never rounded.
func ParseCredits(s string) (Credits, error) {
	v, err := parseMillionths(s)
	if err != nil {
		return 0, fmt.Errorf("credits %q: %w", s, err)
	}
	return Credits(v), nil
}

// Micro is a score in millionths, so that scores and limits compare exactly:
// 2.5 bits per byte is 2,500,000.
type Micro int64

// String writes the score as a decimal.
func (m Micro) String() string { return decimalMillionths(int64(m)) }

// ParseMicro reads a decimal with at most six places.
func ParseMicro(s string) (Micro, error) {
	v, err := parseMillionths(s)
	if err != nil {
		return 0, fmt.Errorf("number %q: %w", s, err)
	}
	return Micro(v), nil
}

// Bytes is a size.
type Bytes int64

// String writes the size in binary units, rounded down to one decimal.
func (b Bytes) String() string {
	const units = "KMGTPE"
	if b < 1024 {
		return fmt.Sprintf("%d B", int64(b))
	}
	whole, rest, i := int64(b)>>10, int64(b)&1023, 0
	for whole >= 1024 && i < len(units)-1 {
		whole, rest = whole>>10, whole&1023
		i++
	}
	return fmt.Sprintf("%d.%d %ciB", whole, rest*10>>10, units[i])
}

func decimalMillionths(v int64) string {
	sign := ""
	magnitude := uint64(v)
	if v < 0 {
		sign, magnitude = "-", -magnitude
	}
	whole, part := magnitude/1_000_000, magnitude%1_000_000
	if part == 0 {
		return sign + strconv.FormatUint(whole, 10)
	}
	return sign + strconv.FormatUint(whole, 10) + "." + strings.TrimRight(fmt.Sprintf("%06d", part), "0")
}

func parseMillionths(s string) (int64, error) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, part, hasPart := strings.Cut(digits, ".")
	if whole == "" || hasPart && part == "" || len(part) > 6 || !allDigits(whole) || !allDigits(part) {
		return 0, fmt.Errorf("want a decimal with at most six places, such as 12.5")
	}
	sign := ""
	if negative {
		sign = "-" // read with its sign: the range is wider by one below zero
	}
	v, err := strconv.ParseInt(sign+whole+(part + "000000")[:6], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("out of range")
	}
	return v, nil
}

func allDigits(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
