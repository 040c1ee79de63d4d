package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/memory"
	"github.com/engardehq/madansara/internal/memoryjobs"
	"github.com/engardehq/madansara/zerodb"
)

// How many memories a filter by scope looks through, and a search ranks.
const (
	memoriesListed   = zerodb.MaxBatch
	memoriesSearched = zerodb.MaxLimit
)

// erasuresShown are on the memory's page; the API has them all.
const erasuresShown = 5

// weakestHit is the score below which a search shows nothing.
const weakestHit = 0.02

type memoryFilter struct {
	Text, Type, Agent, Scope, Subject string
}

func (f memoryFilter) any() bool { return f != memoryFilter{} }

type memoriesPage struct {
	*view
	Filter   memoryFilter
	Hits     []zerodb.Hit // of a list, without a score
	Stats    zerodb.Stats
	Agents   []memory.AgentCount
	Degraded string
	Problem  string
	Paging   paging
	More     bool
	Backend  string
	Embedder string
	Erasures []memory.Erased // the latest
}

// memoryTypes are the types, with what they are for people.
var memoryTypes = []struct {
	Type        zerodb.Type
	Name, About string
}{
	{zerodb.Semantic, "Fact", "a fact; a newer one supersedes it"},
	{zerodb.Episodic, "Event", "something that happened"},
	{zerodb.Procedural, "How-to", "a way of doing something, trusted as it succeeds"},
	{zerodb.LongTerm, "Long-term", "what proved worth keeping"},
	{zerodb.ShortTerm, "Short-term", "kept for a day or two"},
	{zerodb.Working, "Working", "the task at hand"},
}

func memoryTypeName(t zerodb.Type) string {
	for _, known := range memoryTypes {
		if known.Type == t {
			return known.Name
		}
	}
	return string(t)
}

func scopeName(s zerodb.Scope) string {
	switch s.Kind {
	case zerodb.ScopeTenant:
		return "every agent"
	case zerodb.ScopeGroup:
		return "group " + s.Name
	default:
		return "only " + s.Name
	}
}

// readsMemories and the other checks ask for the scopes that the API asks for.
func readsMemories(v *view) error {
	if !v.CanRecall {
		return fault.New(fault.Forbidden, "Your role does not show you the agents' memories; ask an owner of the company.")
	}
	return nil
}

func (d *Dashboard) memories(w http.ResponseWriter, r *http.Request, v *view) error {
	v.Title, v.Section = "Memory", "memory"
	if err := readsMemories(v); err != nil {
		return err
	}
	query := r.URL.Query()
	read := func(name string, most int) string {
		return clip(strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(query.Get(name), ""), "\x00", "")), most)
	}
	page := memoriesPage{view: v, Paging: readPaging(r), Backend: d.Memories.Backend(), Embedder: d.Memories.EmbedderModel(), Filter: memoryFilter{
		Text: read("q", 1000), Type: read("type", 20), Agent: read("agent", zerodb.MaxName), Scope: read("scope", 20), Subject: read("subject", zerodb.MaxName),
	}}
	var err error
	if page.Stats, err = d.Memories.Stats(r.Context(), v.Tenant); err != nil {
		return err
	}
	page.Agents = memory.AgentCounts(page.Stats)
	if page.Erasures, err = d.Memories.Erasures(r.Context(), v.Tenant, uuid.Nil, erasuresShown); err != nil {
		return err
	}
	if page.Filter.Text != "" {
		err = d.findMemories(r, &page)
	} else {
		err = d.listMemories(r, &page)
	}
	if isUsers(err) {
		page.Problem, err = problemText(err), nil
	}
	if err != nil {
		return err
	}
	return d.render(w, r, http.StatusOK, memoriesView(page))
}

func (f memoryFilter) filter() zerodb.Filter {
	filter := zerodb.Filter{Audience: zerodb.Audience{Everyone: true}, Subject: f.Subject}
	if f.Type != "" {
		filter.Types = []zerodb.Type{zerodb.Type(f.Type)}
	}
	if f.Agent != "" {
		filter.Agents = []string{f.Agent}
	}
	return filter
}

// inScope says whether a memory's scope is of the kind asked for, which no back end filters by.
func (f memoryFilter) inScope(m *zerodb.Memory) bool {
	return f.Scope == "" || string(m.Scope.Kind) == f.Scope
}

func (d *Dashboard) findMemories(r *http.Request, page *memoriesPage) error {
	result, err := d.Memories.Search(r.Context(), page.Tenant, zerodb.Query{
		Everyone: true, Unseen: true, Text: page.Filter.Text, Filter: page.Filter.filter(), Threshold: weakestHit, Limit: memoriesSearched,
	})
	if err != nil {
		return err
	}
	page.Degraded = result.Degraded
	page.show(result.Hits)
	return nil
}

func (d *Dashboard) listMemories(r *http.Request, page *memoriesPage) error {
	limit := min(memoriesListed, page.Paging.Page*pageSize+1)
	if page.Filter.Scope != "" {
		limit = memoriesListed
	}
	list, err := d.Memories.List(r.Context(), page.Tenant, page.Filter.filter(), zerodb.Order{Recent: true}, limit)
	if err != nil {
		return err
	}
	hits := make([]zerodb.Hit, len(list))
	for i := range list {
		hits[i].Memory = list[i]
	}
	page.show(hits)
	return nil
}

// show keeps one page of what was found.
func (p *memoriesPage) show(hits []zerodb.Hit) {
	hits = slices.DeleteFunc(hits, func(h zerodb.Hit) bool { return !p.Filter.inScope(&h.Memory) })
	from := min(len(hits), int(p.Paging.skip()))
	to := min(len(hits), from+pageSize)
	p.Hits, p.More = hits[from:to], len(hits) > to
}

type memoryPage struct {
	*view
	Memory   zerodb.Memory
	State    string
	Versions []zerodb.Memory // the latest first, this one among them
	Metadata string          // indented JSON, "" for none
	Draft    string          // what the form of the correction holds
	Problem  string
	Customer string // path of the customer it is about, "" for none
}

func (d *Dashboard) memory(w http.ResponseWriter, r *http.Request, v *view) error {
	return d.showMemory(w, r, v, http.StatusOK, "", nil)
}

func (d *Dashboard) showMemory(w http.ResponseWriter, r *http.Request, v *view, status int, problem string, draft *string) error {
	v.Section = "memory"
	if err := readsMemories(v); err != nil {
		return err
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	m, err := d.Memories.Get(r.Context(), v.Tenant, id)
	if err != nil {
		return err
	}
	versions, err := d.Memories.History(r.Context(), v.Tenant, id)
	if err != nil {
		return err
	}
	v.Title = memoryTypeName(m.Type) + " of " + m.Agent
	page := memoryPage{view: v, Memory: m, State: memory.StateOf(&m, d.Clock.Now()), Versions: versions, Draft: m.Content, Problem: problem}
	if draft != nil {
		page.Draft = *draft
	}
	if len(m.Metadata) > 0 {
		encoded, err := json.MarshalIndent(m.Metadata, "", "  ")
		if err != nil {
			return fmt.Errorf("show metadata: %w", err)
		}
		page.Metadata = string(encoded)
	}
	if id, found := strings.CutPrefix(m.Subject, "customer:"); found {
		if contact, err := uuid.Parse(id); err == nil {
			page.Customer = "/customers/" + contact.String()
		}
	}
	return d.render(w, r, status, memoryView(page))
}

func (d *Dashboard) correctMemory(w http.ResponseWriter, r *http.Request, v *view) error {
	id, err := d.changedMemory(w, r, v)
	if err != nil {
		return err
	}
	content := strings.TrimSpace(strings.ReplaceAll(r.PostForm.Get("content"), "\r\n", "\n"))
	corrected, err := d.Memories.Correct(r.Context(), v.Tenant, clip(v.User, zerodb.MaxName), id, content, nil)
	if isUsers(err) && fault.CodeOf(err) != fault.NotFound {
		return d.showMemory(w, r, v, http.StatusUnprocessableEntity, problemText(err), &content)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/memory/"+corrected.ID.String()+"?done=corrected", http.StatusSeeOther)
	return nil
}

func (d *Dashboard) forgetMemory(w http.ResponseWriter, r *http.Request, v *view) error {
	id, err := d.changedMemory(w, r, v)
	if err != nil {
		return err
	}
	if _, err := d.Memories.Forget(r.Context(), v.Tenant, id); err != nil {
		return err
	}
	http.Redirect(w, r, "/memory?done=forgotten", http.StatusSeeOther)
	return nil
}

func (d *Dashboard) changedMemory(w http.ResponseWriter, r *http.Request, v *view) (uuid.UUID, error) {
	v.Section = "memory"
	if err := needs(v.CanRemember); err != nil {
		return uuid.Nil, err
	}
	if err := readForm(w, r); err != nil {
		return uuid.Nil, err
	}
	return pathID(r)
}

type erasePage struct {
	*view
	Subject    string
	Mentioning string // a line each
	Found      []zerodb.Memory
	Looked     bool
	Problem    string
	Receipt    *memory.Erased
	ReceiptAs  string // indented JSON
}

// eraseForm shows what an erasure would take, before it is asked for.
func (d *Dashboard) eraseForm(w http.ResponseWriter, r *http.Request, v *view) error {
	v.Title, v.Section, v.Narrow = "Erase a subject", "memory", true
	if err := needs(v.CanRemember); err != nil {
		return err
	}
	page := erasePage{view: v, Subject: strings.TrimSpace(r.URL.Query().Get("subject")), Mentioning: r.URL.Query().Get("mentioning")}
	if page.Subject != "" {
		filter := zerodb.Filter{Audience: zerodb.Audience{Everyone: true}, Subject: page.Subject, History: true}
		found, err := d.Memories.List(r.Context(), v.Tenant, filter, zerodb.Order{Recent: true}, memoriesListed)
		if err != nil {
			return err
		}
		page.Found, page.Looked = found, true
	}
	return d.render(w, r, http.StatusOK, eraseView(page))
}

func (d *Dashboard) eraseSubject(w http.ResponseWriter, r *http.Request, v *view) error {
	v.Title, v.Section, v.Narrow = "Erase a subject", "memory", true
	if err := needs(v.CanRemember); err != nil {
		return err
	}
	if err := readForm(w, r); err != nil {
		return err
	}
	page := erasePage{view: v, Subject: strings.TrimSpace(r.PostForm.Get("subject")), Mentioning: r.PostForm.Get("mentioning")}
	receipt, err := d.Memories.Erase(r.Context(), v.Tenant, zerodb.Erasure{Subject: page.Subject, Mentioning: mentioned(page.Mentioning)})
	if isUsers(err) {
		page.Problem = problemText(err)
		return d.render(w, r, http.StatusUnprocessableEntity, eraseView(page))
	}
	if err != nil {
		return err
	}
	encoded, err := json.MarshalIndent(receipt, "", "  ")
	if err != nil {
		return fmt.Errorf("show the receipt: %w", err)
	}
	page.Receipt, page.ReceiptAs = &receipt, string(encoded)
	return d.render(w, r, http.StatusOK, eraseView(page))
}

func mentioned(lines string) (words []string) {
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" {
			words = append(words, line)
		}
	}
	return words
}

// factor is one number of a score's explanation.
type factor struct {
	Name, About string
	Value       float64
	Used        bool
}

func factorsOf(e zerodb.Explanation) []factor {
	meaning := factor{Name: "Meaning", About: "not compared: no vector"}
	if e.Dense != nil {
		meaning = factor{Name: "Meaning", Value: e.Dense.Evidence, Used: true, About: fmt.Sprintf("cosine %.2f, number %d by meaning", e.Dense.Cosine, e.Dense.Rank)}
	}
	words := factor{Name: "Words", About: "no word in common"}
	if e.Text != nil {
		words = factor{Name: "Words", Value: e.Text.Coverage, Used: true, About: fmt.Sprintf("%s; number %d by words", strings.Join(e.Text.Terms, ", "), e.Text.Rank)}
	}
	return []factor{
		meaning, words,
		{Name: "Relevance", Value: e.Relevance, Used: true, About: "both together, and how far in front they put it"},
		{Name: "Recency", Value: e.Recency, Used: true, About: "halves with each half-life of its type"},
		{Name: "Importance", Value: e.Importance, Used: true, About: "moved by feedback"},
		{Name: "Confidence", Value: e.Confidence, Used: true, About: "moved by outcomes"},
		{Name: "Quality", Value: e.Quality, Used: true, About: "1, less what is old, unimportant or doubtful"},
	}
}

// validity says when a memory held.
func validity(m *zerodb.Memory, zone *time.Location) string {
	const day = "2 Jan 2006, 15:04"
	from := m.ValidFrom.In(zone).Format(day)
	switch {
	case !m.ValidUntil.IsZero() && m.ValidUntil.Equal(m.ValidFrom):
		return "never: it was corrected"
	case !m.ValidUntil.IsZero():
		return from + " to " + m.ValidUntil.In(zone).Format(day)
	case m.Type == zerodb.Episodic:
		return from
	default:
		return "since " + from
	}
}

// erasureSays is an erasure in one line.
func erasureSays(e memory.Erased) string {
	if e.FinishedAt == nil {
		return "Under way: it goes on when the memory answers"
	}
	parts := make([]string, 0, len(memoryTypes))
	for _, t := range memoryTypes {
		if n := e.ByType[string(t.Type)]; n > 0 {
			one := strings.ToLower(t.Name)
			many := one
			if t.Type == zerodb.Semantic || t.Type == zerodb.Episodic || t.Type == zerodb.Procedural { // the others are adjectives
				many += "s"
			}
			parts = append(parts, plural(int64(n), one, many))
		}
	}
	says := plural(int64(e.Erased), "memory", "memories")
	if len(parts) > 0 {
		says += ": " + strings.Join(parts, ", ")
	}
	if e.Remaining > 0 {
		says += "; " + plural(int64(e.Remaining), "is", "are") + " there again"
	}
	return says
}

func erasureCause(cause string) string {
	if cause == memoryjobs.ContactErased {
		return "The contact was erased"
	}
	return "Asked for"
}

// requester says for people who asked for something; the records name them by id.
func (v *view) requester(by string) string {
	switch {
	case by == v.Actor:
		return "you"
	case strings.HasPrefix(by, "user "):
		return "another user"
	case strings.HasPrefix(by, "key "):
		return "an API key"
	default:
		return clip(by, 60)
	}
}

func eraseHref(subject string) string { return "/memory/erase?subject=" + url.QueryEscape(subject) }

func aboutHref(subject string) string { return "/memory?subject=" + url.QueryEscape(subject) }

// backendName is a back end's name for people.
func backendName(name string) string {
	if known := map[string]string{"postgresql": "PostgreSQL", "qdrant": "Qdrant"}[name]; known != "" {
		return known
	}
	return name
}
