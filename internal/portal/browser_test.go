package portal

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/gaon-ai/gaon/internal/engine"
	"github.com/gaon-ai/gaon/internal/factory"
	"github.com/gaon-ai/gaon/internal/unit"
)

// chromium is the browser that pages are looked at in. Where there is none,
// the test fails in CI and says so elsewhere.
func chromium(t *testing.T) string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("there is no chromium: run make deps")
	}
	return ""
}

// tab is one page of a real browser; what went wrong in it is remembered.
type tab struct {
	*testing.T
	ctx context.Context
	dir string // for pictures

	width int64 // of the window

	mu       sync.Mutex
	problems []string // guarded by mu
}

func openTab(t *testing.T, program string) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.NoFirstRun, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(allocator)
	one := &tab{T: t, ctx: ctx, dir: os.Getenv("GAON_SHOTS")}
	t.Cleanup(func() { // before the folder of its data goes
		if err := chromedp.Cancel(ctx); err != nil {
			t.Log("the browser did not end by itself:", err)
		}
		end()
		stop()
	})
	if one.dir == "" {
		one.dir = t.TempDir()
	}
	one.do(os.MkdirAll(one.dir, 0o755))
	one.run() // opens it
	one.do(chromedp.Listen(ctx, one.hear))
	for _, enable := range []cdp.Command[cdp.Empty, cdp.Empty]{log.Enable, runtime.Enable} {
		one.run(command(enable, cdp.Empty{}))
	}
	one.run(command(network.Enable, network.EnableParams{}))
	return one
}

// hear takes note of errors of the console and of requests that failed.
func (b *tab) hear(event any) {
	problem := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			problem = fmt.Sprintf("console: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			problem = fmt.Sprintf("console: %s", e.Args[0].Value)
		}
	case *runtime.EventExceptionThrown:
		problem = "exception: " + fmt.Sprintf("%s %s:%d", e.ExceptionDetails.Text, e.ExceptionDetails.URL, e.ExceptionDetails.LineNumber)
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			problem = fmt.Sprintf("%d for %s", e.Response.Status, e.Response.URL)
		}
	case *network.EventLoadingFailed:
		if !e.Canceled {
			problem = "request failed: " + e.ErrorText
		}
	}
	if problem != "" {
		b.mu.Lock()
		b.problems = append(b.problems, problem)
		b.mu.Unlock()
	}
}

func (b *tab) do(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	b.do(chromedp.Do(b.ctx, steps...))
}

// command is an action that only sends one command.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// value evaluates an expression. It is the debugger that asks, so that the
// page's policy, which forbids eval, does not mind.
func value[V any](b *tab, expression string) V {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[V](expression))
	b.do(err)
	return v
}

// size makes the window so wide; a narrow one is a phone's.
func (b *tab) size(width, height int64) {
	b.Helper()
	b.width = width
	if width < 600 {
		b.run(chromedp.EmulateViewport(width, height, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait))
		return
	}
	b.run(chromedp.EmulateViewport(width, height))
}

// soon waits until an expression is true of the page.
func (b *tab) soon(what, expression string) {
	b.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if value[bool](b, expression) {
			return
		}
		if time.Now().After(end) {
			b.shoot("failed")
			b.Fatalf("%s did not come about: %v", what, b.problems)
		}
	}
}

// lookOver finds what is wrong with a page as it looks: wider than its window,
// text that is hard to read on its ground (WCAG 2.2, 1.4.3), a control without
// a name.
const lookOver = `(most => {
	const wrong = [], tell = e => e.outerHTML.slice(0, 140);
	if (document.scrollingElement.scrollWidth > most) {
		const over = [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > most + 1 && !e.closest('.scroll, .runs, pre'));
		wrong.push('wider than its window: ' + document.scrollingElement.scrollWidth + ' > ' + most + ' ' + over.slice(0, 2).map(tell).join(' | '));
	}
	const parts = c => (c.match(/[\d.]+/g) || []).map(Number);
	const light = c => { const [r, g, b] = parts(c).map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
	const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor, p = parts(c); if (p.length < 4 || p[3] === 1) return c; } return 'rgb(255, 255, 255)'; };
	for (const e of document.querySelectorAll('body *')) {
		const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
		if (!own || !e.checkVisibility() || e.closest('.hidden, svg, noscript, option')) continue;
		const s = getComputedStyle(e), a = light(s.color), b = light(ground(e)), ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		const big = parseFloat(s.fontSize) >= 24 || parseFloat(s.fontSize) >= 18.66 && s.fontWeight >= 700;
		if (ratio < (big ? 3 : 4.5)) wrong.push('contrast ' + ratio.toFixed(2) + ' of ' + s.color + ' on ' + ground(e) + ': ' + tell(e));
	}
	for (const e of document.querySelectorAll('button, a, input:not([type=hidden]), select, textarea'))
		if (!(e.textContent.trim() || e.ariaLabel || (e.labels || []).length)) wrong.push('no name: ' + tell(e));
	return wrong;
})(%d)`

// looksRight checks what must hold of every page at every width.
func (b *tab) looksRight(name string) {
	b.Helper()
	for _, wrong := range value[[]string](b, fmt.Sprintf(lookOver, b.width)) {
		b.Errorf("%s: %s", name, wrong)
	}
	b.works(name)
}

// works checks that nothing failed in the page so far.
func (b *tab) works(name string) {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, problem := range b.problems {
		b.Errorf("%s: %s", name, problem)
	}
	b.problems = nil
}

// dark looks at the same page as who prefers dark ones does.
func (b *tab) dark(name string) {
	b.Helper()
	theme := func(value string) {
		b.run(command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}}}))
	}
	theme("dark")
	b.looksRight(name + "-dark")
	b.shoot(name + "-dark")
	theme("light")
}

// shoot writes a picture of the whole page.
func (b *tab) shoot(name string) {
	b.Helper()
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	b.do(err)
	b.do(os.WriteFile(filepath.Join(b.dir, name+".png"), picture, 0o644))
}

var screens = []struct {
	lang          string
	width, height int64
}{{Korean, 390, 844}, {Korean, 1280, 900}, {English, 390, 844}, {English, 1280, 900}}

// TestInABrowser looks at every page in a real browser, in both languages, on
// a phone's and a desk's width.
func TestInABrowser(t *testing.T) {
	program := chromium(t)
	if program == "" {
		t.Log("no chromium here: the pages were not looked at; run make deps")
		return
	}
	w := newWorld(t)
	w.engine.logs[engine.Stderr] = strings.Repeat("read 글을 읽는 중 한국어 로그 줄\n", 30)
	done := w.start(w.first, "gaon-mini")
	w.work(done, "")
	live := w.start(w.first, "hanbit-2")
	w.work(live, factory.StageTrain)
	w.begin(w.submit(live, factory.StageTrain))
	w.pass(75 * unit.Second)
	w.engine.metrics = curve(140)
	w.engine.progress = engine.Progress{Step: "steps", Done: 140, Total: 300, Values: map[string]float64{"loss": 4.3}}
	b := openTab(t, program)

	for _, screen := range screens {
		b.size(screen.width, screen.height)
		name := func(page string) string { return fmt.Sprintf("%s-%s-%d", page, screen.lang, screen.width) }
		b.run(command(network.ClearBrowserCookies, cdp.Empty{}), chromedp.Navigate(w.url+"/?lang="+screen.lang))
		b.soon("the language", fmt.Sprintf(`document.documentElement.lang === %q && document.fonts.status === 'loaded'`, screen.lang))
		b.looksRight(name("front"))
		b.shoot(name("front"))
		b.dark(name("front"))

		b.run(chromedp.Navigate(w.url + w.portal.Ticket(w.first.person)))
		b.soon("the newest run", `location.pathname === '/' && !!document.querySelector('#loss-chart canvas') && document.querySelector('.line > .running .progress') !== null`)
		b.looksRight(name("live"))
		b.shoot(name("live"))

		b.run(chromedp.Navigate(w.url + "/runs/" + string(done)))
		b.soon("the verified passport", `!!document.querySelector('#loss-chart canvas') && !!document.querySelector('.passport .verdict.good')`)
		b.run(chromedp.Click("#ask-send"))
		b.soon("the streamed answer", `document.querySelector('#answer-text').textContent.endsWith('인공지능을 스스로 만듭니다. <b>') && document.querySelector('#answer-used').textContent.includes('4')`)
		b.run(chromedp.Click("#log-curate"))
		b.soon("the log", `document.querySelector('#log pre') !== null`)
		b.looksRight(name("done"))
		b.shoot(name("done"))
		b.dark(name("done"))

		b.run(chromedp.Navigate(w.url + "/runs/" + string(done) + "/curation/report.html?lang=" + screen.lang))
		b.soon("the report", `document.querySelectorAll('canvas').length > 0`)
		b.works(name("report")) // how it looks is package corpus's affair
		if wide := value[int64](b, `document.scrollingElement.scrollWidth`); wide > screen.width {
			t.Errorf("%s is %d wide", name("report"), wide)
		}
		b.run(chromedp.Navigate(w.url + "/models/" + w.modelOf(done) + "/passport"))
		b.soon("the passport", `document.querySelector('.verdict.passed') !== null`)
		b.looksRight(name("passport"))
	}
	w.followsInABrowser(b, live)
}

// followsInABrowser: a page that is open follows the run by itself.
func (w *world) followsInABrowser(b *tab, live factory.ID) {
	w.Helper()
	b.run(chromedp.Navigate(w.url + "/runs/" + string(live)))
	b.soon("the run", `document.querySelector('.line > .running') !== null && document.querySelector('#loss-last').textContent !== '–'`)
	run, _ := w.writer.State().Factory.Runs.Get(live)
	w.finish(run.Stages[factory.StageTrain].Job, statements[factory.StageTrain], w.put("training", w.lossFolder()))
	w.pass(2 * unit.Second)
	b.soon("the end of the training", `document.querySelectorAll('.line > .succeeded').length === 3 && document.querySelector('.line > .running') === null`)
	b.soon("the whole curve", fmt.Sprintf(`document.querySelector('#loss-last').textContent === %q`, fmt.Sprintf("%.3f", curve(300)[299].Values["loss"])))
	b.looksRight("following")
}

func (w *world) modelOf(run factory.ID) string {
	found, _ := w.writer.State().Factory.Runs.Get(run)
	return url.PathEscape(found.Model)
}
