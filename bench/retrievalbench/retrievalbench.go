package retrievalbench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/embed"
	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

// firstHits is how far down a search's result evidence counts as found.
const firstHits = 10

// Options says what to measure.
type Options struct {
	Tuning  bool     // the conversations that methods were chosen on, instead of those held out
	Methods []string // by name; none: all
}

// Default is the method of a hybrid search with the built-in embedder.
const Default = "fused, then matched"

// method is a way to search.
type method struct {
	name     string
	embedder zerodb.Embedder
	mode     zerodb.Mode
}

// unmatched is an embedder that does not read texts beside the query.
type unmatched struct{ zerodb.Embedder }

// methods are the ablations; the last is the default.
func methods() ([]method, error) {
	builtin, err := embed.NewBuiltin()
	letters, err2 := embed.NewBuiltinParts(0, 1)
	words, err3 := embed.NewBuiltinParts(1, 0)
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, err
	}
	return []method{
		{"text only", unmatched{builtin}, zerodb.ModeText},
		{"dense only, letters", letters, zerodb.ModeDense},
		{"dense only, words", words, zerodb.ModeDense},
		{"dense only", builtin, zerodb.ModeDense},
		{"fused", unmatched{builtin}, zerodb.ModeHybrid},
		{Default, builtin, zerodb.ModeHybrid},
	}, nil
}

// Figures are means over questions.
type Figures struct {
	Questions int
	Recall    float64 // of a question's evidence, the share among the first ten hits
	MRR       float64 // one over the rank of the first evidence among the first ten; 0 without
}

func (f *Figures) add(recall, reciprocal float64) {
	f.Recall = (f.Recall*float64(f.Questions) + recall) / float64(f.Questions+1)
	f.MRR = (f.MRR*float64(f.Questions) + reciprocal) / float64(f.Questions+1)
	f.Questions++
}

// Row is what one method reached.
type Row struct {
	Method string
	Own    Figures            // each conversation is an agent's memory, and the agent asks
	Shared Figures            // all conversations are searched at once
	By     map[string]Figures // Own, by language and by kind
}

// Result is a row a method.
type Result struct {
	HeldOut       bool
	Turns         int
	Conversations int
	Rows          []Row
}

// Run measures every method.
func Run(ctx context.Context, options Options) (Result, error) {
	conversations, err := load()
	if err != nil {
		return Result{}, err
	}
	result := Result{HeldOut: !options.Tuning, Conversations: len(conversations)}
	for _, c := range conversations {
		result.Turns += len(c.turns)
	}
	compared, err := methods()
	if err != nil {
		return Result{}, err
	}
	for _, m := range compared {
		if len(options.Methods) > 0 && !slices.Contains(options.Methods, m.name) {
			continue
		}
		row, err := measure(ctx, m, conversations, options)
		if err != nil {
			return Result{}, fmt.Errorf("%s: %w", m.name, err)
		}
		result.Rows = append(result.Rows, row)
	}
	return result, nil
}

// today is after every conversation, and fixed, so that ages and with them ranks are the same every time.
type today struct{}

func (today) Now() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

func measure(ctx context.Context, m method, conversations []conversation, options Options) (Row, error) {
	client, err := zerodb.New(zerodb.Config{Backend: zerodbtest.NewReference(), Embedder: m.embedder, Clock: today{}})
	if err != nil {
		return Row{}, err
	}
	memory := client.Tenant(uuid.MustParse("019e0000-0000-7000-8000-000000000001"))
	kept := map[string][]uuid.UUID{}
	for _, c := range conversations {
		if kept[c.name], err = store(ctx, memory, c); err != nil {
			return Row{}, err
		}
	}
	row := Row{Method: m.name, By: map[string]Figures{}}
	for _, c := range conversations {
		if c.heldOut == options.Tuning {
			continue
		}
		for _, asked := range c.ask {
			query := zerodb.Query{Agent: c.name, Text: asked.text, Limit: firstHits, Mode: m.mode, Unseen: true}
			recall, reciprocal, err := ask(ctx, memory, query, asked.evidence, kept[c.name])
			if err != nil {
				return Row{}, err
			}
			row.Own.add(recall, reciprocal)
			for _, part := range []string{c.language, asked.kind} {
				figures := row.By[part]
				figures.add(recall, reciprocal)
				row.By[part] = figures
			}
			query.Agent, query.Everyone = "", true
			if recall, reciprocal, err = ask(ctx, memory, query, asked.evidence, kept[c.name]); err != nil {
				return Row{}, err
			}
			row.Shared.add(recall, reciprocal)
		}
	}
	return row, client.Close(ctx)
}

// store keeps each turn as a memory of the conversation's own agent, and gives the memory of each turn.
func store(ctx context.Context, memory zerodb.Tenant, c conversation) ([]uuid.UUID, error) {
	ids := make([]uuid.UUID, 0, len(c.turns))
	for part := range slices.Chunk(c.turns, 50) {
		items := make([]zerodb.Item, len(part))
		for i, said := range part {
			items[i] = zerodb.Item{Agent: c.name, Type: zerodb.Episodic, Content: said.said, ValidFrom: said.at}
		}
		receipts, err := memory.StoreBatch(ctx, items)
		if err != nil {
			return nil, err
		}
		for _, receipt := range receipts {
			ids = append(ids, receipt.ID)
		}
	}
	return ids, nil
}

func ask(ctx context.Context, memory zerodb.Tenant, query zerodb.Query, evidence []int, kept []uuid.UUID) (recall, reciprocal float64, err error) {
	result, err := memory.Search(ctx, query)
	if err != nil {
		return 0, 0, err
	}
	for rank, hit := range result.Hits {
		for _, turn := range evidence {
			if kept[turn] == hit.Memory.ID {
				recall += 1 / float64(len(evidence))
				reciprocal = max(reciprocal, 1/float64(rank+1))
			}
		}
	}
	return recall, reciprocal, nil
}

// String is a table for people.
func (r Result) String() string {
	var text strings.Builder
	asked := "tuned on"
	if r.HeldOut {
		asked = "held out"
	}
	first := r.Rows[0]
	fmt.Fprintf(&text, "%d turns in %d conversations; %d questions about the conversations %s\n\n", r.Turns, r.Conversations, first.Own.Questions, asked)
	fmt.Fprintf(&text, "%-22s  own memory    shared by all\n%-22s  R@10   MRR    R@10   MRR\n", "", "")
	for _, row := range r.Rows {
		fmt.Fprintf(&text, "%-22s  %.3f  %.3f  %.3f  %.3f\n", row.Method, row.Own.Recall, row.Own.MRR, row.Shared.Recall, row.Shared.MRR)
	}
	parts := append([]string{"en", "fr", "es", "ht"}, kinds...)
	fmt.Fprintf(&text, "\nR@10, own memory, by language and kind\n%-22s", "")
	for _, part := range parts {
		fmt.Fprintf(&text, " %*s", width(part), part)
	}
	fmt.Fprintf(&text, "\n%-22s", "questions")
	for _, part := range parts {
		fmt.Fprintf(&text, " %*d", width(part), first.By[part].Questions)
	}
	for _, row := range r.Rows {
		fmt.Fprintf(&text, "\n%-22s", row.Method)
		for _, part := range parts {
			fmt.Fprintf(&text, " %*.2f", width(part), row.By[part].Recall)
		}
	}
	text.WriteByte('\n')
	return text.String()
}

func width(part string) int { return max(5, len(part)) }
