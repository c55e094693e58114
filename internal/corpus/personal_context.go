package corpus

import "strings"

// subject is what the words before a number say it is.
type subject uint8

const (
	aboutNothing subject = iota
	aboutThing           // an order, a product, a parcel: not a person
	aboutVersion
	aboutRegistration
	aboutPhone
	aboutBusiness
	aboutPassport
	aboutLicence
	aboutAccount
	aboutCard
)

// contextBytesMax is how far back a word may stand and still speak of a
// number: about 24 Korean characters.
const contextBytesMax = 72

// subjectWords are searched in lower case; the one nearest to the number
// decides, the longer of two that end together.
var subjectWords = []struct {
	word  string
	about subject
}{
	{"주민등록", aboutRegistration}, {"주민번호", aboutRegistration}, {"주민", aboutRegistration},
	{"외국인등록", aboutRegistration}, {"resident registration", aboutRegistration}, {"rrn", aboutRegistration},
	{"전화", aboutPhone}, {"연락처", aboutPhone}, {"사무실", aboutPhone}, {"팩스", aboutPhone}, {"휴대폰", aboutPhone},
	{"핸드폰", aboutPhone}, {"내선", aboutPhone}, {"tel", aboutPhone}, {"phone", aboutPhone}, {"fax", aboutPhone},
	{"mobile", aboutPhone}, {"문의", aboutPhone}, {"자택", aboutPhone},
	{"사업자", aboutBusiness}, {"business registration", aboutBusiness}, {"business number", aboutBusiness},
	{"여권", aboutPassport}, {"passport", aboutPassport},
	{"면허", aboutLicence}, {"licence", aboutLicence}, {"license", aboutLicence},
	{"계좌", aboutAccount}, {"은행", aboutAccount}, {"입금", aboutAccount}, {"송금", aboutAccount}, {"이체", aboutAccount},
	{"농협", aboutAccount}, {"신협", aboutAccount}, {"새마을금고", aboutAccount}, {"우체국", aboutAccount}, {"카카오뱅크", aboutAccount},
	{"토스뱅크", aboutAccount}, {"케이뱅크", aboutAccount}, {"수협", aboutAccount}, {"통장", aboutAccount}, {"bank", aboutAccount},
	{"account", aboutAccount},
	{"카드", aboutCard}, {"card", aboutCard}, {"visa", aboutCard},
	{"버전", aboutVersion}, {"version", aboutVersion}, {"ver.", aboutVersion}, {"release", aboutVersion}, {"펌웨어", aboutVersion},
	{"주문번호", aboutThing}, {"주문 번호", aboutThing}, {"관리번호", aboutThing}, {"관리 번호", aboutThing}, {"일련번호", aboutThing},
	{"일련 번호", aboutThing}, {"제품번호", aboutThing}, {"모델", aboutThing}, {"운송장", aboutThing}, {"송장", aboutThing},
	{"접수번호", aboutThing}, {"문서번호", aboutThing}, {"시리얼", aboutThing}, {"부품", aboutThing}, {"품번", aboutThing},
	{"isbn", aboutThing}, {"issn", aboutThing}, {"serial", aboutThing}, {"order", aboutThing}, {"part no", aboutThing},
	{"sku", aboutThing}, {"바코드", aboutThing}, {"도서번호", aboutThing}, {"특허", aboutThing}, {"출원번호", aboutThing},
	{"등록번호는 제", aboutThing}, {"학번", aboutThing}, {"사건번호", aboutThing},
}

// context reads the words before byte at: on the same line, after the last
// number, within contextBytesMax.
func (f *finder) context(at int) subject {
	from := max(0, at-contextBytesMax)
	if f.edge <= at {
		from = max(from, f.edge)
	}
	window := f.text[from:at]
	if nl := strings.LastIndexByte(window, '\n'); nl >= 0 {
		window = window[nl+1:]
	}
	window = strings.ToLower(window)
	best, bestEnd, bestLen := aboutNothing, -1, 0
	for _, w := range subjectWords {
		k := strings.LastIndex(window, w.word)
		if k < 0 {
			continue
		}
		if end := k + len(w.word); end > bestEnd || end == bestEnd && len(w.word) > bestLen {
			best, bestEnd, bestLen = w.about, end, len(w.word)
		}
	}
	return best
}
