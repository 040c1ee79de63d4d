package retrievalbench

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"time"
)

//go:embed conversations/*.txt
var files embed.FS

// conversation is one file: its turns and the questions about them.
type conversation struct {
	name     string
	language string
	heldOut  bool // never used to choose a method or a weight
	turns    []turn
	ask      []question
}

// turn is one thing said, stored as one memory.
type turn struct {
	said string // "Nora: I moved to Leeds."
	at   time.Time
}

// question is asked about a conversation; evidence are the turns that answer it, by their place.
type question struct {
	kind     string
	text     string
	evidence []int
}

// kinds are what a question demands.
var kinds = []string{"fact", "paraphrase", "time", "update", "multi"}

// load reads all conversations. A file's name is its language, its subject, and "tune" or "heldout".
func load() ([]conversation, error) {
	entries, err := files.ReadDir("conversations")
	if err != nil {
		return nil, err
	}
	var all []conversation
	for _, entry := range entries {
		text, err := files.ReadFile("conversations/" + entry.Name())
		if err != nil {
			return nil, err
		}
		read, err := parse(entry.Name(), string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name(), err)
		}
		all = append(all, read)
	}
	return all, nil
}

// Texts returns what is said in all conversations, and what is asked about them.
func Texts() (turns, questions []string, err error) {
	all, err := load()
	for _, c := range all {
		for _, t := range c.turns {
			turns = append(turns, t.said)
		}
		for _, q := range c.ask {
			questions = append(questions, q.text)
		}
	}
	return turns, questions, err
}

// parse reads one conversation:
//
//	= 2025-03-04                            a new session's day
//	Nora: I moved to Leeds. #leeds          a turn, which questions may call by its tag
//	? fact | Where does Nora live? | leeds  a question: kind, text, tags of its evidence
func parse(name, text string) (conversation, error) {
	parts := strings.Split(strings.TrimSuffix(name, ".txt"), ".")
	c := conversation{name: parts[0], heldOut: parts[1] == "heldout"}
	c.language, _, _ = strings.Cut(parts[0], "-")
	tags := map[string]int{}
	var at time.Time
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "= "):
			day, err := time.Parse(time.DateOnly, line[2:])
			if err != nil {
				return c, err
			}
			at = day.Add(18 * time.Hour)
		case strings.HasPrefix(line, "? "):
			asked, err := parseQuestion(line[2:], tags)
			if err != nil {
				return c, err
			}
			c.ask = append(c.ask, asked)
		case line != "":
			said, tag, tagged := strings.Cut(line, " #")
			if _, twice := tags[tag]; tagged && twice {
				return c, fmt.Errorf("two turns are #%s", tag)
			}
			if tagged {
				tags[tag] = len(c.turns)
			}
			at = at.Add(time.Minute)
			c.turns = append(c.turns, turn{said: said, at: at})
		}
	}
	return c, nil
}

func parseQuestion(line string, tags map[string]int) (question, error) {
	fields := strings.Split(line, " | ")
	if len(fields) != 3 || !slices.Contains(kinds, fields[0]) {
		return question{}, fmt.Errorf("not a question: %q", line)
	}
	asked := question{kind: fields[0], text: fields[1]}
	for tag := range strings.FieldsSeq(fields[2]) {
		place, known := tags[tag]
		if !known {
			return question{}, fmt.Errorf("no turn is #%s", tag)
		}
		asked.evidence = append(asked.evidence, place)
	}
	return asked, nil
}
