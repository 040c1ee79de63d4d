package zerodbtest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/zerodb"
)

const day = 24 * time.Hour

func channel(content string) zerodb.Item {
	return zerodb.Item{Type: zerodb.Semantic, Subject: "customer:42", Predicate: "preferred channel", Content: content}
}

func testSupersede(t *testing.T, b *bundle) {
	first := b.store(t, channel("Marie prefers e-mail"))
	b.clock.Advance(2 * day)
	second := b.store(t, channel("Marie prefers WhatsApp"))
	require.Equal(t, zerodb.Superseded, second.Outcome)
	require.Equal(t, first.ID, second.Superseded)

	require.Equal(t, []string{"Marie prefers WhatsApp"}, contents(b.search(t, zerodb.Query{Text: "what Marie prefers"})))
	past := b.search(t, zerodb.Query{Text: "what Marie prefers", Filter: zerodb.Filter{AsOf: start.Add(time.Hour)}})
	require.Equal(t, []string{"Marie prefers e-mail"}, contents(past))
	require.Equal(t, start.Add(2*day), past[0].Memory.ValidUntil)
	require.Equal(t, second.ID, past[0].Memory.SupersededBy)
	require.Len(t, b.search(t, zerodb.Query{Text: "what Marie prefers", Filter: zerodb.Filter{History: true}}), 2)
	history, err := b.tenant.History(t.Context(), first.ID)
	require.NoError(t, err)
	require.Len(t, history, 2)
	require.Equal(t, second.ID, history[0].ID)
	known, err := b.tenant.AgentContext(t.Context(), agent)
	require.NoError(t, err)
	require.NotContains(t, known.Text, "e-mail", "the newest version only")

	b.clock.Advance(day)
	third := b.store(t, channel("Marie prefers e-mail"))
	require.Equal(t, zerodb.Superseded, third.Outcome, "what held before may hold again")
	require.NotEqual(t, first.ID, third.ID)
	other := channel("Jean prefers SMS")
	other.Subject = "customer:43"
	require.Equal(t, zerodb.Created, b.store(t, other).Outcome, "another subject is no contradiction")
}

func testLateFact(t *testing.T, b *bundle) {
	march := channel("Marie prefers WhatsApp")
	current := b.store(t, march)
	late := channel("Marie prefers letters")
	late.ValidFrom = start.Add(-30 * day)
	receipt := b.store(t, late)
	require.Equal(t, zerodb.Filed, receipt.Outcome)
	require.Equal(t, receipt, withReason(b.store(t, late), receipt), "the same late fact again is there already")
	require.Equal(t, []string{"Marie prefers WhatsApp"}, contents(b.search(t, zerodb.Query{Text: "Marie prefers"})))
	past := b.search(t, zerodb.Query{Text: "Marie prefers", Filter: zerodb.Filter{AsOf: start.Add(-day)}})
	require.Equal(t, []string{"Marie prefers letters"}, contents(past))
	require.Equal(t, start, past[0].Memory.ValidUntil)
	require.Equal(t, current.ID, past[0].Memory.SupersededBy)
}

// testPassingFact: a fact that holds for a while inside another's time parts it in two.
func testPassingFact(t *testing.T, b *bundle) {
	usual := channel("Marie prefers WhatsApp")
	usual.ValidFrom, usual.Metadata = start.Add(-30*day), zerodb.Metadata{"n": 1}
	first := b.store(t, usual)
	passing := channel("Marie prefers letters")
	passing.ValidFrom, passing.ValidUntil = start.Add(-20*day), start.Add(-10*day)
	receipt := b.store(t, passing)
	require.Equal(t, zerodb.Filed, receipt.Outcome)
	require.Equal(t, first.ID, receipt.Superseded)
	require.Equal(t, zerodb.Unchanged, b.store(t, passing).Outcome)
	require.Equal(t, zerodb.Unchanged, b.store(t, usual).Outcome)
	at := func(days int) zerodb.Memory {
		t.Helper()
		when := start.Add(time.Duration(days) * day)
		filter := zerodb.Filter{Audience: zerodb.Audience{Agent: agent}, AsOf: when}
		list, err := b.tenant.List(t.Context(), filter, zerodb.Order{}, 10)
		require.NoError(t, err)
		require.Len(t, list, 1, "one fact holds at %s", when)
		return list[0]
	}
	require.Equal(t, first.ID, at(-25).ID)
	require.Equal(t, receipt.ID, at(-15).ID)
	rest := at(0)
	require.Equal(t, "Marie prefers WhatsApp", rest.Content)
	require.Equal(t, at(-10), rest)
	require.Equal(t, start.Add(-10*day), rest.ValidFrom)
	require.Zero(t, rest.ValidUntil)
	require.Equal(t, zerodb.Metadata{"n": 1.0}, rest.Metadata)
	require.NotNil(t, rest.Vector)
	require.Equal(t, rest.ID, at(-15).SupersededBy)
	history, err := b.tenant.History(t.Context(), rest.ID)
	require.NoError(t, err)
	require.Len(t, history, 3)
	requireTimeline(t, history)

	// One that holds now for a while can be corrected, and what held before holds behind it.
	passing = channel("Marie is away: ask Jean")
	passing.ValidUntil = start.Add(5 * day)
	away := b.store(t, passing)
	require.Equal(t, zerodb.Superseded, away.Outcome)
	corrected, err := b.tenant.Correct(t.Context(), "operator", away.ID, "Marie is away: ask Joanne", nil)
	require.NoError(t, err)
	require.Equal(t, corrected.ID, at(1).ID)
	require.Equal(t, "Marie prefers WhatsApp", at(6).Content)
	_, err = b.tenant.Correct(t.Context(), "operator", away.ID, "Marie is away", nil)
	require.ErrorIs(t, err, zerodb.ErrConflict)
	letters := channel("Marie prefers letters")
	letters.ValidFrom = start.Add(6 * day)
	require.Equal(t, zerodb.Superseded, b.store(t, letters).Outcome)
	require.Equal(t, "Marie prefers letters", at(7).Content)
}

// withReason makes the receipts of a repetition comparable with the first.
func withReason(r, like zerodb.Receipt) zerodb.Receipt {
	r.Reason, r.Outcome, r.Superseded = like.Reason, like.Outcome, like.Superseded
	return r
}

func testWorking(t *testing.T, b *bundle) {
	first := b.store(t, zerodb.Item{Type: zerodb.Working, Key: "task", Content: "audit the shop's pages"})
	second := b.store(t, zerodb.Item{Type: zerodb.Working, Key: "task", Content: "write the report"})
	require.Equal(t, zerodb.Replaced, second.Outcome)
	require.Equal(t, first.ID, second.ID)
	b.store(t, zerodb.Item{Type: zerodb.Working, Content: "answer Marie"})
	require.Equal(t, zerodb.Replaced, b.store(t, zerodb.Item{Type: zerodb.Working, Content: "answer Jean"}).Outcome, "without a key there is one")
	known, err := b.tenant.AgentContext(t.Context(), agent)
	require.NoError(t, err)
	require.Contains(t, known.Text, "write the report")
	require.Contains(t, known.Text, "answer Jean")
	require.NotContains(t, known.Text, "audit the shop")
	require.NotContains(t, known.Text, "answer Marie")
	b.clock.Advance(7 * day)
	known, err = b.tenant.AgentContext(t.Context(), agent)
	require.NoError(t, err)
	require.Empty(t, known.Sections)
}

func testShortTerm(t *testing.T, b *bundle) {
	for ttl, hours := range map[time.Duration]int{0: 36, 24 * time.Hour: 24, 48 * time.Hour: 48} {
		receipt := b.store(t, zerodb.Item{Type: zerodb.ShortTerm, Content: fmt.Sprint("Marie is in town for ", hours, " hours"), TTL: ttl})
		require.Equal(t, start.Add(time.Duration(hours)*time.Hour), receipt.ExpiresAt)
	}
	for _, ttl := range []time.Duration{-1, time.Nanosecond, 24*time.Hour - 1, 48*time.Hour + 1, 100 * 365 * day, -100 * 365 * day} {
		_, err := b.tenant.Store(t.Context(), agent, zerodb.ShortTerm, "x", nil, ttl)
		require.ErrorIs(t, err, zerodb.ErrInvalid, ttl)
		require.ErrorContains(t, err, "36 hours", ttl)
	}
	count := func() int { return len(b.search(t, zerodb.Query{Text: "who is in town"})) }
	require.Equal(t, 3, count())
	b.clock.Advance(24*time.Hour - time.Microsecond)
	require.Equal(t, 3, count())
	b.clock.Advance(time.Microsecond)
	require.Equal(t, 2, count(), "at its end it is gone, before any job has run")
	b.clock.Advance(12 * time.Hour)
	require.Equal(t, 1, count())
	report, err := b.tenant.Upkeep(t.Context())
	require.NoError(t, err)
	require.Equal(t, zerodb.UpkeepReport{Looked: 3, Expired: 2, Left: true}, report)
	stats, err := b.tenant.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, stats.Memories)
	b.store(t, zerodb.Item{Type: zerodb.ShortTerm, Content: "Marie is in town for 48 hours"})
	b.clock.Advance(13 * time.Hour)
	require.Equal(t, 1, count(), "storing it again renewed it")
}

func testRepetition(t *testing.T, b *bundle) {
	var items []zerodb.Item
	for _, typ := range zerodb.Types() {
		for n := range 3 {
			items = append(items, zerodb.Item{Agent: agent, Type: typ, Content: fmt.Sprintf("%s thing %d", typ, n), Key: fmt.Sprint("key ", n)})
			if typ != zerodb.Working {
				items = append(items, zerodb.Item{Agent: agent, Type: typ, Content: fmt.Sprintf("some other %s matter, number %d", typ, n)})
			}
		}
	}
	first, err := b.tenant.StoreBatch(t.Context(), items)
	require.NoError(t, err)
	b.clock.Advance(time.Minute)
	again, err := b.tenant.StoreBatch(t.Context(), append(items, items...))
	require.NoError(t, err)
	for i, receipt := range again {
		require.Equal(t, zerodb.Unchanged, receipt.Outcome, "%v: %v", items[i%len(items)], receipt)
		require.Equal(t, first[i%len(items)].ID, receipt.ID)
	}
	stats, err := b.tenant.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, len(items), stats.Memories)
	b.clock.Advance(2 * time.Hour)
	event := b.store(t, zerodb.Item{Type: zerodb.Episodic, Content: "some other episodic matter, number 1"})
	require.Equal(t, zerodb.Created, event.Outcome, "hours later it is another event")
}

func testNearDuplicates(t *testing.T, b *bundle) {
	first := b.store(t, zerodb.Item{Type: zerodb.Semantic, Content: "Marie prefers to be called in the morning", Metadata: zerodb.Metadata{"a": 1}})
	more := b.store(t, zerodb.Item{Type: zerodb.Semantic, Content: "Marie prefers to be called early in the morning.", Metadata: zerodb.Metadata{"b": 2}})
	require.Equal(t, zerodb.Merged, more.Outcome)
	require.Equal(t, first.ID, more.ID)
	m, err := b.tenant.Get(t.Context(), first.ID)
	require.NoError(t, err)
	require.Equal(t, "Marie prefers to be called early in the morning.", m.Content, "the wording that says more stays")
	require.Equal(t, zerodb.Metadata{"a": 1.0, "b": 2.0}, m.Metadata)
	require.Equal(t, 2, m.Mentions)
	require.InDelta(t, 0.55, m.Importance, 1e-9)
	require.Equal(t, zerodb.Merged, b.store(t, zerodb.Item{Type: zerodb.Semantic, Content: "marie PREFERS to be called in the morning"}).Outcome)
	for _, other := range []zerodb.Item{
		{Type: zerodb.Semantic, Content: "Jean prefers to be called in the morning"},
		{Type: zerodb.Semantic, Content: "Marie prefers not to be called in the morning"},
		{Type: zerodb.Semantic, Content: "Marie prefers to be called in the evening"},
		{Type: zerodb.LongTerm, Content: "Marie prefers to be called in the morning"},
		{Type: zerodb.Semantic, Content: "Marie prefers to be called in the morning", Scope: zerodb.TenantScope()},
		{Type: zerodb.Semantic, Content: "Marie prefers to be called in the morning", Agent: "walker_ads_001", Scope: zerodb.TenantScope()},
	} {
		require.Equal(t, zerodb.Created, b.store(t, other).Outcome, other.Content)
	}
	batch := make([]zerodb.Item, 10)
	for i := range batch {
		batch[i] = zerodb.Item{Agent: agent, Type: zerodb.Procedural, Content: "to raise the bid, open the campaign" + strings.Repeat("!", i)}
	}
	receipts, err := b.tenant.StoreBatch(t.Context(), batch)
	require.NoError(t, err)
	for i, receipt := range receipts[1:] {
		require.Equal(t, zerodb.Merged, receipt.Outcome, i)
		require.Equal(t, receipts[0].ID, receipt.ID)
	}
}

// testSubjectsStayApart: the same words about two customers are two memories.
func testSubjectsStayApart(t *testing.T, b *bundle) {
	about := func(subject, content string) zerodb.Receipt {
		return b.store(t, zerodb.Item{Type: zerodb.Episodic, Subject: subject, Content: content})
	}
	first := about("customer:42", "asked when the parcel would arrive")
	require.Equal(t, zerodb.Created, about("customer:43", "asked when the parcel would arrive").Outcome)
	require.Equal(t, zerodb.Created, about("customer:44", "asked again when the parcel would arrive").Outcome)
	require.Equal(t, zerodb.Created, about("", "asked when the parcel would arrive").Outcome)
	require.Equal(t, first.ID, about("customer:42", "asked when the parcel would arrive").ID, "of one customer it is the same")
	require.Equal(t, zerodb.Merged, about("customer:43", "asked again when the parcel would arrive").Outcome)
	erased, err := b.tenant.Erase(t.Context(), zerodb.Erasure{Subject: "customer:42"})
	require.NoError(t, err)
	require.Equal(t, 1, erased.Erased)
	for _, subject := range []string{"customer:43", "customer:44"} {
		require.Len(t, b.search(t, zerodb.Query{Text: "parcel", Filter: zerodb.Filter{Subject: subject}}), 1, subject)
	}
}

// testStoringAtOnce: whoever comes first, there is one memory of one thing.
func testStoringAtOnce(t *testing.T, b *bundle) {
	var done sync.WaitGroup
	for i := range 8 {
		done.Go(func() {
			_, err := b.tenant.StoreBatch(t.Context(), []zerodb.Item{
				{Agent: agent, Type: zerodb.LongTerm, Content: "the same for all of them"},
				{Agent: agent, Type: zerodb.Semantic, Key: "one", Content: fmt.Sprint("version ", i)},
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	list, err := b.tenant.List(t.Context(), zerodb.Filter{Audience: zerodb.Audience{Agent: agent}}, zerodb.Order{}, 100)
	require.NoError(t, err)
	require.Len(t, list, 2, "one of the same, and one version that holds")
	history, err := b.tenant.List(t.Context(), zerodb.Filter{Audience: zerodb.Audience{Agent: agent}, History: true}, zerodb.Order{}, 100)
	require.NoError(t, err)
	require.Len(t, history, 9)
	requireTimeline(t, history)
}

func testProcedures(t *testing.T, b *bundle) {
	good := b.store(t, zerodb.Item{Type: zerodb.Procedural, Content: "to wake a sleeping customer, send a coupon"})
	bad := b.store(t, zerodb.Item{Type: zerodb.Procedural, Content: "to wake a sleeping customer, send three mails"})
	yes, no := true, false
	for i := range 6 {
		m, err := b.tenant.Feedback(t.Context(), good.ID, zerodb.Feedback{Succeeded: &yes})
		require.NoError(t, err)
		require.InDelta(t, float64(1+i+1)/float64(2+i+1), m.Confidence(), 1e-9, "the mean of Beta(1+s, 1+f)")
		_, err = b.tenant.Feedback(t.Context(), bad.ID, zerodb.Feedback{Succeeded: &no})
		require.NoError(t, err)
	}
	hits := b.search(t, zerodb.Query{Text: "wake a sleeping customer"})
	require.Equal(t, good.ID, hits[0].Memory.ID)
	require.InDelta(t, 7.0/8, hits[0].Explanation.Confidence, 1e-9)
	require.InDelta(t, 1.0/8, hits[1].Explanation.Confidence, 1e-9)
}

func testFeedback(t *testing.T, b *bundle) {
	receipt := b.store(t, zerodb.Item{Type: zerodb.LongTerm, Content: "the shop closes on Sundays"})
	yes, no := true, false
	m, err := b.tenant.Feedback(t.Context(), receipt.ID, zerodb.Feedback{Useful: &yes})
	require.NoError(t, err)
	require.InDelta(t, 0.6, m.Importance, 1e-9)
	m, err = b.tenant.Feedback(t.Context(), receipt.ID, zerodb.Feedback{Useful: &no})
	require.NoError(t, err)
	require.InDelta(t, 0.48, m.Importance, 1e-9)
	require.InDelta(t, 0.48, b.search(t, zerodb.Query{Text: "closes on Sundays"})[0].Explanation.Importance, 1e-9)
	_, err = b.tenant.Feedback(t.Context(), receipt.ID, zerodb.Feedback{})
	require.ErrorIs(t, err, zerodb.ErrInvalid)
	_, err = b.tenant.Feedback(t.Context(), uuid.New(), zerodb.Feedback{Useful: &yes})
	require.ErrorIs(t, err, zerodb.ErrNotFound)
	_, err = b.client.Tenant(b.env.Tenant(t)).Feedback(t.Context(), receipt.ID, zerodb.Feedback{Useful: &yes})
	require.ErrorIs(t, err, zerodb.ErrNotFound, "another tenant's memory is none")
}
