package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
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

// A file of authorities is good until the last of them ends; before, the next to
// end is told of if the others stay.
func TestLifeOfAuthorities(t *testing.T) {
	now := time.Date(2026, 5, 31, 22, 0, 0, 0, time.UTC)
	const hour, day = time.Hour, 24 * time.Hour
	of := func(name string, from, until time.Duration) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(from), NotAfter: now.Add(until)}
	}
	old, soon, good, next := of("old", -90*day, -hour), of("soon", -90*day, 50*hour), of("good", -day, 90*day), of("next", 3*day, 90*day)
	sooner := of("sooner", -90*day, 25*hour)
	const oldEnd = "ca.pem has expired on 2026-05-31 21:00 UTC: peers with its certificates are refused; put its successor there"
	const soonEnd = "ca.pem expires on 2026-06-03 00:00 UTC, in 2 days: peers with its certificates are refused then; put its successor there"
	const oneEnds = "ca.pem: \"soon\" in it expires on 2026-06-03 00:00 UTC, in 2 days: peers with its certificates are refused then, those of others in the file are not"
	for _, c := range []struct {
		want string
		all  []*x509.Certificate
	}{
		{"", []*x509.Certificate{good}},
		{oldEnd, []*x509.Certificate{old}},
		{soonEnd, []*x509.Certificate{soon}},
		{"ca.pem is not valid before 2026-06-03 22:00 UTC: peers with its certificates are refused until then", []*x509.Certificate{old, next}},
		{"", []*x509.Certificate{old, good}},
		{"", []*x509.Certificate{good, next}},
		{soonEnd, []*x509.Certificate{old, sooner, soon}},
		{oneEnds, []*x509.Certificate{good, soon}},
		{oneEnds, []*x509.Certificate{soon, next}},
		{oneEnds, []*x509.Certificate{old, soon, good}},
	} {
		require.Equal(t, c.want, lifeOfAuthorities("ca.pem", c.all, now))
	}
}
