package unit

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSpanString(t *testing.T) {
	for _, row := range []struct {
		span Span
		want string
	}{
		{0, "0ms"}, {1, "1ms"}, {999, "999ms"}, {Second, "1.0s"}, {1999, "1.9s"}, {59_999, "59.9s"},
		{Minute, "1m00s"}, {Hour - 1, "59m59s"}, {Hour, "1h00m00s"}, {25*Hour + 3*Minute + 4*Second, "25h03m04s"},
		{-1, "-1ms"}, {-90 * Second, "-1m30s"},
		{math.MaxInt64, "2562047788015h12m55s"}, {math.MinInt64, "-2562047788015h12m55s"},
	} {
		if got := row.span.String(); got != row.want {
			t.Errorf("%d is written %q, want %q", int64(row.span), got, row.want)
		}
	}
}

func TestSpanSecondsRoundUp(t *testing.T) {
	for _, row := range []struct {
		span Span
		want int64
	}{
		{math.MinInt64, 0}, {-1, 0}, {0, 0}, {1, 1}, {999, 1}, {1000, 1}, {1001, 2}, {Hour, 3600}, {math.MaxInt64, 9_223_372_036_854_776},
	} {
		if got := row.span.Seconds(); got != row.want {
			t.Errorf("%d ms are %d started seconds, want %d", int64(row.span), got, row.want)
		}
	}
}

func TestInstants(t *testing.T) {
	at := Instant(1_700_000_000_000)
	if at.Add(Hour).Sub(at) != Hour || at.Sub(at.Add(Second)) != -Second {
		t.Error("adding and subtracting disagree")
	}
}

func TestBytesString(t *testing.T) {
	for _, row := range []struct {
		size Bytes
		want string
	}{
		{-5, "-5 B"}, {0, "0 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {1535, "1.4 KiB"}, {1536, "1.5 KiB"},
		{1<<20 - 1, "1023.9 KiB"}, {1 << 20, "1.0 MiB"}, {3 << 29, "1.5 GiB"}, {1 << 40, "1.0 TiB"}, {1 << 50, "1.0 PiB"},
		{1 << 60, "1.0 EiB"}, {math.MaxInt64, "7.9 EiB"},
	} {
		if got := row.size.String(); got != row.want {
			t.Errorf("%d bytes are written %q, want %q", int64(row.size), got, row.want)
		}
	}
}

func TestPrice(t *testing.T) {
	for _, row := range []struct {
		name string
		use  ChipSeconds
		rate Rate
		want Credits
	}{
		{"an hour of the reference chip is one credit", 3600, RateReference, Credit},
		{"a second of it is rounded down", 1, RateReference, 277},
		{"a second of a CPU slot", 1, RateReference / 200, 1},
		{"a use too small to cost anything", 1, 3599, 0},
		{"just enough to cost a micro-credit", 1, 3600, 1},
		{"no use", 0, RateReference, 0},
		{"negative use", -3600, RateReference, 0},
		{"a chip worth nothing", 3600, 0, 0},
		{"a negative rate", 3600, -1, 0},
		{"a product beyond 64 bits", 1 << 40, 1 << 30, Credits(new(big.Int).Div(new(big.Int).Lsh(big.NewInt(1), 70), big.NewInt(3600)).Int64())},
		{"the largest that fits", math.MaxInt64, 3600, math.MaxInt64},
		{"a price beyond the range is capped", math.MaxInt64, 3601, math.MaxInt64},
		{"far beyond", math.MaxInt64, math.MaxInt64, math.MaxInt64},
	} {
		if got := Price(row.use, row.rate); got != row.want {
			t.Errorf("%s: %d, want %d", row.name, got, row.want)
		}
	}
}

// TestPriceAgainstBigIntegers: the price is the floor of use × rate / 3600, it
// grows with both, and splitting a use never makes it dearer.
func TestPriceAgainstBigIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		use, rate := rapid.Int64().Draw(t, "use"), rapid.Int64().Draw(t, "rate")
		want := new(big.Int)
		if use > 0 && rate > 0 {
			want.Div(new(big.Int).Mul(big.NewInt(use), big.NewInt(rate)), big.NewInt(3600))
		}
		if !want.IsInt64() {
			want.SetInt64(math.MaxInt64)
		}
		if got := Price(ChipSeconds(use), Rate(rate)); int64(got) != want.Int64() {
			t.Fatalf("price of %d at %d is %d, want %d", use, rate, got, want)
		}
		a, b := ChipSeconds(rapid.Int64Range(0, 1<<40).Draw(t, "a")), ChipSeconds(rapid.Int64Range(0, 1<<40).Draw(t, "b"))
		r := Rate(rapid.Int64Range(0, 1000*int64(RateReference)).Draw(t, "r"))
		if Price(a, r)+Price(b, r) > Price(a+b, r) {
			t.Fatalf("in two parts %d and %d cost more than together at %d", a, b, r)
		}
	})
}

func TestParseDecimals(t *testing.T) {
	for _, row := range []struct {
		text    string
		want    int64
		written string // as String writes it; empty: refused
	}{
		{"0", 0, "0"}, {"12", 12_000_000, "12"}, {"12.5", 12_500_000, "12.5"}, {"0.000277", 277, "0.000277"},
		{"1.500000", 1_500_000, "1.5"}, {"-0", 0, "0"}, {"-0.000001", -1, "-0.000001"}, {"007", 7_000_000, "7"},
		{"9223372036854.775807", math.MaxInt64, "9223372036854.775807"},
		{"-9223372036854.775808", math.MinInt64, "-9223372036854.775808"},
		{"9223372036854.775808", 0, ""}, {"-9223372036854.775809", 0, ""}, {strings.Repeat("9", 400), 0, ""},
		{"", 0, ""}, {"-", 0, ""}, {".", 0, ""}, {".5", 0, ""}, {"5.", 0, ""}, {"1.2.3", 0, ""}, {"+1", 0, ""}, {"--1", 0, ""}, {"1-", 0, ""},
		{"1.-5", 0, ""}, {"1e3", 0, ""}, {"1_000", 0, ""}, {"1,5", 0, ""}, {" 1", 0, ""}, {"1 ", 0, ""}, {"0x10", 0, ""}, {"NaN", 0, ""}, {"Inf", 0, ""},
		{"0.0000001", 0, ""}, {"1.5000000", 0, ""}, {"١", 0, ""}, {"１", 0, ""}, {"1\x00", 0, ""},
	} {
		credits, err := ParseCredits(row.text)
		micro, errMicro := ParseMicro(row.text)
		if (err == nil) != (row.written != "") || (errMicro == nil) != (err == nil) {
			t.Errorf("%.30q: %v and %v", row.text, err, errMicro)
			continue
		}
		if err == nil && (int64(credits) != row.want || int64(micro) != row.want || credits.String() != row.written || micro.String() != row.written) {
			t.Errorf("%q is read as %d and written %q, want %d and %q", row.text, credits, credits, row.want, row.written)
		}
	}
}

func TestDecimalsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Int64().Draw(t, "v")
		if back, err := ParseCredits(Credits(v).String()); err != nil || int64(back) != v {
			t.Fatalf("%d is written %s and read back as %d, %v", v, Credits(v), back, err)
		}
	})
}

func TestDigests(t *testing.T) {
	d := DigestOf([]byte("abc"))
	const want = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-2, B.1
	if d != want || d.Hex() != want[7:] || d.Short() != "ba7816bf8f01" {
		t.Errorf("%s, %s, %s", d, d.Hex(), d.Short())
	}
	if back, err := ParseDigest(string(d)); err != nil || back != d {
		t.Errorf("%s, %v", back, err)
	}
	if Digest("").Hex() != "" || Digest("").Short() != "" || Digest("sha256:ab").Short() != "ab" {
		t.Error("short digests are cut wrongly")
	}
	for _, bad := range []string{"", "sha256:", want[7:], want + "0", want[:len(want)-1], "SHA256:" + want[7:], "sha512:" + want[7:],
		"sha256:" + strings.ToUpper(want[7:]), " " + want, want + "\n", strings.Replace(want, "b", "g", 1), strings.Replace(want, "ba", "é", 1)} {
		if got, err := ParseDigest(bad); err == nil {
			t.Errorf("%q is taken for the digest %s", bad, got)
		}
	}
}

func FuzzParseDecimal(f *testing.F) {
	for _, seed := range []string{"12.5", "-0.000001", "9223372036854.775807", "1e3", "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := ParseMicro(text)
		if err != nil {
			return
		}
		if back, err := ParseMicro(v.String()); err != nil || back != v {
			t.Fatalf("%q is read as %d, written %s, read again as %d, %v", text, int64(v), v, int64(back), err)
		}
	})
}

func FuzzParseDigest(f *testing.F) {
	f.Add(string(DigestOf(nil)))
	f.Add("sha256:x")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := ParseDigest(text); err == nil && (string(d) != text || len(d.Hex()) != 64) {
			t.Fatalf("%q is read as %q", text, d)
		}
	})
}
