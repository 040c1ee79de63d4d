package qdrant_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain draws fewer examples than rapid's 100: here each is hundreds of calls over gRPC,
// and the same properties are drawn 100 times by the back ends in this process. They are
// others in every run, and -rapid.checks still says how many.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "25"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
