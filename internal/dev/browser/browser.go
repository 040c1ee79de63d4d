// Package browser drives Debian's Chromium from Go tests. One process serves
// all tests of a package; each [Page] has cookies and storage of its own, so
// that pages of one browser are different visitors.
//
//	chromium := browser.New(t)
//	page := chromium.Page(t)
//	page.Run(t, chromedp.Navigate(url), chromedp.Click(chromedp.ID("buy")))
//	require.Equal(t, "Thanks", browser.Get(t, page, chromedp.Title()))
//	require.Empty(t, page.Problems())
//	page.Screenshot(t, "bought")
//
// Only loopback addresses resolve: a page that needs another host fails here,
// as it would for a user without a network. Screenshots are kept when the
// tests run with `go test -artifacts`.
package browser

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// stepTimeout bounds one call of Run: a selector that never appears fails the
// test with its name instead of holding the whole suite. Only a failing test
// waits for it, so it allows for a machine with ten times too much to do.
const stepTimeout = 2 * time.Minute

// Browser is one running Chromium.
type Browser struct {
	ctx  context.Context
	stop func()
}

// running is the Chromium that all tests of this process share while any of
// them uses it: starting one costs as much as driving it through ten pages.
var running struct {
	sync.Mutex
	*Browser

	users int
}

// New returns a running Chromium, which ends with the last test that uses it.
// It fails the test, saying what to install, when there is none.
func New(t *testing.T) *Browser {
	t.Helper()
	running.Lock()
	defer running.Unlock()
	if running.users == 0 {
		b, err := start()
		if err != nil {
			t.Fatal(err)
		}
		running.Browser = b
	}
	running.users++
	t.Cleanup(func() {
		running.Lock()
		defer running.Unlock()
		running.users--
		if running.users == 0 {
			running.stop()
		}
	})
	return running.Browser
}

func start() (*Browser, error) {
	program := find()
	if program == "" {
		return nil, errors.New("no Chromium found: install it (Debian: apt-get install chromium) or set CHROMIUM to its path")
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(program),
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Headless,
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-extensions", true),
		chromedp.Flag("disable-dev-shm-usage", true), // containers give /dev/shm 64 MB
		chromedp.Flag("disable-default-apps", true),
		chromedp.Flag("metrics-recording-only", true),
		chromedp.Flag("password-store", "basic"),
		// Pages of parallel tests are all "in the background"; their timers must run at full speed.
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
		chromedp.Flag("disable-renderer-backgrounding", true),
		// A page that scrolls smoothly moves away under the click.
		chromedp.Flag("force-prefers-reduced-motion", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost"),
		chromedp.WindowSize(Desktop.Width, Desktop.Height),
		chromedp.WSURLReadTimeout(2*time.Minute), // two busy cores start it slowly
	)
	ctx, closeBrowser := chromedp.NewContext(allocator)
	b := &Browser{ctx: ctx, stop: func() {
		closeBrowser()
		stop()
	}}
	if err := chromedp.Do(ctx); err != nil {
		b.stop()
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	return b, nil
}

func find() string {
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Size is a viewport in CSS pixels.
type Size struct {
	Width, Height int
	Mobile        bool
}

// The two sizes every page of ours is looked at.
var (
	Desktop = Size{Width: 1280, Height: 800}
	Phone   = Size{Width: 390, Height: 844, Mobile: true}
)

// Page is one tab of a visitor of its own.
type Page struct {
	ctx       context.Context
	artifacts string

	mu       sync.Mutex
	problems []string
}

// Page opens an empty tab with new cookies and storage; it closes with t. When
// t failed, what the page showed is kept as the artifact failed.png.
func (b *Browser) Page(t *testing.T) *Page {
	t.Helper()
	return open(b.ctx, t, chromedp.WithNewBrowserContext())
}

// Tab opens another empty tab of the same visitor.
func (p *Page) Tab(t *testing.T) *Page {
	t.Helper()
	return open(p.ctx, t)
}

func open(parent context.Context, t *testing.T, options ...chromedp.ContextOption) *Page {
	t.Helper()
	// Asked for before the clean-up below is registered: clean-ups run last
	// first, and without -artifacts the directory goes with one of its own.
	p := &Page{artifacts: t.ArtifactDir()}
	ctx, closePage := chromedp.NewContext(parent, append(options, chromedp.WithListener(p.note))...)
	p.ctx = ctx
	t.Cleanup(func() {
		if t.Failed() {
			p.keepFailure(ctx, t)
		}
		closePage()
	})
	require.NoError(t, chromedp.Do(ctx))
	return p
}

// Context is the page's chromedp context, for what Run does not cover, such as
// chromedp.Listen.
func (p *Page) Context() context.Context { return p.ctx }

// Run carries out the actions in order, within stepTimeout.
func (p *Page) Run(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, stepTimeout)
	defer cancel()
	require.NoError(t, chromedp.Do(ctx, actions...))
}

// Follow carries out actions that lead to another page, such as a click on a
// link, and waits until that page has loaded.
func (p *Page) Follow(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, stepTimeout)
	defer cancel()
	_, err := chromedp.RunResponse(ctx, actions...)
	require.NoError(t, err)
}

// BeforeEachDocument runs the JavaScript before any script of every page that
// opens from now on.
func (p *Page) BeforeEachDocument(t *testing.T, source string) {
	t.Helper()
	p.Run(t, func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: source})
		return chromedp.Void{}, err
	})
}

// Get carries out one action that has a result, within stepTimeout.
func Get[T any](t *testing.T, p *Page, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, stepTimeout)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	require.NoError(t, err)
	return result
}

// Eval runs the JavaScript expression in the page, waits for its promise if it
// is one, and returns its value.
func Eval[T any](t *testing.T, p *Page, expression string) T {
	t.Helper()
	return Get(t, p, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// Type enters the text into the element the selector finds, once it is visible.
// It stands in for chromedp.SendKeys, which (v0.23.0) reads an element's
// attributes without its lock, for file inputs: a data race with any page that
// changes the attributes of its inputs.
func Type[S chromedp.Selectable](selector S, text string) chromedp.Action[chromedp.Void] {
	return chromedp.QueryAfter(selector, func(ctx context.Context, target *chromedp.Target, nodes []*chromedp.Node) (chromedp.Void, error) {
		return chromedp.KeyEventNode(nodes[0], text)(ctx, target)
	}, chromedp.NodeVisible)
}

// Resize shows the page at that size.
func (p *Page) Resize(t *testing.T, size Size) {
	t.Helper()
	options := []chromedp.EmulateViewportOption{}
	if size.Mobile {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	p.Run(t, chromedp.EmulateViewport(int64(size.Width), int64(size.Height), options...))
}

// Picture returns the whole page as a PNG.
func (p *Page) Picture(t *testing.T) []byte {
	t.Helper()
	return Get(t, p, chromedp.FullScreenshot(100)) // 100 is PNG
}

// Screenshot keeps a Picture as the artifact name.png. It does nothing when
// artifacts are not kept: without a graphics card a picture costs as much as
// all else a test does with the page.
func (p *Page) Screenshot(t *testing.T, name string) {
	t.Helper()
	if kept() {
		require.NoError(t, os.WriteFile(filepath.Join(p.artifacts, name+".png"), p.Picture(t), 0o600))
	}
}

// kept is whether the tests run with -artifacts.
func kept() bool {
	artifacts := flag.Lookup("test.artifacts")
	return artifacts != nil && artifacts.Value.String() == "true"
}

// Problems returns what the page complained of so far: uncaught exceptions,
// console errors, and resources that failed to load or were blocked.
func (p *Page) Problems() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.problems...)
}

func (p *Page) note(event any) {
	var problem string
	switch event := event.(type) {
	case *runtime.EventExceptionThrown:
		problem = "exception: " + (&chromedp.ExceptionError{ExceptionDetails: event.ExceptionDetails}).Error()
	case *runtime.EventConsoleAPICalled:
		if event.Type != runtime.ConsoleAPICalledTypeError && event.Type != runtime.ConsoleAPICalledTypeAssert {
			return
		}
		problem = "console." + string(event.Type) + ":" + arguments(event.Args)
	case *log.EventEntryAdded:
		if event.Entry.Level != log.EntryLevelError {
			return
		}
		problem = fmt.Sprintf("%s: %s %s", event.Entry.Source, event.Entry.Text, event.Entry.URL)
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problems = append(p.problems, problem)
}

func arguments(values []*runtime.RemoteObject) string {
	var text strings.Builder
	for _, value := range values {
		text.WriteByte(' ')
		if value.Description != "" {
			text.WriteString(value.Description)
		} else {
			text.Write(value.Value)
		}
	}
	return text.String()
}

// keepFailure must not fail or hang the test that already failed.
func (p *Page) keepFailure(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, problem := range p.Problems() {
		t.Log("page: " + problem)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Logf("no screenshot of the failed page: %v", err)
		return
	}
	path := filepath.Join(p.artifacts, "failed.png")
	if err := os.WriteFile(path, picture, 0o600); err != nil {
		t.Logf("keep the failed page: %v", err)
		return
	}
	t.Logf("the failed page (kept with go test -artifacts): %s", path)
}
