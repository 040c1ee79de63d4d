// Package zerodb is the memory that an organisation's AI agents share.
//
//	client, err := zerodb.New(zerodb.Config{Backend: backend, Embedder: embedder})
//	memory := client.Tenant(tenant)
//	_, err = memory.Store(ctx, "walker_seo_001", zerodb.Semantic, "Marie prefers WhatsApp",
//		zerodb.Metadata{"subject": "customer:42", "predicate": "preferred channel"}, 0)
//	hits, err := memory.Retrieve(ctx, "walker_seo_001", "how to reach Marie?", "", 5, 0.2)
//	known, err := memory.AgentContext(ctx, "walker_seo_001") // known.Text goes into the prompt
//
// # Tenants, scopes, agents
//
// Every call is bound to one tenant, and no answer ever holds another's memory:
// the back ends enforce it, and [zerodbtest] tests it. Inside a tenant a memory
// belongs to a [Scope]: one agent's, a named group's, or everybody's. Scopes
// say whose business a memory is. They are no border against a caller that
// may speak for the tenant, for it names its agent and groups itself.
//
// # Six types, six lives
//
//	working     the active task: replaced by what is stored under the same key; 7 days
//	short_term  24 to 48 hours, 36 when nothing else is said; recalled three times it becomes long_term
//	episodic    events, at the time they happened; they fade unless recalled, and recalled five times become long_term
//	semantic    facts; another content under the same key supersedes, and the older version stays with the interval in which it held
//	procedural  how-to; reported success and failure move its confidence (a Beta posterior)
//	long_term   what proved worth keeping; fades over years
//
// # What contradicts what
//
// Two facts contradict each other when they have the same key in the same scope, given by the
// caller or made of a subject and a predicate, and different contents. Nothing else is
// taken for a contradiction: whether two free texts exclude each other can't be told
// reliably, and a memory that guesses loses facts. A fact that comes late is
// filed between the versions that held before and after it.
//
// # Repetition
//
// What is stored twice is there once: the same key and content, or the same content (for
// an event: within an hour). What says the same in nearly the same words is merged, by
// strict rules: the one must have every word of the other and its order, or
// their vectors must be nearly equal with no number, name or negation among the words that differ.
// The receipt says what happened and why.
//
// # Scores
//
// A search asks the vectors and the words, fuses the two rankings, and weighs with recency,
// importance and confidence. The score lies between 0 and 1 and can be worked
// out from the [Explanation] that each hit carries.
//
// # Rules here, durability there
//
// A [Backend] stores and finds candidates. Everything that is decided is decided in this
// package, so that every back end gives the same answers. zerodb/pgmem keeps memories in
// PostgreSQL, zerodb/qdrant in Qdrant.
//
// # Errors
//
// Every error is an *[Error] of one [Kind], or the context's own.
//
// [zerodbtest]: https://pkg.go.dev/github.com/engardehq/madansara/zerodb/zerodbtest
package zerodb
