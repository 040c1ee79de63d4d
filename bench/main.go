// Command bench measures the product on this machine and, with -write, keeps
// the figures in a Markdown file.
//
//	go run ./bench                                 print
//	go run ./bench -write docs/BENCHMARKS.md       print and keep
//	go run ./bench -only ingest,mail,process       some of them
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/engardehq/madansara/bench/ingestbench"
	"github.com/engardehq/madansara/bench/mailbench"
	"github.com/engardehq/madansara/bench/memorybench"
	"github.com/engardehq/madansara/bench/meshbench"
	"github.com/engardehq/madansara/bench/outagebench"
	"github.com/engardehq/madansara/bench/processbench"
	"github.com/engardehq/madansara/bench/retrievalbench"
)

// section is one measurement with what a reader must know to judge it.
type section struct {
	name, title, about string
	run                func(context.Context) (fmt.Stringer, error)
}

var sections = []section{
	{
		"retrieval", "How well memories are found", `Which of the turns that answer a question are among the first ten found (R@10), in long conversations written by hand in four
languages, through ZeroDB's own search with the built-in embedder. "Own memory": the conversation's agent asks. "Shared by all": every turn of
every conversation is searched, which leaves questions like "How can we best reach her?" without anyone they could mean. Questions of kind
paraphrase use other words than the evidence. The weights were chosen on other conversations than these; en-clinic was written last, by
another hand that knew the methods, and first measured when they were chosen. The other conversations, questions and lexicon have one author, and half of the
lexicon was written after the conversations: judge the ablations rather than the height of the figures, and English, which needs no lexicon, rather than the other languages.
Counting neighbouring events (decision 56) changed, on these questions: own memory 0.673 to 0.676, which is nothing; shared by all 0.486 to 0.547; of the kinds,
fact gained (0.86 to 0.92), paraphrase lost (0.58 to 0.54), and English lost (0.61 to 0.59). The older of these conversations were looked at twice while it was made.`,
		func(ctx context.Context) (fmt.Stringer, error) {
			return retrievalbench.Run(ctx, retrievalbench.Options{})
		},
	},
	{
		"ingest", "Taking events", `Real HTTP over loopback into a PostgreSQL with fsync on; an answer comes only after the commit. Client, service and
database share the machine's cores. The ratio's other side is the fastest that the same server stores the very same rows in the same tables
with the same indexes: one COPY by the superuser, around row-level security, with nothing to parse, check or answer. Both in one run, the
median of three rounds. Target: 0.5 in batches.`,
		func(ctx context.Context) (fmt.Stringer, error) { return ingestbench.Run(ctx, ingestbench.Options{}) },
	},
	{
		"mail", "Sending a campaign", `A campaign of 10,000 recipients through the whole pipeline (segment, decision, template, signed links, one commit a mail) to
an SMTP sink on loopback, against the same mails pushed over the same number of bare SMTP sessions.`,
		func(ctx context.Context) (fmt.Stringer, error) { return mailbench.Run(ctx, mailbench.Options{}) },
	},
	{
		"memory", "How fast memories are found", `One agent's Retrieve through the public package: the query embedded, vectors and words compared, fused, weighed, and the ten best returned,
each time with PostgreSQL asked whether anything changed. The other side ("scan in Go") is one exact scan of the same vectors lying in memory by the fastest
inner product found in Go; "vector scan" is the fastest one with the processor's vector instructions, as the search itself uses. All by turns in one run;
"undisturbed" is the fastest Retrieve over the fastest scan in Go, which other work on the machine reaches less than the medians. One agent's
searches are exact here: its scope is held whole, so that recall@10 is 1 by construction. Texts are random words by Zipf's law; vectors are hashed words.
Stores look for near-duplicates and are measured on an agent's last 5,000 and 300 memories; what comes before, and the tenant's other agents, are loaded
directly. Target: a ratio under 2 up to 10,000 memories.

What does not fit whole into the cache is held compact (decision 68): over all scopes of the tenant, and, by kind of vectors, in one scope with a cache too small for
it. Recall is the share of the nearest vectors, by one pass over the table, that a search by vector has among its candidates. Target: recall@10 of 0.97.`,
		func(ctx context.Context) (fmt.Stringer, error) {
			return memorybench.Run(ctx, memorybench.Options{Tenant: *memories})
		},
	},
	{
		"mesh", "A call over the mesh", `What discovery, breaker, budget, deadline, metrics and signing cost beside a client that one writes by hand, on loopback where
nothing else takes time. "Signed" gives both sides the same signatures (RFC 9421, hmac-sha256). Target: under 15 % with the same signing.`,
		func(ctx context.Context) (fmt.Stringer, error) { return meshbench.Run(ctx) },
	},
	{
		"outage", "The loss of Core", `The real program as two processes, with a line between them that can be cut. Conversions are recorded at a constant rate, and
each one's time counts from when it was due, so that a stall shows in all that wait behind it. Targets: the p99 stays within 2 of the healthy
one, and the outage costs under 1.2 requests for each conversion. [MESH.md](MESH.md) shows the run's picture.`,
		func(ctx context.Context) (fmt.Stringer, error) {
			return outagebench.Run(ctx, outagebench.Options{Conversions: *conversions})
		},
	},
	{
		"process", "The process", `The real program, measured from outside. Targets: 64 MB resident when idle, 256 MB under load.`,
		func(ctx context.Context) (fmt.Stringer, error) { return processbench.Run(ctx, processbench.Options{}) },
	},
}

var memories = flag.Int("memories", 1_000_000, "how many a tenant has in the end while they are searched; -1 leaves that out")

var conversions = flag.Int("conversions", 10_000, "how many are recorded while Core is lost")

func main() {
	write := flag.String("write", "", "keep the figures in this Markdown `file`")
	only := flag.String("only", "", "comma-separated `names` of what to measure; empty is all")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, *write, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, write, only string) error {
	var page bytes.Buffer
	fmt.Fprintf(&page, `# Benchmarks

Written by `+"`make bench`"+` on %d cores (%s, %s/%s). Ratios are of one run; single times say more about the machine than about the program.
`, runtime.NumCPU(), cpuModel(), runtime.GOOS, runtime.GOARCH)
	for _, s := range sections {
		if only != "" && !slices.Contains(strings.Split(only, ","), s.name) {
			continue
		}
		fmt.Printf("%s ...\n", s.title)
		result, err := s.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Println(result)
		if err := keepFiles(result, write); err != nil {
			return err
		}
		fmt.Fprintf(&page, "\n## %s\n\n`go run ./bench -only %s`\n\n%s\n\n```\n%s```\n", s.title, s.name, s.about, result)
	}
	if write == "" {
		return nil
	}
	return os.WriteFile(write, page.Bytes(), 0o644) // a document, for all to read
}

// keepFiles writes what a result has beside its text into the folder images
// beside the page.
func keepFiles(result fmt.Stringer, write string) error {
	illustrated, ok := result.(interface{ Files() map[string][]byte })
	if !ok || write == "" {
		return nil
	}
	folder := filepath.Join(filepath.Dir(write), "images")
	if err := os.MkdirAll(folder, 0o755); err != nil { // for all to read, as what is in it
		return fmt.Errorf("keep pictures: %w", err)
	}
	for name, data := range illustrated.Files() {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
			return fmt.Errorf("keep pictures: %w", err)
		}
	}
	return nil
}

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
