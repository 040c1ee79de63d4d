package zerodb_test

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"

	"github.com/engardehq/madansara/zerodb"
	"github.com/engardehq/madansara/zerodb/zerodbtest"
)

// A fact that is told anew supersedes the old one, which stays as history.
func Example() {
	ctx := context.Background()
	clock := clockwork.NewFakeClockAt(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC))
	client, err := zerodb.New(zerodb.Config{Backend: zerodbtest.NewReference(), Embedder: &zerodbtest.Hashing{}, Clock: clock})
	if err != nil {
		fmt.Println(err)
		return
	}
	memory := client.Tenant(uuid.MustParse("0198c000-0000-7000-8000-000000000001"))
	about := zerodb.Metadata{"subject": "customer:42", "predicate": "preferred channel"}
	for _, fact := range []string{"Marie prefers e-mail", "Marie prefers WhatsApp"} {
		receipt, err := memory.Store(ctx, "walker_seo_001", zerodb.Semantic, fact, about, 0)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(receipt.Outcome)
		clock.Advance(24 * time.Hour)
	}
	hits, err := memory.Retrieve(ctx, "walker_seo_001", "which channel does Marie prefer?", "", 5, 0.1)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, hit := range hits {
		fmt.Println(hit.Memory.Content, "since", hit.Memory.ValidFrom.Format(time.DateOnly))
	}
	versions, err := memory.History(ctx, hits[0].Memory.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(versions[1].Content, "until", versions[1].ValidUntil.Format(time.DateOnly))
	// Output:
	// created
	// superseded
	// Marie prefers WhatsApp since 2026-03-02
	// Marie prefers e-mail until 2026-03-02
}

// Limits are refused with what is allowed.
func ExampleTenant_Store_shortTerm() {
	client, err := zerodb.New(zerodb.Config{Backend: zerodbtest.NewReference()})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.Tenant(uuid.New()).Store(context.Background(), "walker_seo_001", zerodb.ShortTerm, "Marie is in town", nil, time.Hour)
	fmt.Println(err)
	// Output: zerodb: ttl: a short_term memory lives between 24 hours and 48 hours, not 1h0m0s (0 is the default: 36 hours)
}
