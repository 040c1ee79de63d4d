package memorybench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/bench/retrievalbench"
	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/embed"
)

// kind is a kind of vectors to measure recall on.
type kind struct {
	name    string
	model   string
	vectors [][]float32
	queries [][]float32
}

// recall measures each kind of vectors in a compact scope of a tenant of its own.
func (b *bench) recall(ctx context.Context) ([]Recall, error) {
	var list []Recall
	for _, open := range []func(context.Context) (kind, error){
		b.written, b.hashed,
		func(context.Context) (kind, error) { return b.clustered(100, 1) },
		func(context.Context) (kind, error) { return b.clustered(100, 0.3) },
	} {
		k, err := open(ctx)
		if err != nil {
			return nil, err
		}
		r, err := b.recallOf(ctx, k)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

func (b *bench) recallOf(ctx context.Context, k kind) (r Recall, err error) {
	tenant := uuid.Must(uuid.NewV7())
	if _, err := b.admin.Exec(ctx, "insert into tenants (tenant_uuid, name, created_at) values ($1, 'Recall', now())", tenant); err != nil {
		return r, fmt.Errorf("bench: %w", err)
	}
	r = Recall{Kind: k.name, Memories: len(k.vectors), Dimensions: len(k.vectors[0])}
	// Room for the vectors alone: too little to hold the scope whole.
	client, err := b.client(4 * r.Dimensions * r.Memories)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, client.Close(ctx)) }()
	now := time.Now().UTC().Truncate(time.Microsecond)
	scope := zerodb.AgentScope("recall")
	for done := 0; done < len(k.vectors); done += batch {
		memories := make([]zerodb.Memory, 0, batch)
		for _, vector := range k.vectors[done:min(len(k.vectors), done+batch)] {
			id := uuid.Must(uuid.NewV7())
			memories = append(memories, zerodb.Memory{
				ID: id, Lineage: id, Agent: "recall", Type: zerodb.LongTerm, Scope: scope, Content: b.text(), Importance: 0.5, Prior: 0.8, Mentions: 1,
				CreatedAt: now, UpdatedAt: now, ValidFrom: now, Vector: vector, Model: k.model,
			})
		}
		if err := client.Backend().Change(ctx, tenant, []zerodb.Scope{scope}, func(ctx context.Context, w zerodb.Writer) error { return w.Put(ctx, memories) }); err != nil {
			return r, err
		}
	}
	r.At10, r.At50, r.P50, err = b.compare(ctx, client, tenant, k.model, k.queries)
	r.Held = cacheOf(client).Bytes
	return r, err
}

// hashed are the vectors of the other measurements: of few words, so mostly zeros.
func (b *bench) hashed(ctx context.Context) (k kind, err error) {
	k = kind{name: "hashed words", model: b.embedder.Model()}
	if k.vectors, err = b.queries(ctx, b.opts.Vectors); err == nil {
		k.queries, err = b.queries(ctx, b.opts.Queries)
	}
	return k, err
}

// clustered are vectors around so many centres, whose distance from theirs is noise: what asks for one has a
// thousandth and more of all vectors almost equally near.
func (b *bench) clustered(centres int, noise float32) (kind, error) {
	random := rand.New(rand.NewPCG(3, 4)) // the same every time
	direction := func() []float32 {
		v := make([]float32, dimensions)
		for i := range v {
			v[i] = float32(random.NormFloat64())
		}
		v, _ = zerodb.Normalize(v) // finite numbers
		return v
	}
	middles := make([][]float32, centres)
	for i := range middles {
		middles[i] = direction()
	}
	around := func(n int) ([][]float32, error) {
		list := make([][]float32, n)
		for i := range list {
			list[i] = direction()
			for j, x := range middles[random.IntN(centres)] {
				list[i][j] = x + noise*list[i][j]
			}
		}
		return unit(list, nil)
	}
	k := kind{name: fmt.Sprintf("%d clusters, noise %.1f", centres, noise), model: "clusters"}
	var err, err2 error
	k.vectors, err = around(b.opts.Vectors)
	k.queries, err2 = around(b.opts.Queries)
	return k, errors.Join(err, err2)
}

// written are texts by people, embedded by the built-in embedder: the turns of the conversations that retrieval is
// measured on, and the documents and comments of this project where it is run. The questions about the conversations ask.
func (b *bench) written(ctx context.Context) (k kind, err error) {
	k.name = "written text, built-in embedder"
	embedder, err := embed.NewBuiltin()
	if err != nil {
		return k, err
	}
	k.model = embedder.Model()
	texts, questions, err := retrievalbench.Texts()
	if err != nil {
		return k, err
	}
	prose, err := projectProse()
	if err != nil {
		return k, err
	}
	if k.vectors, err = unit(embedder.Embed(ctx, append(texts, prose...))); err == nil {
		k.queries, err = unit(embedder.Embed(ctx, questions[:min(len(questions), 3*b.opts.Queries)]))
	}
	return k, err
}

// projectProse are the lines of documents and of Go comments in and below the working folder.
func projectProse() (lines []string, err error) {
	const shortest = 30 // bytes: below, they are headings and directives
	seen := map[string]bool{}
	err = filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		extension := filepath.Ext(path)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && len(path) > 1 && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules"):
			return fs.SkipDir
		case !entry.Type().IsRegular() || extension != ".md" && extension != ".go":
			return nil
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		scanner := bufio.NewScanner(file)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			line, comment := strings.CutPrefix(strings.TrimSpace(scanner.Text()), "//")
			if line = strings.TrimSpace(line); (comment || extension == ".md") && len(line) >= shortest && !seen[line] {
				seen[line] = true
				lines = append(lines, line)
			}
		}
		return scanner.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return lines, nil
}
