package corpus

import "strings"

// match finds personal numbers among the groups of the current run, which
// began at byte start (a "+" or "(" may stand before the first digit).
func (f *finder) match(start int) {
	for i := 0; i < len(f.groups); {
		used := 0
		if f.covered(f.groups[i].start) == f.groups[i].start {
			used = f.matchAt(i, start)
		}
		if used == 0 {
			i++
			continue
		}
		i += used
		f.edge = f.groups[i-1].end
	}
}

// matchAt tries each kind at group i and returns how many groups were used.
func (f *finder) matchAt(i, runStart int) int {
	g := f.groups[i]
	if i > 0 && g.sep == '-' && f.edge < f.groups[i-1].end {
		return 0 // the tail of a longer number written with hyphens
	}
	first, before := f.firstByte(i, runStart), byte(0)
	ctx := f.context(first)
	if first > 0 {
		before = f.text[first-1]
	}
	glued := before|0x20 >= 'a' && before|0x20 <= 'z' && before < 0x80 || before == '_' || before == '/' || before == '='
	type try func(i int, ctx subject, glued bool) (used int, kind PersonalKind, certain bool)
	for _, t := range [...]try{f.phone, f.card, f.registration, f.account, f.business, f.licence, f.address} {
		used, kind, certain := t(i, ctx, glued)
		if used == 0 || f.continues(i+used) {
			continue
		}
		from := g.start
		if kind == Mobile || kind == Landline {
			from = first
		}
		f.add(from, f.groups[i+used-1].end, kind, certain)
		return used
	}
	return 0
}

// firstByte is where group i begins, with a "+" or "(" that belongs to it.
func (f *finder) firstByte(i, runStart int) int {
	g := f.groups[i]
	if i == 0 {
		return min(runStart, g.start)
	}
	if g.start > 0 && (f.text[g.start-1] == '+' || f.text[g.start-1] == '(') {
		return g.start - 1
	}
	return g.start
}

// continues reports that group i exists and is tied to the one before it.
func (f *finder) continues(i int) bool { return i < len(f.groups) && f.groups[i].sep == '-' }

// shape reports whether the groups from i on have these lengths.
func (f *finder) shape(i int, lengths ...int) bool {
	if i+len(lengths) > len(f.groups) {
		return false
	}
	for k, n := range lengths {
		if f.groups[i+k].n != n {
			return false
		}
	}
	return true
}

// tied reports whether groups i+1 .. i+n-1 follow by one of the separators.
func (f *finder) tied(i, n int, seps string) bool {
	for k := i + 1; k < i+n; k++ {
		if strings.IndexByte(seps, f.groups[k].sep) < 0 {
			return false
		}
	}
	return true
}

func (f *finder) digits(i, n int) string {
	var b strings.Builder
	for k := i; k < i+n; k++ {
		b.WriteString(f.groups[k].text())
	}
	return b.String()
}

// phone finds mobile and landline numbers, inland and with +82.
func (f *finder) phone(i int, ctx subject, glued bool) (int, PersonalKind, bool) {
	g := f.groups[i]
	country := g.n == 2 && g.text() == "82" || g.n == 4 && g.text() == "0082"
	if country && i+1 < len(f.groups) {
		if used, kind, ok := f.subscriber(i+1, ctx, true); ok {
			return used + 1, kind, true
		}
	}
	if g.n >= 11 && g.n <= 14 {
		if rest, ok := strings.CutPrefix(strings.TrimPrefix(g.text(), "00"), "82"); ok && isMobilePlain("0"+strings.TrimPrefix(rest, "0")) {
			return 1, Mobile, true
		}
	}
	if glued && g.n > 4 {
		return 0, "", false
	}
	used, kind, ok := f.subscriber(i, ctx, false)
	return used, kind, ok
}

// subscriber matches the national part of a telephone number at group i.
// Abroad, the leading 0 is left out.
func (f *finder) subscriber(i int, ctx subject, abroad bool) (int, PersonalKind, bool) {
	g := f.groups[i]
	head := g.text()
	if abroad && head != "" && head[0] != '0' {
		head = "0" + head
	}
	const seps = "-. )"
	switch {
	case isMobilePrefix(head):
		if (f.shape(i+1, 4, 4) || f.shape(i+1, 3, 4)) && f.tied(i, 3, seps) {
			return 3, Mobile, true
		}
		if f.shape(i+1, 8) && f.tied(i, 2, seps) {
			return 2, Mobile, true
		}
	case isMobilePlain(head):
		return 1, Mobile, true
	case len(head) == 7 && isMobilePrefix(head[:3]) && f.shape(i+1, 4) && f.tied(i, 2, seps):
		return 2, Mobile, true
	case isArea(head):
		if (f.shape(i+1, 4, 4) || f.shape(i+1, 3, 4)) && f.tied(i, 3, seps) &&
			(f.groups[i+1].digits[0] >= '2' || ctx == aboutPhone) && (ctx != aboutThing || head == "02") {
			return 3, Landline, true
		}
		if (f.shape(i+1, 8) || f.shape(i+1, 7)) && f.tied(i, 2, "-)") && ctx == aboutPhone {
			return 2, Landline, true
		}
	case len(head) >= 9 && len(head) <= 11 && ctx == aboutPhone && (isArea(head[:3]) || head[:2] == "02"):
		return 1, Landline, true
	}
	return 0, "", false
}

func isMobilePrefix(s string) bool {
	return len(s) == 3 && s[0] == '0' && s[1] == '1' && strings.IndexByte("016789", s[2]) >= 0
}

// isMobilePlain reports a mobile number without separators. Only 010 has
// eleven digits for certain; the older prefixes had ten or eleven.
func isMobilePlain(s string) bool {
	return len(s) == 11 && isMobilePrefix(s[:3]) || len(s) == 10 && isMobilePrefix(s[:3]) && s[2] != '0'
}

// isArea reports an area code of the Korean numbering plan, with 070
// (internet telephone) and 050x (personal numbers).
func isArea(s string) bool {
	switch s {
	case "02", "031", "032", "033", "041", "042", "043", "044", "051", "052", "053", "054", "055",
		"061", "062", "063", "064", "070", "080":
		return s != "080" // 080 is free of charge: a company's, not a person's
	}
	return len(s) == 4 && s[:3] == "050" && s[3] >= '2'
}

// card finds payment cards: 4-4-4-4, 4-6-5 and without separators. The Luhn
// digit (ISO/IEC 7812-1, annex B) makes a number certain; without it only the
// word card beside it counts.
func (f *finder) card(i int, ctx subject, glued bool) (int, PersonalKind, bool) {
	used := 0
	switch {
	case f.shape(i, 4, 4, 4, 4) && f.tied(i, 4, "- .") && f.sameSep(i, 4):
		used = 4
	case f.shape(i, 4, 6, 5) && f.tied(i, 3, "- ") && (f.groups[i].text()[:2] == "34" || f.groups[i].text()[:2] == "37"):
		used = 3
	case f.shape(i, 16) && !glued:
		used = 1
	default:
		return 0, "", false
	}
	number := f.digits(i, used)
	valid := luhn(number)
	switch {
	case ctx == aboutCard:
		return used, Card, true
	case !valid || ctx == aboutThing || glued || number[0] < '2':
		return 0, "", false
	case f.groups[i].sep != '-' && used == 4 && f.groups[i+1].sep == ' ' && looksLikeYears(f.groups[i:i+4]):
		return 0, "", false
	}
	return used, Card, true
}

func (f *finder) sameSep(i, n int) bool {
	for k := i + 2; k < i+n; k++ {
		if f.groups[k].sep != f.groups[i+1].sep {
			return false
		}
	}
	return true
}

func looksLikeYears(groups []digitGroup) bool {
	for _, g := range groups {
		if y := g.text(); y < "1000" || y > "2199" {
			return false
		}
	}
	return true
}

func luhn(digits string) bool {
	sum := 0
	for i := 0; i < len(digits); i++ {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// registration finds resident and foreigner registration numbers: a date of
// birth, a digit for sex and century, six more. The check digit only raises
// confidence (numbers given out since October 2020 have none).
func (f *finder) registration(i int, ctx subject, glued bool) (int, PersonalKind, bool) {
	used := 0
	switch {
	case f.shape(i, 6, 7) && f.tied(i, 2, "-"):
		used = 2
	case f.shape(i, 6, 7) && f.tied(i, 2, " .") && ctx == aboutRegistration:
		used = 2
	case f.shape(i, 13) && !glued:
		used = 1
	default:
		return 0, "", false
	}
	number := f.digits(i, used)
	valid := registrationCheck(number)
	if ctx == aboutRegistration {
		return used, Registration, true
	}
	if glued || !isBirth(number) {
		return 0, "", false
	}
	if used == 1 && (!valid || ctx == aboutThing || ctx == aboutAccount) {
		return 0, "", false // thirteen digits in a row are more often something else
	}
	return used, Registration, valid
}

// isBirth reports that digits 0-6 are a date and a digit for sex and century.
func isBirth(n string) bool {
	month, day := atoi(n[2:4]), atoi(n[4:6])
	if month < 1 || month > 12 || day < 1 {
		return false
	}
	century := 1900
	switch n[6] {
	case '9', '0':
		century = 1800
	case '3', '4', '7', '8':
		century = 2000
	}
	return day <= daysOf(century+atoi(n[:2]), month)
}

func daysOf(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

func atoi(s string) int {
	n := 0
	for _, c := range []byte(s) {
		n = n*10 + int(c-'0')
	}
	return n
}

// registrationCheck verifies the check digit: weights 2-9, 2-5, modulo 11;
// foreigners' numbers add 2.
func registrationCheck(n string) bool {
	sum := 0
	for i, w := range [12]int{2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5} {
		sum += w * int(n[i]-'0')
	}
	check := (11 - sum%11) % 10
	if n[6] >= '5' && n[6] <= '8' {
		check = (check + 2) % 10
	}
	return check == int(n[12]-'0')
}

// account finds bank accounts. Their forms differ from bank to bank, so a
// word that speaks of a bank must stand before the number.
func (f *finder) account(i int, ctx subject, glued bool) (int, PersonalKind, bool) {
	if ctx != aboutAccount || glued {
		return 0, "", false
	}
	total, n := 0, 0
	for k := i; k < len(f.groups) && n < 5; k++ {
		if k > i && f.groups[k].sep != '-' {
			break
		}
		if f.groups[k].n > 14 {
			return 0, "", false
		}
		total, n = total+f.groups[k].n, n+1
	}
	if total < 10 || total > 16 {
		return 0, "", false
	}
	return n, Account, true
}

// business finds business registration numbers: 3-2-5 with a check digit.
func (f *finder) business(i int, ctx subject, glued bool) (int, PersonalKind, bool) {
	used := 0
	switch {
	case f.shape(i, 3, 2, 5) && f.tied(i, 3, "-"):
		used = 3
	case f.shape(i, 3, 2, 5) && f.tied(i, 3, " .") && ctx == aboutBusiness:
		used = 3
	case f.shape(i, 10) && ctx == aboutBusiness:
		used = 1
	default:
		return 0, "", false
	}
	if ctx == aboutBusiness {
		return used, Business, true
	}
	if glued || ctx == aboutThing || !businessCheck(f.digits(i, used)) {
		return 0, "", false
	}
	return used, Business, true
}

// businessCheck verifies the tenth digit: weights 1 3 7 1 3 7 1 3 5, plus the
// tens of the ninth product, modulo 10 (National Tax Service).
func businessCheck(n string) bool {
	sum := 0
	for i, w := range [9]int{1, 3, 7, 1, 3, 7, 1, 3, 5} {
		sum += w * int(n[i]-'0')
	}
	sum += int(n[8]-'0') * 5 / 10
	return (10-sum%10)%10 == int(n[9]-'0')
}

// licence finds driver licences: region 11-28, year, six digits, two.
func (f *finder) licence(i int, ctx subject, glued bool) (int, PersonalKind, bool) {
	switch {
	case f.shape(i, 2, 2, 6, 2) && f.tied(i, 4, "-"):
		region := f.groups[i].text()
		if ctx == aboutLicence || !glued && ctx != aboutThing && region >= "11" && region <= "28" {
			return 4, Licence, ctx == aboutLicence
		}
	case f.shape(i, 2, 2, 6, 2) && f.tied(i, 4, " .-") && ctx == aboutLicence:
		return 4, Licence, true
	case f.shape(i, 12) && ctx == aboutLicence:
		return 1, Licence, true
	case f.shape(i, 2, 6, 2) && f.tied(i, 3, "-") && ctx == aboutLicence: // the region in words
		return 3, Licence, true
	}
	return 0, "", false
}

// address finds IPv4 addresses, save those that name no machine.
func (f *finder) address(i int, ctx subject, glued bool) (int, PersonalKind, bool) {
	if i+4 > len(f.groups) || !f.tied(i, 4, ".") || glued || ctx == aboutVersion {
		return 0, "", false
	}
	if i+4 < len(f.groups) && f.groups[i+4].sep == '.' || i > 0 && f.groups[i].sep == '.' {
		return 0, "", false // five parts or more: a section or an object identifier
	}
	first := 0
	for k := i; k < i+4; k++ {
		g := f.groups[k]
		if g.n > 3 || atoi(g.text()) > 255 || g.n > 1 && g.digits[0] == '0' || k > i && g.start-f.groups[k-1].end != 1 {
			return 0, "", false
		}
		if k == i {
			first = atoi(g.text())
		}
	}
	if first == 0 || first == 127 || first == 255 {
		return 0, "", false
	}
	return 4, IPAddress, true
}
