package sample

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Truth is what was sown into the prose: the answer to hold curation against.
type Truth struct {
	Originals      int            `json:"originals"`       // documents of prose
	Exact          []string       `json:"exact"`           // ids of exact duplicates
	Near           []string       `json:"near"`            // ids of near-duplicates
	Junk           []string       `json:"junk"`            // ids of documents that are no prose
	Contaminated   []string       `json:"contaminated"`    // ids of documents that hold an evaluation question
	Personal       map[string]int `json:"personal"`        // pieces of invented personal data by type
	PersonalValues []string       `json:"personal_values"` // the pieces themselves; none may survive
}

// One in so many documents is treated in each way; numbers without a common
// factor keep the ways apart.
const (
	exactEvery        = 29
	nearEvery         = 13
	personalEvery     = 11
	contaminatedCount = 3
)

// Seeded returns the prose with its flaws, and the truth about them. It is the
// same on every machine and every time.
func Seeded() ([]Document, Truth) {
	prose := Documents()
	truth := Truth{Originals: len(prose), Personal: map[string]int{}}
	var all []Document
	for i, d := range prose {
		if i%personalEvery == 5 {
			piece := personal[(i/personalEvery)%len(personal)]
			value := piece.value(i)
			d.Text = insert(d.Text, fmt.Sprintf(piece.sentence, value))
			truth.Personal[piece.kind]++
			truth.PersonalValues = append(truth.PersonalValues, value)
		}
		all = append(all, d)
		if i%exactEvery == 7 {
			twin := Document{"exact-" + d.ID, d.Text}
			all, truth.Exact = append(all, twin), append(truth.Exact, twin.ID)
		}
		if i%nearEvery == 3 {
			twin := Document{"near-" + d.ID, nearly(d.Text)}
			all, truth.Near = append(all, twin), append(truth.Near, twin.ID)
		}
	}
	for i, text := range junk() {
		d := Document{fmt.Sprintf("junk-%02d", i+1), text}
		all, truth.Junk = append(all, d), append(truth.Junk, d.ID)
	}
	for i, text := range contaminated(prose) {
		d := Document{fmt.Sprintf("leak-%02d", i+1), text}
		all, truth.Contaminated = append(all, d), append(truth.Contaminated, d.ID)
	}
	return all, truth
}

// insert puts a sentence after the first paragraph's end, or at the text's.
func insert(text, sentence string) string {
	if at := strings.LastIndex(text[:len(text)*2/3], "다. "); at > 0 {
		return text[:at] + "다. " + sentence + " " + text[at+len("다. "):]
	}
	return text + " " + sentence
}

// nearly changes a text as a second editor would: the first sentence gets an
// opening word and the last one is followed by a remark.
func nearly(text string) string {
	title, body, found := strings.Cut(text, "\n")
	if !found {
		return text + " 다시 실었습니다."
	}
	return title + " (다시 실음)\n" + body + " 이 글은 다른 곳에도 실렸습니다."
}

// personal is every type of personal data with a sentence to stand in. All
// values are invented: they are counted up from numbers nobody was given.
var personal = []struct {
	kind, sentence string
	value          func(i int) string
}{
	{"rrn", "신청서에는 주민등록번호 %s 를 적어 두었습니다.", func(i int) string {
		return fmt.Sprintf("%02d%02d%02d-%d%06d", 60+i%39, 1+i%12, 1+i%28, 1+i%2, 100003+i*7919%800000)
	}},
	{"mobile", "급한 일은 %s 로 전화해 주십시오.", func(i int) string { return fmt.Sprintf("010-%04d-%04d", 2000+i*37%7000, 1000+i*91%8999) }},
	{"email", "자료는 %s 으로 보내면 됩니다.", func(i int) string { return fmt.Sprintf("haneul%d@example.co.kr", 100+i) }},
	{"landline", "사무실 전화는 %s 입니다.", func(i int) string { return fmt.Sprintf("02-%03d-%04d", 300+i%600, 1000+i*53%8999) }},
	{"card", "결제에는 카드 번호 %s 를 썼다고 합니다.", func(i int) string { return luhn(fmt.Sprintf("5409%011d", 26010000000+i*104729)) }},
	{"business", "거래처의 사업자등록번호는 %s 입니다.", func(i int) string { return business(fmt.Sprintf("%03d82%04d", 200+i%600, 1000+i*17%8999)) }},
	{"passport", "여권번호 %s 로 예약을 확인했습니다.", func(i int) string { return fmt.Sprintf("M%08d", 10203040+i*331) }},
	{"ip", "접속 기록에 남은 주소는 %s 였습니다.", func(i int) string { return fmt.Sprintf("203.0.113.%d", 1+i%254) }},
}

// luhn appends the check digit of ISO/IEC 7812-1 and groups by four.
func luhn(digits string) string {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	full := digits + string(rune('0'+(10-sum%10)%10))
	return strings.Join([]string{full[:4], full[4:8], full[8:12], full[12:]}, "-")
}

// business appends the check digit of Korean business numbers: weights
// 1 3 7 1 3 7 1 3 5, the last product's tens added in.
func business(digits string) string {
	weights := []int{1, 3, 7, 1, 3, 7, 1, 3, 5}
	sum := 0
	for i, w := range weights {
		sum += int(digits[i]-'0') * w
	}
	sum += int(digits[8]-'0') * 5 / 10
	return fmt.Sprintf("%s-%s-%s%d", digits[:3], digits[3:5], digits[5:], (10-sum%10)%10)
}

// junk returns documents that are no prose: menus, repeated lines, symbols,
// encoded bytes, word lists.
func junk() []string {
	menu := strings.Repeat("로그인 | 회원가입 | 고객센터 | 장바구니\n홈 > 상품 > 목록 > 상세\n", 14)
	var keys, table, encoded strings.Builder
	for i := range 220 {
		fmt.Fprintf(&keys, "최저가%d 무료배송 특가 할인 쿠폰 ", i%7)
		fmt.Fprintf(&table, "%d\t%d\t%d\n", i, i*i, i*i*i)
		fmt.Fprintf(&encoded, "%08x%08x", uint32(i*2654435761), uint32(i*40503*65537))
	}
	return []string{
		menu,
		keys.String(),
		table.String(),
		encoded.String(),
		strings.Repeat("ㅋㅋㅋㅋㅋㅋ ㅎㅎㅎㅎ ㅠㅠㅠㅠ\n", 60),
		strings.Repeat("★☆★☆ !!!!! ▶▶▶ #### $$$$ ", 40),
		strings.Repeat("이 문장은 같은 말을 되풀이합니다.\n", 80),
		"짧다.",
		strings.Repeat("더 보기...\n자세히...\n", 50),
		strings.Repeat("- 항목\n- 목록\n- 번호\n", 50),
		strings.Repeat("lorem ipsum dolor sit amet ", 60),
		strings.Repeat("[이전][다음][처음][마지막] ", 60),
	}
}

// contaminated returns prose that quotes evaluation questions whole, as pages
// that discuss a test do.
func contaminated(prose []Document) []string {
	var all []string
	for i, line := range strings.Split(strings.TrimSpace(string(Questions())), "\n") {
		if len(all) == contaminatedCount {
			break
		}
		if i%17 != 4 {
			continue
		}
		var q struct {
			Question string   `json:"question"`
			Choices  []string `json:"choices"`
			Answer   int      `json:"answer"`
		}
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			panic(err) // the questions are part of the program
		}
		host := prose[(i*31)%len(prose)].Text
		half := host[:strings.LastIndex(host[:len(host)/2], " ")]
		all = append(all, half+"\n지난 시험에 나온 문제입니다. "+q.Question+" "+strings.Join(q.Choices, " ")+" 정답은 "+q.Choices[q.Answer]+" 입니다. 풀이를 함께 적어 둡니다.")
	}
	return all
}

// Write puts the seeded corpus into dir as files of every kind a centre is
// handed, and the questions into evalDir.
func Write(dir, evalDir string) (Truth, error) {
	documents, truth := Seeded()
	for _, folder := range []string{dir, evalDir} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return truth, err
		}
	}
	files := map[string][]Document{}
	kinds := []string{"part-0.jsonl", "part-1.jsonl.gz", "part-2.jsonl.zst"}
	for i, d := range documents {
		name := kinds[i*len(kinds)/len(documents)]
		files[name] = append(files[name], d)
	}
	for name, part := range files {
		data, err := encode(name, part)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o644)
		}
		if err != nil {
			return truth, fmt.Errorf("write the sample: %w", err)
		}
	}
	return truth, os.WriteFile(filepath.Join(evalDir, "choice.jsonl"), Questions(), 0o644)
}

func encode(name string, documents []Document) ([]byte, error) {
	var plain bytes.Buffer
	lines := json.NewEncoder(&plain)
	lines.SetEscapeHTML(false)
	for _, d := range documents {
		if err := lines.Encode(d); err != nil {
			return nil, err
		}
	}
	switch filepath.Ext(name) {
	case ".gz":
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(plain.Bytes()); err != nil {
			return nil, err
		}
		err := w.Close()
		return packed.Bytes(), err
	case ".zst":
		w, err := zstd.NewWriter(nil)
		if err != nil {
			return nil, err
		}
		return w.EncodeAll(plain.Bytes(), nil), nil
	}
	return plain.Bytes(), nil
}
