package probe

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
)

// off are settings by which a host is not probed.
func off() catalog.Health {
	set := once()
	set.Probe = false
	return set
}

func TestSettings_EachHostHasItsOwn(t *testing.T) {
	b := start(t, once())
	good, mute := newPeer(t, "127.0.0.1:0", always("200 OK")), newPeer(t, "127.0.0.1:0", nothing)
	slow, often := b.target("sip:slow", good.addr()), b.target("sip:often", good.addr())
	patient, hasty := b.target("sip:patient", mute.addr()), b.target("sip:hasty", mute.addr())
	often.Host.Configure(fast(), b.now())
	hasty.Host.Configure(fast(), b.now())
	require.NoError(t, b.SetTargets([]Target{slow, often, patient, hasty}))
	eventually(t, "probes at their own intervals, and own timeouts", func() bool {
		return often.Host.Status().Successes >= 5 && slow.Host.Status().Successes > 0 &&
			hasty.Host.Status().State == health.Down && len(mute.requests()) > 0
	})
	require.Equal(t, 1, slow.Host.Status().Successes)
	require.Zero(t, patient.Host.Status().LastProbe, "still waits")
}

func TestSettings_ShorterOnesTakeEffectNow(t *testing.T) {
	b := start(t, once())
	good, mute := newPeer(t, "127.0.0.1:0", always("200 OK")), newPeer(t, "127.0.0.1:0", nothing)
	interval, timeout := b.target("sip:interval", good.addr()), b.target("sip:timeout", mute.addr())
	kept := b.target("sip:kept", good.addr())
	require.NoError(t, b.SetTargets([]Target{interval, timeout, kept}))
	eventually(t, "one probe each", func() bool {
		return interval.Host.Status().Successes == 1 && kept.Host.Status().Successes == 1 && len(mute.requests()) > 0
	})
	interval.Host.Configure(fast(), b.now())
	timeout.Host.Configure(fast(), b.now())
	eventually(t, "not after an hour", func() bool {
		return interval.Host.Status().Successes > 3 && timeout.Host.Status().State == health.Down
	})
	require.Equal(t, 1, kept.Host.Status().Successes, "other hosts stay in their schedule")
}

func TestSettings_ProbeOffDropsTheProbeInFlight(t *testing.T) {
	b := start(t, once())
	p, other := newPeer(t, "127.0.0.1:0", nothing), newPeer(t, "127.0.0.1:0", always("200 OK"))
	h, kept := b.target("sip:off", p.addr()), b.target("sip:on", other.addr())
	kept.Host.Configure(fast(), b.now())
	require.NoError(t, b.SetTargets([]Target{h, kept}))
	eventually(t, "asked", func() bool { return len(p.requests()) > 0 })
	h.Host.Configure(off(), b.now())
	eventually(t, "it is over", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.flights[p.addr()]) == 0
	})
	require.Zero(t, h.Host.Status().LastProbe, "it says nothing")

	p.become(always("200 OK"))
	asked := len(p.requests())
	h.Host.Wake()
	_, state, _ := h.Host.Observe(b.now(), health.Observation{Event: health.CallUnreachable})
	require.Equal(t, health.Doubtful, state)
	n := kept.Host.Status().Successes
	eventually(t, "others are probed on", func() bool { return kept.Host.Status().Successes > n+3 })
	// One may have been on its way, sent again.
	require.LessOrEqual(t, len(p.requests()), asked+1, "not asked any more")
	require.NotZero(t, h.Host.Status().DoubtUntil, "it waits for a trial call")

	h.Host.Configure(fast(), b.now())
	eventually(t, "asked again", func() bool { return h.Host.Status().Successes > 3 })
}

func TestSettings_NoHostIsProbedAtFirst(t *testing.T) {
	b := start(t, off())
	p := newPeer(t, "127.0.0.1:0", always("200 OK"))
	one, other := b.target("sip:one", p.addr()), b.target("sip:other", p.addr())
	require.NoError(t, b.SetTargets([]Target{one, other}))
	ofOne := func() (n int) {
		for _, r := range p.requests() {
			if strings.HasPrefix(r.request, "OPTIONS sip:one ") {
				n++
			}
		}
		return n
	}
	one.Host.Configure(fast(), b.now())
	eventually(t, "one is probed", func() bool { return one.Host.Status().Successes > 3 })
	require.Zero(t, other.Host.Status().LastProbe)
	one.Host.Configure(off(), b.now())
	asked := ofOne()
	b.registry.Configure(fast(), b.now())
	eventually(t, "the other is probed", func() bool { return other.Host.Status().Successes > 10 })
	require.LessOrEqual(t, ofOne(), asked+1, "one may have been on its way; it has settings of its own")
}

// Off and on again before the prober has taken back the probe that was in
// flight.
func TestSettings_OffAndOnAgain(t *testing.T) {
	b := start(t, once())
	p := newPeer(t, "127.0.0.1:0", nothing)
	h := b.probe(t, p.addr())
	eventually(t, "asked", func() bool { return len(p.requests()) > 0 })
	p.become(always("200 OK"))
	for i := range 1000 {
		h.Configure(off(), b.now())
		on := fast()
		on.DownAfter += i // so that the prober sees a difference
		h.Configure(on, b.now())
	}
	eventually(t, "probed", func() bool { return h.Status().Successes > 3 })
}

func TestSettings_ManyHostsSwitchedOnAreSpread(t *testing.T) {
	for name, switchOn := range map[string]func(*bench, []Target, catalog.Health){
		"all together": func(b *bench, _ []Target, set catalog.Health) { b.registry.Configure(set, 1) },
		"one by one": func(b *bench, targets []Target, set catalog.Health) {
			for _, target := range targets {
				target.Host.Configure(set, 1)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, off())
			p := newPeer(t, "127.0.0.1:0", always("200 OK"))
			targets := make([]Target, 100)
			for i := range targets {
				targets[i] = b.target(fmt.Sprintf("sip:%d.example.com", i), p.addr())
			}
			require.NoError(t, b.SetTargets(targets))
			eventually(t, "the targets are known", func() bool { return len(b.changed) == 0 })
			began := b.now()
			switchOn(b, targets, once())
			var last int64
			eventually(t, "all answered", func() bool {
				for _, target := range targets {
					s := target.Host.Status()
					if s.Successes == 0 {
						return false
					}
					last = max(last, s.LastProbe)
				}
				return true
			})
			require.Greater(t, time.Duration(last-began), spread*9/10)
		})
	}
}
