//go:build linux && soak

package main_test

import (
	"os"
	"regexp"
	"testing"
)

// The long runs of `make transport-soak`.

// PAIRS chooses some, by a regular expression for names like "UDP4 to TLS6".
func TestSoakTransports_EveryPair(t *testing.T) {
	everyPair(t, 1000, 50, regexp.MustCompile(os.Getenv("PAIRS")))
}

func TestSoakTransports_Kamailio(t *testing.T) { besideKamailio(t, 1000, 50) }

func TestSoakTransports_BadPeers(t *testing.T) { besideBadPeers(t, 5000, 100, 50) }
