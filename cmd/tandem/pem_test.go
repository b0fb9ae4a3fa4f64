package main

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLifeOf(t *testing.T) {
	now := time.Date(2026, 5, 31, 22, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]string{
		-time.Minute:    "c.pem has expired on 2026-05-31 21:59 UTC: peers refuse it; renew it",
		time.Hour:       "c.pem expires on 2026-05-31 23:00 UTC, today; renew it",
		3 * time.Hour:   "c.pem expires on 2026-06-01 01:00 UTC, tomorrow; renew it",
		25 * time.Hour:  "c.pem expires on 2026-06-01 23:00 UTC, in 1 day; renew it",
		50 * time.Hour:  "c.pem expires on 2026-06-03 00:00 UTC, in 2 days; renew it",
		400 * time.Hour: "",
	} {
		require.Equal(t, want, lifeOf("c.pem", &x509.Certificate{NotAfter: now.Add(left)}, now))
	}
}
