package locate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/router/dns"
	"tandem/router/dns/dnstest"
)

// book is a source in memory, for the clock of a bubble: a question that is not in
// it has an empty answer.
type book struct {
	mu      sync.Mutex
	answers map[string]dns.Answer
	fails   error         // of every question
	failing string        // one that fails
	takes   time.Duration // every question
	asked   int
	active  int
	most    int
}

func (b *book) Ask(ctx context.Context, q dns.Question) (dns.Answer, error) {
	b.mu.Lock()
	b.asked++
	b.active++
	b.most = max(b.most, b.active)
	a, fails, takes := b.answers[q.String()], b.fails, b.takes
	if q.String() == b.failing {
		a, fails = dns.Answer{}, errors.New("SERVFAIL")
	}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.active--
	}()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return dns.Answer{}, ctx.Err()
	}
	return a, fails
}

func (b *book) Hosts(string) []netip.Addr   { return nil }
func (b *book) Search(name string) []string { return []string{name + "."} }
func (b *book) set(f func())                { b.mu.Lock(); defer b.mu.Unlock(); f() }
func (b *book) count() int                  { b.mu.Lock(); defer b.mu.Unlock(); return b.asked }
func addressed(ttl int, addrs ...string) (a dns.Answer) {
	for _, ip := range addrs {
		a.Addrs = append(a.Addrs, netip.MustParseAddr(ip))
	}
	a.TTL = time.Duration(ttl) * time.Second
	return a
}

// kit is a running Keeper in a bubble.
type kit struct {
	*Keeper
	t       *testing.T
	book    *book
	log     bytes.Buffer
	changes atomic.Int64
	end     func()
}

var pbx = Target{Name: "pbx.example", Port: 5060}

func keep(t *testing.T, o Options) *kit {
	k := &kit{t: t, book: &book{answers: map[string]dns.Answer{}}}
	o.Source, o.Families, o.Changed = k.book, Families{IPv4: true}, func() { k.changes.Add(1) }
	o.Log = slog.New(slog.NewTextHandler(&k.log, nil))
	k.Keeper = NewKeeper(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); k.Run(ctx) }()
	k.end = func() { cancel(); <-done }
	return k
}

// pass lets time go by.
func (k *kit) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (k *kit) has(t Target, want ...string) {
	k.t.Helper()
	var got []string
	for _, s := range k.Servers(t) {
		got = append(got, s.Addr.Addr().String())
	}
	require.Equal(k.t, want, got)
}

func (k *kit) logged(text string) int { return strings.Count(k.log.String(), text) }

func TestAskedAgainWhenTheTTLEnds(t *testing.T) {
	for _, c := range []struct {
		ttl  int
		rest time.Duration // until it is asked again, at least
	}{{60, time.Minute}, {0, 5 * time.Second}, {1, 5 * time.Second}, {1 << 30, time.Hour}} {
		synctest.Test(t, func(t *testing.T) {
			k := keep(t, Options{})
			defer k.end()
			k.book.answers["A pbx.example"] = addressed(c.ttl, "192.0.2.1")
			k.Set([]Target{pbx})
			k.pass(0)
			k.has(pbx, "192.0.2.1")
			k.book.set(func() { k.book.answers["A pbx.example"] = addressed(c.ttl, "192.0.2.1", "192.0.2.2") })
			k.pass(c.rest - 1)
			k.has(pbx, "192.0.2.1")
			require.EqualValues(t, 1, k.changes.Load())
			k.pass(c.rest/10 + 2)
			k.has(pbx, "192.0.2.1", "192.0.2.2")
			require.EqualValues(t, 2, k.changes.Load())
			require.Equal(t, 2, k.book.count())
			k.book.set(func() { k.book.answers["A pbx.example"] = addressed(c.ttl, "192.0.2.2") })
			k.pass(c.rest*11/10 + 2)
			k.has(pbx, "192.0.2.2")
			k.pass(100 * c.rest)
			require.EqualValues(t, 3, k.changes.Load(), "the same answer is no change")
			require.Equal(t, 3, k.logged("has other servers"))
			require.Contains(t, k.log.String(), `added="[192.0.2.2:5060 udp of pbx.example]" removed=[]`)
		})
	}
}

func TestLastGoodAnswerStays(t *testing.T) {
	for name, spoil := range map[string]func(*book){
		"failure":      func(b *book) { b.fails = errors.New("SERVFAIL") },
		"silence":      func(b *book) { b.fails, b.takes = context.DeadlineExceeded, 4*time.Second },
		"empty answer": func(b *book) { b.answers = map[string]dns.Answer{} },
		"junk":         func(b *book) { b.answers = map[string]dns.Answer{"A pbx.example": addressed(60, "0.0.0.0")} },
	} {
		synctest.Test(t, func(t *testing.T) {
			k := keep(t, Options{})
			defer k.end()
			k.book.answers["A pbx.example"] = addressed(60, "192.0.2.1")
			k.Set([]Target{pbx})
			k.pass(time.Second)
			k.book.set(func() { spoil(k.book) })
			k.pass(24 * time.Hour)
			k.has(pbx, "192.0.2.1")
			require.Equal(t, 1, k.logged("its last good answer stays"), "%s is told once: %s", name, &k.log)
			s := k.Stats()
			require.InDelta(t, 24*3600/31, float64(s.Failed), 24*3600/31*0.2, "retried every 30 s at last")
			require.Equal(t, Stats{Found: 1, Failed: s.Failed, Changes: 1, Targets: 1, Failing: 1, Kept: 1, Servers: 1}, s)
			k.book.set(func() {
				k.book.fails, k.book.takes = nil, 0
				k.book.answers = map[string]dns.Answer{"A pbx.example": addressed(60, "192.0.2.2")}
			})
			k.pass(40 * time.Second)
			k.has(pbx, "192.0.2.2")
			require.Equal(t, 1, k.logged("can be looked up again"))
			require.Zero(t, k.Stats().Failing)
		})
	}
}

func TestRestsAfterFailuresDouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, Options{})
		defer k.end()
		k.book.fails = errors.New("REFUSED")
		k.Set([]Target{pbx})
		k.pass(0)
		require.Equal(t, 1, k.book.count())
		require.Contains(t, k.log.String(), `level=WARN msg="DNS: a name has no server: it gets no calls until it has one" name=sip:pbx.example:5060 problem=REFUSED`)
		for i, rest := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
			k.pass(rest*time.Second + rest*time.Second/10 + 1)
			require.Equal(t, i+2, k.book.count(), rest)
		}
		k.has(pbx)
		require.Equal(t, 1, k.Stats().Empty)
		require.Zero(t, k.changes.Load())
	})
}

// Of several questions the one that fails has its last answer, the others theirs
// of now.
func TestPartOfAnAnswerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, Options{})
		defer k.end()
		udp := Target{Name: "example", Transport: catalog.UDP, Explicit: true}
		a, b := dns.Service{Host: "a.example.", Port: 5060, Priority: 1}, dns.Service{Host: "b.example.", Port: 5060, Priority: 2}
		k.book.answers = map[string]dns.Answer{
			"SRV _sip._udp.example": {Services: []dns.Service{a, b}, TTL: 10 * time.Second},
			"A a.example":           addressed(10, "192.0.2.1"), "A b.example": addressed(10, "192.0.2.2"),
		}
		k.Set([]Target{udp})
		k.pass(time.Second)
		k.has(udp, "192.0.2.1", "192.0.2.2")
		k.book.set(func() {
			k.book.failing = "A b.example"
			k.book.answers["A a.example"] = addressed(10, "192.0.2.3")
		})
		k.pass(15 * time.Second)
		k.has(udp, "192.0.2.3", "192.0.2.2")
		require.Equal(t, 1, k.Stats().Failing)
	})
}

// However many names and however slow the servers, few are asked at a time, and
// nobody who reads waits.
func TestSlowServersBlockNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, Options{Parallel: 4})
		defer k.end()
		k.book.takes = 3 * time.Second
		var targets []Target
		for i := range 100 {
			targets = append(targets, Target{Name: fmt.Sprintf("n%d.example", i), Port: 5060})
			k.book.answers["A "+targets[i].Name] = addressed(3600, "192.0.2.1")
		}
		began := time.Now()
		k.Set(targets)
		k.has(targets[0])
		require.Zero(t, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		k.Wait(ctx, targets)
		cancel()
		require.Equal(t, 2*time.Second, time.Since(began), "a wait is as long as its context")
		k.Wait(t.Context(), targets)
		require.Equal(t, 100/4*3*time.Second, time.Since(began))
		require.Equal(t, 4, k.book.most)
		k.pass(3600*time.Second - time.Since(began))
		before := k.book.count()
		k.pass(180 * time.Second)
		require.Greater(t, k.book.count()-before, 10)
		require.Less(t, k.book.count()-before, 80, "names that came together drift apart")
	})
}

func TestTargetsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, Options{})
		defer k.end()
		other := Target{Name: "other.example", Port: 5060}
		k.book.answers["A pbx.example"], k.book.answers["A other.example"] = addressed(60, "192.0.2.1"), addressed(60, "192.0.2.2")
		k.Set([]Target{pbx})
		k.pass(time.Second)
		k.Add([]Target{pbx, other})
		k.Wait(t.Context(), []Target{pbx, other, {Name: "nobody"}})
		k.has(pbx, "192.0.2.1")
		k.has(other, "192.0.2.2")
		require.Equal(t, 2, k.book.count(), "what is known is not asked for again")
		k.book.set(func() { k.book.takes = time.Second })
		k.pass(66 * time.Second) // lookups of both are under way
		k.Set([]Target{other})
		k.pass(time.Hour)
		k.has(pbx)
		require.Equal(t, 1, k.Stats().Targets)
		require.Zero(t, k.logged("WARN"))
	})
}

func TestRunEndsItsLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, Options{})
		k.book.takes = time.Hour
		k.Set([]Target{pbx, {Name: "example"}})
		k.pass(0)
		began := time.Now()
		k.end()
		require.Zero(t, time.Since(began))
		require.Zero(t, k.book.active)
		require.Empty(t, k.log.String(), "the end of a node is no failure of DNS")
	})
}

// The same over real sockets: a server that goes silent, fails and has nothing.
func TestKeeperWithARealServer(t *testing.T) {
	s, source := start(t, "_sip._udp.example. 0 IN SRV 1 1 5060 a.example.", "a.example. 0 IN A 192.0.2.1")
	changed := make(chan struct{}, 10)
	k := NewKeeper(Options{Source: source, Families: both, MinTTL: 10 * time.Millisecond, Changed: func() { changed <- struct{}{} }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); k.Run(ctx) }()
	defer func() { cancel(); <-done }()
	example := Target{Name: "example"}
	k.Set([]Target{example})
	k.Wait(t.Context(), []Target{example})
	require.Equal(t, []string{"0/1/1 192.0.2.1:5060 udp of a.example"}, found(Result{Servers: k.Servers(example)}))
	<-changed
	for _, mood := range []dnstest.Mood{dnstest.Failing, dnstest.Silent, dnstest.Empty, dnstest.Refusing} {
		failed := k.Stats().Failed
		s.Feel(mood)
		require.Eventually(t, func() bool { return k.Stats().Failed > failed }, 20*time.Second, 10*time.Millisecond)
		require.Len(t, k.Servers(example), 1)
		s.Feel(dnstest.Good)
		require.Eventually(t, func() bool { return k.Stats().Failing == 0 }, 20*time.Second, 10*time.Millisecond)
	}
	s.Set(t, "_sip._udp.example. 0 IN SRV 1 1 5060 a.example.", "_sip._udp.example. 0 IN SRV 2 1 5060 b.example.", "a.example. 0 IN A 192.0.2.1", "b.example. 0 IN A 192.0.2.2")
	<-changed
	require.Len(t, k.Servers(example), 2)
}
