package store

import (
	"os"
	"testing"
)

// TestMain runs the tests, or what a test wants done in a process of its own.
func TestMain(m *testing.M) {
	switch os.Getenv("STORE_CHILD") {
	case "":
		os.Exit(m.Run())
	case "commit":
		commitForever(os.Getenv("STORE_PATH"))
	case "hold":
		hold(os.Getenv("STORE_PATH"))
	case "limit":
		reachLimit(os.Getenv("STORE_PATH"))
	}
}
