package corpus

import (
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"
)

// PersonalKind is a kind of personal data. The names are wire names: they are
// appended to, never changed.
type PersonalKind string

// The kinds that FindPersonal knows.
const (
	Registration PersonalKind = "registration_number" // resident and foreigner registration number
	Mobile       PersonalKind = "mobile"
	Landline     PersonalKind = "landline"
	Business     PersonalKind = "business_number"
	Passport     PersonalKind = "passport"
	Licence      PersonalKind = "driver_licence"
	Account      PersonalKind = "account"
	Card         PersonalKind = "card"
	Email        PersonalKind = "email"
	IPAddress    PersonalKind = "ip_address"
)

// personalKinds lists the kinds in the order of reports.
var personalKinds = [personalKindCount]PersonalKind{Registration, Mobile, Landline, Business, Passport, Licence, Account, Card, Email, IPAddress}

const personalKindCount = 10

// TokenStyle says how a replaced span is written.
type TokenStyle string

// The two styles of tokens.
const (
	TokensKorean TokenStyle = "korean" // ⟦주민등록번호⟧
	TokensLatin  TokenStyle = "latin"  // <RRN>
)

var tokensKorean = map[PersonalKind]string{
	Registration: "⟦주민등록번호⟧", Mobile: "⟦휴대전화⟧", Landline: "⟦전화번호⟧", Business: "⟦사업자등록번호⟧",
	Passport: "⟦여권번호⟧", Licence: "⟦운전면허번호⟧", Account: "⟦계좌번호⟧", Card: "⟦카드번호⟧",
	Email: "⟦전자우편⟧", IPAddress: "⟦IP주소⟧",
}

var tokensLatin = map[PersonalKind]string{
	Registration: "<RRN>", Mobile: "<MOBILE>", Landline: "<PHONE>", Business: "<BUSINESS_NUMBER>",
	Passport: "<PASSPORT>", Licence: "<DRIVER_LICENCE>", Account: "<ACCOUNT>", Card: "<CARD>",
	Email: "<EMAIL>", IPAddress: "<IP>",
}

// Token returns the token that stands for the kind.
func (s TokenStyle) Token(k PersonalKind) string {
	if s == TokensLatin {
		return tokensLatin[k]
	}
	return tokensKorean[k]
}

// Span is personal data found in a text: bytes [Start, End), both at the
// boundary of a character. Certain says that a check digit or a word beside it
// confirms the form; a span that is not certain has the form alone.
type Span struct {
	Start, End int
	Kind       PersonalKind
	Certain    bool
}

// FindPersonal returns the personal data in text in the order it stands
// there, without overlaps. It errs on the side of hiding: a registration
// number with a valid date is found whatever its check digit, since numbers
// given out from October 2020 on have none.
func FindPersonal(text string) []Span {
	f := finder{text: text}
	f.emails()
	f.addresses()
	f.scan()
	return f.resolved()
}

// Redact replaces the personal data in text by typed tokens and returns what
// was found.
func Redact(text string, style TokenStyle) (string, []Span) {
	spans := FindPersonal(text)
	if len(spans) == 0 {
		return text, nil
	}
	var b strings.Builder
	b.Grow(len(text) + 16*len(spans))
	at := 0
	for _, s := range spans {
		b.WriteString(text[at:s.Start])
		b.WriteString(style.Token(s.Kind))
		at = s.End
	}
	b.WriteString(text[at:])
	return b.String(), spans
}

// finder holds one search. Spans found earlier in the list win overlaps.
type finder struct {
	text   string
	spans  []Span
	groups []digitGroup
	edge   int // end of the last number seen: context before it belongs to that number
}

func (f *finder) add(start, end int, kind PersonalKind, certain bool) {
	f.spans = append(f.spans, Span{start, end, kind, certain})
}

func (f *finder) resolved() []Span {
	if len(f.spans) < 2 {
		return f.spans
	}
	// Stable, so that of two spans with one start the one found first comes
	// first; e-mail and IPv6 were searched before numbers inside them.
	slices.SortStableFunc(f.spans, func(a, b Span) int { return a.Start - b.Start })
	kept := f.spans[:1]
	for _, s := range f.spans[1:] {
		if s.Start >= kept[len(kept)-1].End {
			kept = append(kept, s)
		}
	}
	return kept
}

// covered returns the end of the span already found at byte i, or i.
func (f *finder) covered(i int) int {
	for _, s := range f.spans {
		if i >= s.Start && i < s.End {
			return s.End
		}
	}
	return i
}

func isAlnum(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' }

const (
	emailLocalMax  = 64  // RFC 5321, 4.5.3.1.1
	emailDomainMax = 255 // RFC 5321, 4.5.3.1.2
	emailSpansMax  = 100_000
)

// emails finds addr-spec in the dot-atom form of RFC 5322, 3.4.1, ASCII only.
func (f *finder) emails() {
	for from := 0; len(f.spans) < emailSpansMax; {
		at := strings.IndexByte(f.text[from:], '@')
		if at < 0 {
			return
		}
		at += from
		start, end := at, at+1
		for start > from && at-start < emailLocalMax && isLocal(f.text[start-1]) {
			start--
		}
		for start < at && !isAlnum(f.text[start]) && f.text[start] != '_' {
			start++
		}
		for end < len(f.text) && end-at < emailDomainMax && (isAlnum(f.text[end]) || f.text[end] == '-' || f.text[end] == '.') {
			end++
		}
		for end > at+1 && !isAlnum(f.text[end-1]) {
			end--
		}
		from = at + 1
		if start < at && f.text[at-1] != '.' && isDomain(f.text[at+1:end]) {
			f.add(start, end, Email, true)
			from = end
		}
	}
}

func isLocal(c byte) bool {
	return isAlnum(c) || c == '.' || c == '_' || c == '%' || c == '+' || c == '-'
}

func isDomain(d string) bool {
	dot := strings.LastIndexByte(d, '.')
	if dot <= 0 || len(d)-dot < 3 || strings.Contains(d, "..") || d[0] == '.' || d[0] == '-' {
		return false
	}
	for _, c := range []byte(d[dot+1:]) {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return true
}

// addresses finds IPv6 addresses; IPv4 is found among the numbers.
func (f *finder) addresses() {
	for from := 0; ; {
		at := strings.IndexByte(f.text[from:], ':')
		if at < 0 {
			return
		}
		at += from
		start, end := at, at
		for start > from && isHex(f.text[start-1]) {
			start--
		}
		for end < len(f.text) && (isHex(f.text[end]) || f.text[end] == ':' || f.text[end] == '.') && end-start < 46 {
			end++
		}
		for end > at && (f.text[end-1] == '.' || f.text[end-1] == ':' && !strings.HasSuffix(f.text[:end], "::")) {
			end--
		}
		from = max(end, at+1)
		if start > 0 && (isAlnum(f.text[start-1]) || f.text[start-1] == ':') || end < len(f.text) && isAlnum(f.text[end]) {
			continue
		}
		if ip, err := netip.ParseAddr(f.text[start:end]); err == nil && ip.Is6() && hexGroups(f.text[start:end]) >= 4 && f.covered(start) == start {
			f.add(start, end, IPAddress, true)
		}
	}
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

func hexGroups(s string) int {
	n, open := 0, false
	for i := 0; i < len(s); i++ {
		if s[i] == ':' {
			open = false
		} else if !open {
			n, open = n+1, true
		}
	}
	return n
}

// scan walks the text for passport numbers and for runs of digit groups.
func (f *finder) scan() {
	text := f.text
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c >= '0' && c <= '9' || c == 0xEF && fullDigit(text[i:]) >= 0 || c == '+' || c == '(':
			i = f.run(i)
		case c|0x20 >= 'd' && c|0x20 <= 's' && i+9 <= len(text):
			i = f.passport(i)
		default:
			i++
		}
	}
}

// passport looks for M123A4567 (since December 2021) and M12345678 (before).
func (f *finder) passport(i int) int {
	t := f.text
	letter := t[i] &^ 0x20
	if strings.IndexByte("MSRGD", letter) < 0 || i > 0 && isAlnum(t[i-1]) || i+9 < len(t) && isAlnum(t[i+9]) {
		return i + 1
	}
	for k := 1; k < 9; k++ {
		if c := t[i+k]; c < '0' || c > '9' {
			if k != 4 || c|0x20 < 'a' || c|0x20 > 'z' {
				return i + 1
			}
		}
	}
	newForm := t[i+4] > '9'
	ctx := f.context(i)
	if ctx == aboutThing && !newForm || ctx != aboutPassport && t[i] >= 'a' {
		return i + 1
	}
	f.add(i, i+9, Passport, ctx == aboutPassport)
	f.edge = i + 9
	return i + 9
}

// fullDigit returns the value of the full-width digit s begins with, or -1.
func fullDigit(s string) int {
	if len(s) >= 3 && s[0] == 0xEF && s[1] == 0xBC && s[2] >= 0x90 && s[2] <= 0x99 {
		return int(s[2] - 0x90)
	}
	return -1
}

// digitGroup is one run of digits in a number written in groups.
type digitGroup struct {
	start, end int
	digits     [20]byte // the first 20 digits in ASCII
	n          int      // all digits
	sep        byte     // what stands before it: 0 nothing, or one of - . ) space
}

func (g *digitGroup) text() string { return string(g.digits[:min(g.n, len(g.digits))]) }

const (
	runGroupsMax   = 64 // digit groups looked at together
	separatorRunes = 3  // characters that may stand between two groups
	runDigitsMin   = 8  // fewer digits than this are never personal data on their own
)

// run reads the digit groups from byte i on, matches them, and returns where
// to go on.
func (f *finder) run(i int) int {
	f.groups = f.groups[:0]
	start, digits, at, sep := i, 0, i, byte(0)
	if c := f.text[i]; c == '+' || c == '(' {
		at++
	}
	for len(f.groups) < runGroupsMax {
		g := digitGroup{start: at, sep: sep}
		for at < len(f.text) {
			value, size := digitAt(f.text[at:])
			if size == 0 {
				break
			}
			if g.n < len(g.digits) {
				g.digits[g.n] = '0' + byte(value)
			}
			g.n, at = g.n+1, at+size
		}
		if g.n == 0 {
			break
		}
		g.end = at
		f.groups = append(f.groups, g)
		digits += g.n
		var size int
		if sep, size = separator(f.text[at:]); size == 0 {
			break
		}
		at += size
	}
	if len(f.groups) == 0 {
		return start + 1
	}
	end := f.groups[len(f.groups)-1].end
	if digits >= runDigitsMin || len(f.groups) == 4 {
		f.match(start)
	}
	f.edge = max(f.edge, end)
	return end
}

func digitAt(s string) (value, size int) {
	if s[0] >= '0' && s[0] <= '9' {
		return int(s[0] - '0'), 1
	}
	if v := fullDigit(s); v >= 0 {
		return v, 3
	}
	return 0, 0
}

// separator reads what may stand between two digit groups and returns its
// kind and size; size 0 says that no digit follows in reach.
func separator(s string) (kind byte, size int) {
	for n := 0; n < separatorRunes && size < len(s); n++ {
		if v, w := digitAt(s[size:]); w > 0 && v >= 0 {
			break
		}
		r, w := utf8.DecodeRuneInString(s[size:])
		var k byte
		switch r {
		case '-', 0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2212, 0xFF0D, 0x30FC, 0x3161:
			k = '-'
		case '.', 0xFF0E:
			k = '.'
		case '(', ')', 0xFF08, 0xFF09:
			k = ')'
		case ' ', 0xA0:
			k = ' '
		default:
			return 0, 0
		}
		if kind == 0 || kind == ' ' || k == '-' {
			kind = k
		}
		size += w
	}
	if size == 0 || size >= len(s) {
		return 0, 0
	}
	if _, w := digitAt(s[size:]); w == 0 {
		return 0, 0
	}
	return kind, size
}
