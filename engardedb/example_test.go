package engardedb_test

import (
	"context"
	"fmt"
	"os"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/engardedb"
)

// A service opens one pool for its life and reaches tables through the tenant.
func Example() { //nolint:testableexamples // needs a database
	ctx := context.Background()
	url := os.Getenv("ENGARDE_DATABASE_URL")
	if url == "" {
		fmt.Println("set ENGARDE_DATABASE_URL to try this")
		return
	}
	cfg := engardedb.Defaults(url)
	cfg.Role = "madan_sara_app"
	db, err := engardedb.Open(ctx, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()

	tenant := uuid.MustParse("0198c000-0000-7000-8000-000000000001")
	err = db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		var contacts int
		if err := tx.QueryRow(ctx, "select count(*) from contacts").Scan(&contacts); err != nil {
			return err
		}
		fmt.Println(contacts, "contacts")
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
}

// The zero tenant is refused, because its transaction would silently see nothing.
func ExampleDB_Tenant_withoutTenant() {
	var db engardedb.DB
	err := db.Tenant(context.Background(), uuid.Nil, func(context.Context, engardedb.Tx) error { return nil })
	fmt.Println(err)
	// Output: engardedb: no tenant
}
