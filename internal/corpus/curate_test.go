package corpus

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

// bench is a folder of inputs and one for results.
type bench struct {
	testing.TB
	dir string
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t, t.TempDir()}
	b.check(os.MkdirAll(b.path("in"), 0o755))
	return b
}

func (b *bench) path(parts ...string) string {
	return filepath.Join(append([]string{b.dir}, parts...)...)
}

func (b *bench) check(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) file(name string, data []byte) string {
	b.Helper()
	path := b.path(name)
	b.check(os.WriteFile(path, data, 0o644))
	return path
}

// config curates folder "in" into folder "out".
func (b *bench) config() Config {
	return Config{Inputs: []string{b.path("in")}, Out: b.path("out"), Workers: 2}
}

func (b *bench) curate(c Config) Report {
	b.Helper()
	r, err := Curate(context.Background(), c)
	b.check(err)
	return r
}

func (b *bench) documents(name string) (list []Document) {
	b.Helper()
	for d, err := range Documents(b.path("out", name)) {
		b.check(err)
		list = append(list, d)
	}
	return list
}

// dropped returns why each document was dropped, by id.
func (b *bench) dropped() map[string]Dropped {
	b.Helper()
	list := map[string]Dropped{}
	for _, line := range bytes.Split(bytes.TrimSpace(b.unpack(b.path("out", DroppedFile))), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var d Dropped
		b.check(json.Unmarshal(line, &d))
		list[d.ID] = d
	}
	return list
}

func (b *bench) unpack(path string) []byte {
	b.Helper()
	data, err := os.ReadFile(path)
	b.check(err)
	data, err = unpacker().DecodeAll(data, nil)
	b.check(err)
	return data
}

// nothingUnderFinalNames fails if the output folder holds anything at all.
func (b *bench) nothingUnderFinalNames() {
	b.Helper()
	entries, err := os.ReadDir(b.path("out"))
	if err != nil && !os.IsNotExist(err) {
		b.Fatal(err)
	}
	for _, e := range entries {
		b.Errorf("left in the output folder: %s", e.Name())
	}
}

func jsonLines(docs ...Document) []byte {
	var b bytes.Buffer
	for _, d := range docs {
		appendJSONLine(&b, map[string]string{"id": d.ID, "text": d.Text})
	}
	return b.Bytes()
}

// prose makes Korean sentences that no two seeds share, in paragraphs.
func prose(seed uint64, sentences int) string {
	r := rand.New(rand.NewPCG(seed, 7))
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	var b strings.Builder
	for i := range sentences {
		switch {
		case i > 0 && i%5 == 0:
			b.WriteString("\n\n")
		case i > 0:
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s %s %s %s %s %s.", pick(whens), pick(whos), pick(wheres), pick(hows), pick(whats), pick(dids))
	}
	return b.String()
}

var (
	whens  = strings.Fields("아침마다 저녁이면 봄날에 여름내 가을이면 겨울마다 어제는 오늘도 이따금 마침내 그제야 언젠가 새벽부터 한낮에 밤새 주말이면 장날에 이듬해 그해 며칠째")
	whos   = strings.Fields("농부는 선생님이 아이들은 목수가 의사는 어부들이 상인은 학생이 시인은 할머니가 기술자는 군인이 화가는 이웃이 손님은 연구원이 기자는 요리사가 승객들은 관리인이")
	wheres = strings.Fields("들판에서 교실에서 바닷가에서 시장에서 언덕에서 도서관에서 부엌에서 공장에서 산길에서 정류장에서 골목에서 마당에서 강가에서 병원에서 역에서 광장에서 숲에서 다리에서 창고에서 절에서")
	hows   = strings.Fields("조용히 천천히 부지런히 즐겁게 꼼꼼하게 서둘러 말없이 다정하게 힘차게 조심스럽게 함께 혼자 정성껏 가만히 끝까지 겨우 차분히 자주 밝게 오래도록")
	whats  = strings.Fields("나무를 책을 그물을 물건을 노래를 편지를 그릇을 기계를 지도를 사진을 씨앗을 의자를 이야기를 약초를 신문을 음식을 짐을 문서를 등불을 옷감을")
	dids   = strings.Fields("심었다 읽었다 고쳤다 팔았다 불렀다 썼다 빚었다 살폈다 그렸다 찍었다 뿌렸다 만들었다 들려주었다 모았다 접었다 나누었다 옮겼다 정리했다 밝혔다 골랐다")
)

// planted are documents with the reason each must be dropped for; those
// without one must be kept. The lines are as they stand in the file.
func planted() (lines [][]byte, reasons map[string]string) {
	reasons = map[string]string{}
	add := func(id, reason string, line []byte) {
		lines, reasons[id] = append(lines, append(line, '\n')), reason
	}
	text := func(id, reason, text string) {
		add(id, reason, bytes.TrimSpace(jsonLines(Document{ID: id, Text: text})))
	}
	for i := range 12 {
		text(fmt.Sprintf("good-%02d", i), "", prose(uint64(i), 12))
	}
	text("good-english", "", "The old bridge was built by hand when the valley had no road. People came from the hills with stone and timber, and they worked until the first snow. A record of that year says that the river rose twice and that the workers began again each time. Today the bridge carries buses, and children fish below it in the summer. The town council has asked an engineer to look at the arches, for the traffic is heavy.")
	source := func(n int) string { return fmt.Sprintf("a.jsonl:%d", n) }
	add(source(len(lines)+1), ReasonBadUTF8, []byte("{\"text\":\"\xff\xfe\"}"))
	add(source(len(lines)+1), ReasonBadJSON, []byte(`{"text": "끝이 없는`))
	add(source(len(lines)+1), ReasonBadJSON, []byte(`["글", "목록"]`))
	add(source(len(lines)+1), ReasonMissingText, []byte(`{"id":"x","body":"글"}`))
	add(source(len(lines)+1), ReasonMissingText, []byte(`{"text":["가","나"]}`))
	add(source(len(lines)+1), ReasonMissingText, []byte(`{"text":null}`))
	add(source(len(lines)+1), ReasonTooLong, []byte(`{"text":"`+strings.Repeat("가", 30_000)+`"}`))
	text("empty", ReasonEmptyText, "\u200b \n\t ")
	text("french", ReasonLanguage, "Il était une fois dans une ville de la côte un pêcheur qui ne savait pas que le vent allait tourner avec les nuages et que sa barque était trop petite pour la mer.")
	text("numbers", ReasonLanguage, "12 + 30 = 42")
	text("copy", ReasonExactDuplicate, strings.ReplaceAll(prose(3, 12), " ", "  "))
	text("nearly", ReasonNearDuplicate, "다시 싣습니다. "+prose(4, 12))
	text("broken", ReasonBrokenText, strings.Replace(prose(20, 12), "에서", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD", 2))
	text("short", ReasonTooFewWords, prose(21, 2))
	text("long", ReasonTooManyWords, "너무 긴 글 "+strings.Repeat("가 나 다 라 ", 2_000))
	text("menu", ReasonDuplicateLines, strings.Repeat("로그인 회원가입 장바구니\n상품 목록 상세 보기\n", 20))
	text("paragraphs", ReasonDuplicateParas, strings.Repeat("가을이 오면 들판이 노랗다.\n바람이 분다.\n\n", 3)+strings.Repeat("겨울에는 눈이 내린다.\n길이 언다.\n\n", 3)+strings.ReplaceAll(prose(22, 30), ". ", ".\n"))
	text("nospaces", ReasonWordLength, strings.Repeat(strings.ReplaceAll(prose(23, 3), " ", "")+" ", 1)+strings.Join(strings.Fields(strings.ReplaceAll(prose(24, 60), ". ", "")), "")+strings.Repeat(" 가나다라마바사아자차카타파하", 40))
	text("hashes", ReasonSymbols, strings.ReplaceAll(prose(25, 12), " ", " #"))
	text("bullets", ReasonBullets, "- "+strings.ReplaceAll(strings.ReplaceAll(prose(26, 12), "\n\n", " "), ". ", ".\n- "))
	text("previews", ReasonEllipsis, strings.ReplaceAll(prose(27, 14), ". ", "...\n"))
	text("table", ReasonFewLetters, strings.ReplaceAll(prose(28, 12), "에서 ", "에서 17 23 "))
	text("words", ReasonFewStopWords, keywords(29, 120))
	text("titles", ReasonLinePunctuation, strings.NewReplacer(".\n\n", "\n", ". ", "\n", ".", "").Replace(prose(30, 14)))
	text("verse", ReasonManyLines, strings.ReplaceAll(prose(31, 12), " ", "\n"))
	text("refrain", ReasonRepeatedGrams, refrain(32))
	text("slogan", ReasonTopGrams, strings.ReplaceAll(prose(33, 16), " ", " 오늘도 함께하는 "))
	text("people", ReasonPersonalDense, people())
	text("quoted", ReasonEvaluation, prose(34, 10)+" 시험에 이런 문제가 나왔다. "+question+" 답은 뒤에 있다.")
	return lines, reasons
}

const question = "강물이 바다로 들어가는 곳에 흙과 모래가 쌓여서 만들어진 세모꼴의 넓고 평평한 땅을 무엇이라고 하는가?"

func keywords(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 7))
	stems := strings.Fields("최저 무료 배송 특별 할인 쿠폰 당일 정품 신상 추천 인기 예약 적립 사은품 한정")
	words := make([]string, n)
	for i := range words {
		words[i] = stems[r.IntN(len(stems))] + stems[r.IntN(len(stems))]
	}
	return strings.Join(words, " ") + "."
}

// refrain repeats long phrases in other company each time.
func refrain(seed uint64) string {
	var b strings.Builder
	for i := range 6 {
		b.WriteString(prose(seed*100+uint64(i), 3))
		b.WriteString(" 산새가 우는 고개를 넘어서 그리운 고향으로 돌아가고 싶어라. ")
		if i%2 == 0 {
			b.WriteString("달빛이 흐르는 냇물을 따라서 어머니의 노래를 다시 듣고 싶어라. ")
		}
	}
	return b.String()
}

func people() string {
	var b strings.Builder
	for i := range 20 {
		fmt.Fprintf(&b, "회원 010-%04d-%04d 주소는 user%d@example.com 이다.\n", 2000+i*37, 1000+i*91, i)
	}
	return b.String()
}

func plantedConfig(b *bench) Config {
	lines, _ := planted()
	b.file("in/a.jsonl", bytes.Join(lines, nil))
	c := b.config()
	c.LineBytesMax = 60_000
	c.Evaluation = []string{b.file("eval.jsonl", []byte(`{"id":"q1","question":"`+question+`","choices":["삼각주","분지","갯벌","고원"],"answer":0}`+"\n"))}
	limits := DefaultLimits()["ko"]
	limits.WordsMax = 5_000
	c.Limits = map[string]Limits{"ko": limits}
	return c
}

// TestEveryReason plants a document for each reason but one, which
// TestHeldOut has.
func TestEveryReason(t *testing.T) {
	b := newBench(t)
	report := b.curate(plantedConfig(b))
	_, reasons := planted()
	dropped, kept := b.dropped(), map[string]bool{}
	for _, d := range b.documents(TrainFile) {
		kept[d.ID] = true
	}
	seen := map[string]bool{}
	for id, want := range reasons {
		seen[want] = true
		if got := dropped[id]; got.Reason != want || kept[id] != (want == "") {
			t.Errorf("%s: dropped for %q (%s), kept %v; want %q", id, got.Reason, got.Detail, kept[id], want)
		}
	}
	for reason := range reasonTexts {
		if !seen[reason] && reason != ReasonHeldOutOverlap {
			t.Errorf("no document is planted for %s", reason)
		}
	}
	if n := int64(len(reasons)); report.DocumentsIn != n || report.DocumentsTrain+report.DocumentsDropped != n {
		t.Errorf("%d documents in, %d to train on, %d dropped; %d were planted", report.DocumentsIn, report.DocumentsTrain, report.DocumentsDropped, n)
	}
	golden(t, report)
}

// golden holds the report against the one that was last looked at. Sizes and
// digests of packed files are left out: they change with the zstd library.
func golden(t *testing.T, report Report) {
	t.Helper()
	report.Outputs = []OutputFile{}
	path := filepath.Join("testdata", "every-reason.report.json")
	if *update {
		if err := os.WriteFile(path, report.json(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := report.json()
	if bytes.Equal(got, want) {
		return
	}
	a, z := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(a), len(z)) {
		if a[i] != z[i] {
			t.Fatalf("report.json line %d:\n got %s\nwant %s\nIf this is meant, raise Version and run with -update", i+1, a[i], z[i])
		}
	}
	t.Fatalf("report.json has %d lines, want %d", len(a), len(z))
}

// TestSameBytes curates the same input with different numbers of workers:
// every file must be the same to the byte.
func TestSameBytes(t *testing.T) {
	b := newBench(t)
	c := plantedConfig(b)
	var many [][]byte
	for i := range 3000 {
		many = append(many, jsonLines(Document{ID: fmt.Sprint(i), Text: prose(1000+uint64(i%2700), 8+i%2700%17)}))
	}
	b.file("in/b.jsonl", bytes.Join(many, nil))
	b.file("in/c.txt", []byte(prose(5000, 900)))
	c.HeldOut, c.SplitBytes = 30, 4096
	var first map[string][]byte
	for _, workers := range []int{1, 2, 7} {
		c.Workers, c.Out = workers, b.path(fmt.Sprint("out", workers))
		c.Memory = memoryMin
		report := b.curate(c)
		files := map[string][]byte{}
		for _, name := range []string{TrainFile, HeldOutFile, DroppedFile, ReportFile, PageFile} {
			data, err := os.ReadFile(filepath.Join(c.Out, name))
			b.check(err)
			files[name] = data
		}
		if first == nil {
			first = files
			t.Logf("%d documents: %d to train on, %d held out", report.DocumentsIn, report.DocumentsTrain, report.DocumentsHeldOut)
			if report.DocumentsHeldOut == 0 || report.Duplicates.Exact < 300 {
				t.Errorf("%d held out, %d exact duplicates: the test has no work", report.DocumentsHeldOut, report.Duplicates.Exact)
			}
			continue
		}
		for name, data := range files {
			if !bytes.Equal(data, first[name]) {
				t.Errorf("%s differs with %d workers", name, workers)
			}
		}
	}
}

// TestHeldOut quotes a document that is kept apart, and one whose words stand
// in many documents.
func TestHeldOut(t *testing.T) {
	b := newBench(t)
	docs := make([]Document, 60)
	for i := range docs {
		docs[i] = Document{ID: fmt.Sprint("d", i), Text: prose(uint64(i), 12)}
	}
	c := b.config()
	c.HeldOut = 150
	b.file("in/a.jsonl", jsonLines(docs...))
	report := b.curate(c)
	held := b.documents(HeldOutFile)
	if len(held) < 3 || report.DocumentsHeldOut != int64(len(held)) || report.HeldOut.PerMille != 150 {
		t.Fatalf("%d held out, report says %d at %d per mille", len(held), report.DocumentsHeldOut, report.HeldOut.PerMille)
	}
	quote := func(d Document, words int) string { return strings.Join(strings.Fields(d.Text)[3:3+words], " ") }
	// Quoting documents must not be held out themselves: try until they are not.
	grow := func(id, with string) Document {
		for seed := uint64(100); ; seed++ {
			d := Document{ID: id, Text: prose(seed+hashString(id)%1000, 11) + " " + with + "."}
			p := preparer{config: c, index: &Contamination{}}
			p.config.Limits = DefaultLimits()
			x := draft{Document: d}
			x.Lang = "ko"
			p.keys(&x, 0, 1, &prepared{})
			if x.digest%perMille >= 150 {
				return d
			}
		}
	}
	more := append(docs, grow("seven", quote(held[0], 7)), grow("eight", quote(held[0], 8)))
	for i := range heldOutCommonMax + 1 {
		more = append(more, grow(fmt.Sprint("common", i), quote(held[1], 9)))
	}
	b.file("in/a.jsonl", jsonLines(more...))
	report = b.curate(c)
	dropped, place := b.dropped(), map[string]string{}
	for _, name := range []string{TrainFile, HeldOutFile} {
		for _, d := range b.documents(name) {
			place[d.ID] = name
		}
	}
	if place["seven"] != TrainFile {
		t.Errorf("seven words in common: %v, want kept", dropped["seven"])
	}
	if dropped["eight"].Reason != ReasonHeldOutOverlap || place[held[0].ID] != HeldOutFile {
		t.Errorf("eight words in common: %v, the quoted one is in %s", dropped["eight"], place[held[0].ID])
	}
	if place["common0"] != TrainFile || place[held[1].ID] != TrainFile || report.HeldOut.Returned != 1 {
		t.Errorf("words in many documents: %v, the quoted one is in %s, %d returned", dropped["common0"], place[held[1].ID], report.HeldOut.Returned)
	}
	if report.HeldOut.Removed != 1 {
		t.Errorf("%d removed for overlap, want 1", report.HeldOut.Removed)
	}
}

// TestFewDocuments: even a small share holds one document out, and never all.
func TestFewDocuments(t *testing.T) {
	for n, want := range map[int]int64{1: 0, 2: 1, 5: 1} {
		b := newBench(t)
		var docs []Document
		for i := range n {
			docs = append(docs, Document{ID: fmt.Sprint(i), Text: prose(uint64(i), 12)})
		}
		b.file("in/a.jsonl", jsonLines(docs...))
		c := b.config()
		c.HeldOut = 1
		if r := b.curate(c); r.DocumentsHeldOut != want || r.DocumentsTrain != int64(n)-want {
			t.Errorf("of %d documents %d held out, %d to train on", n, r.DocumentsHeldOut, r.DocumentsTrain)
		}
	}
}

// TestFolder: files are read in order, the unknown skipped and named, the
// output folder and hidden files never read.
func TestFolder(t *testing.T) {
	b := newBench(t)
	b.check(os.MkdirAll(b.path("in", "sub"), 0o755))
	b.check(os.MkdirAll(b.path("in", "out"), 0o755))
	b.file("in/b.txt", []byte(prose(1, 12)))
	b.file("in/sub/a.jsonl", jsonLines(Document{ID: "a", Text: prose(2, 12)}))
	b.file("in/photo.jpg", []byte{1, 2, 3})
	b.file("in/.hidden.txt", []byte(prose(3, 12)))
	b.file("in/out/old.txt", []byte(prose(4, 12)))
	c := b.config()
	c.Out = b.path("in", "out")
	for range 2 { // the second run finds the results of the first
		r := b.curate(c)
		if r.Files != 2 || r.DocumentsTrain != 2 || fmt.Sprint(r.FilesSkipped) != "[photo.jpg]" {
			t.Errorf("%d files, %d documents, skipped %v", r.Files, r.DocumentsTrain, r.FilesSkipped)
		}
		if r.Sources[0].File != "b.txt" || r.Sources[1].File != "sub/a.jsonl" || r.Sources[1].DocumentsUsed != 1 {
			t.Errorf("sources %+v", r.Sources)
		}
	}
	entries, err := fs.Glob(os.DirFS(c.Out), ".*")
	if err != nil || len(entries) > 0 {
		t.Errorf("work files left: %v %v", entries, err)
	}
}
