package router

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"tandem/config/catalog"
)

// simFeature is something that may go on in a seed. A failing seed is shrunk by
// leaving features out.
type simFeature uint32

const (
	simLoss simFeature = 1 << iota
	simDup
	simReorder
	simStorms // times of heavy loss and delay
	simCut    // datagrams that arrive cut short
	simICMP
	simCrash  // hosts that go and return
	simForget // and know nothing of before
	simRestart
	simTwoNodes
	simPolicy // a change of it under way
	simBudget
	simNoAnswer
	simRate // a trunk with max_cps
	simOwn  // connectors with failover settings of their own
	simNonInvite
	simCancel
	simDialogs    // requests between ACK and BYE
	simBadCallers // that vanish, never acknowledge, send everything twice
	simForks
	simLate   // timers that fire late
	simProbes // a prober that tells health
	simFresh  // calls from the first moment of the node
	simOrders // operators take things out of service, and back
	simFeatures
)

var simFeatureNames = []string{
	"loss", "dup", "reorder", "storms", "cut", "icmp", "crash", "forget", "restart", "nodes", "policy", "budget",
	"noanswer", "rate", "own", "noninvite", "cancel", "dialogs", "badcallers", "forks", "late", "probes", "fresh", "orders",
}

func (f simFeature) String() string {
	var names []string
	for i, name := range simFeatureNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// simSeed says which world is made: all of it follows from this.
type simSeed struct {
	number  uint64
	without simFeature
	only    []int // the calls that are made; nil: all
}

// simStart is the time at which worlds begin.
const simStart = int64(time.Hour)

// simSettings are what a seed draws for its whole world.
type simSettings struct {
	simSeed
	random *rand.Rand
	on     simFeature

	loss, dup, cut float64
	delay, jitter  time.Duration
	storms         []simStorm
	sticky         bool // messages of one source stay at one node for some seconds

	many     int           // calls
	over     time.Duration // that all calls begin in
	failover catalog.Failover
	catalog  *catalog.Catalog
	second   *catalog.Catalog // of the change of policy
	cps      int
	late     time.Duration
	talk     time.Duration // how long calls last at most
	ok       float64       // how many of the hosts' answers are plainly good
	orders   []simOrder
}

// newSimSettings draws everything in the same order, whatever is left out, so
// that leaving a feature out changes little else.
func newSimSettings(seed simSeed) *simSettings {
	random := rand.New(rand.NewPCG(seed.number, 0x7a6d656d))
	s := &simSettings{simSeed: seed, random: random}
	calm := random.IntN(4) == 0 // nothing wrong with the network and the hosts
	for f := simFeature(1); f < simOrders; f <<= 1 {
		p := 0.35
		switch f {
		case simCancel, simDialogs, simNonInvite, simProbes:
			p = 0.7
		case simRestart, simTwoNodes, simRate, simFresh, simCut:
			p = 0.2
		case simLoss, simDup, simStorms, simCrash, simForget:
			if calm {
				p = 0
			}
		}
		if random.Float64() < p && seed.without&f == 0 {
			s.on |= f
		}
	}
	s.loss = pick(random, 0.01, 0.05, 0.25)
	s.dup = pick(random, 0.02, 0.2)
	s.cut = pick(random, 0.005, 0.05)
	s.delay = pick(random, 0, time.Millisecond, 20*time.Millisecond, 150*time.Millisecond)
	s.jitter = pick(random, time.Millisecond, 30*time.Millisecond, 700*time.Millisecond)
	s.sticky = random.IntN(2) == 0
	s.late = pick(random, 3*time.Millisecond, 60*time.Millisecond)
	s.talk = pick(random, time.Second, 20*time.Second, 2*time.Minute)
	s.ok = pick(random, 0.1, 0.5, 0.9)
	s.many = pick(random, 20, 60, 60, 150, 400)
	s.over = pick(random, 5*time.Second, time.Minute, 4*time.Minute)
	s.cps = pick(random, 1, 5, 50)
	s.drawFailover()
	s.drawCatalog()
	s.drawStorms()
	s.drawOrders()
	return s
}

func (s *simSettings) has(f simFeature) bool { return s.on&f != 0 }

// lossless seeds are those in which everything that is sent arrives whole.
func (s *simSettings) lossless() bool { return s.on&(simLoss|simStorms|simCut) == 0 }

// single seeds have one node that lives all the time: nothing of design D3
// excuses anything.
func (s *simSettings) single() bool { return s.on&(simTwoNodes|simRestart) == 0 }

// drawFailover draws from the ranges that config allows.
func (s *simSettings) drawFailover() {
	f, random := catalog.DefaultFailover(), s.random
	if random.IntN(3) > 0 {
		f.FirstResponse = pick(random, 100*time.Millisecond, 500*time.Millisecond, time.Second, 5*time.Second, 31*time.Second)
		f.Progress = f.FirstResponse + pick(random, 0, time.Second, 10*time.Second, 100*time.Second)
		f.TimerC = pick(random, 181*time.Second, 240*time.Second)
		f.MaxRing = pick(random, 5*time.Second, time.Minute, 200*time.Second, 30*time.Minute)
		f.MaxAttempts = 1 + random.IntN(catalog.MaxAttempts)
		f.AfterRinging = random.IntN(2) == 0
		f.ExhaustedCode = pick(random, 0, 0, 503, 480, 500, 408)
		f.Codes = pick(random, f.Codes, catalog.NewCodes(503), catalog.NewCodes(404, 408, 480, 486, 500, 503), catalog.NewCodes())
	}
	noAnswer := pick(random, time.Second, 7*time.Second, 40*time.Second)
	budget := pick(random, 500*time.Millisecond, 3*time.Second, 15*time.Second)
	if s.has(simNoAnswer) {
		f.NoAnswer = noAnswer
	}
	if s.has(simBudget) {
		f.SetupBudget = budget
	}
	s.failover = f
}

const (
	simGroupNumber = "+15550000001"
	simOwnNumber   = "+15550009999" // of the first connector
)

func (s *simSettings) drawCatalog() {
	random := s.random
	c := &catalog.Catalog{Groups: []catalog.Group{{
		Name: "group", Numbers: []catalog.Numbers{{Kind: catalog.Exact, First: simGroupNumber}},
	}}}
	for i := range 1 + random.IntN(5) {
		con := catalog.Connector{Name: fmt.Sprint("c", i), Region: fmt.Sprint("r", random.IntN(3))}
		for j := range 1 + random.IntN(4) {
			con.Hosts = append(con.Hosts, hostN(i+1, j+1, 1+random.IntN(2), 1+random.IntN(3)))
		}
		part := catalog.FailoverPart{Set: catalog.FieldFirstResponse | catalog.FieldProgress}
		part.Values.FirstResponse = pick(random, 200*time.Millisecond, 3*time.Second)
		part.Values.Progress = part.Values.FirstResponse + pick(random, 0, 5*time.Second)
		if random.IntN(2) == 0 && s.has(simOwn) {
			con.Failover = part
		}
		c.Connectors = append(c.Connectors, con)
		priority := i + 1
		if random.IntN(4) == 0 {
			priority = 1
		}
		c.Groups[0].Connectors = append(c.Groups[0].Connectors, catalog.Member{Connector: con.Name, Priority: priority})
	}
	c.Connectors[0].Numbers = []catalog.Numbers{{Kind: catalog.Exact, First: simOwnNumber}}
	s.catalog = c
	s.second = s.another()
}

// another is the catalog with priorities the other way round, one connector
// that takes no new calls, the last one gone and another in its place.
func (s *simSettings) another() *catalog.Catalog {
	c := &catalog.Catalog{Connectors: slices.Clone(s.catalog.Connectors), Groups: slices.Clone(s.catalog.Groups)}
	last := len(c.Connectors) - 1
	if last > 0 {
		c.Connectors = c.Connectors[:last]
	}
	if last > 1 {
		c.Connectors[1].State = catalog.Draining
	}
	c.Connectors = append(c.Connectors, connectorOf("new", "r0", hostN(9, 1, 1, 1), hostN(9, 2, 1, 1)))
	c.Groups[0].Connectors = nil
	for i := range c.Connectors {
		c.Groups[0].Connectors = append(c.Groups[0].Connectors, catalog.Member{Connector: c.Connectors[i].Name, Priority: len(c.Connectors) - i})
	}
	return c
}

// simStorm is a time in which the network is bad.
type simStorm struct {
	from, to int64
	loss     float64
	delay    time.Duration
}

func (s *simSettings) drawStorms() {
	for range 1 + s.random.IntN(4) {
		from := simStart + s.random.Int64N(int64(s.over)+1)
		storm := simStorm{from, from + int64(pick(s.random, 300*time.Millisecond, 3*time.Second, 20*time.Second)), pick(s.random, 0.3, 0.9), pick(s.random, 0, 3*time.Second)}
		if s.has(simStorms) {
			s.storms = append(s.storms, storm)
		}
	}
}

// policy is the configuration of the nodes.
func (s *simSettings) policy(changed bool) Policy {
	p := Policy{
		Catalog:  s.catalog,
		Trunks:   []Trunk{{Name: "carrier", Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}},
		Failover: s.failover,
		Health:   catalog.DefaultHealth(),
	}
	if changed {
		p.Catalog = s.second
	}
	if s.has(simRate) {
		p.Trunks[0].MaxCPS, p.Trunks[0].Burst = s.cps, 3
	}
	p.Health.Probe = s.has(simProbes)
	return p
}

// attempts are the settings of attempts at hosts of con.
func (s *simSettings) attempts(con *catalog.Connector) catalog.Failover {
	return s.failover.With(con.Failover, catalog.OfAnAttempt)
}

// String is what has to be known of a failing seed.
func (s *simSettings) String() string {
	f := s.failover
	var b strings.Builder
	fmt.Fprintf(&b, "with %v; %d calls in %v; loss %v dup %v cut %v delay %v+%v late %v cps %d\n", s.on, s.many, s.over, s.loss, s.dup, s.cut, s.delay, s.jitter, s.late, s.cps)
	for _, field := range catalog.FailoverFields {
		fmt.Fprintf(&b, "%s %s; ", field.Key(), f.Text(field))
	}
	for i := range s.catalog.Connectors {
		con := &s.catalog.Connectors[i]
		fmt.Fprintf(&b, "\n%s (%s, priority %d):", con.Name, con.Region, s.catalog.Groups[0].Connectors[i].Priority)
		for _, h := range con.Hosts {
			fmt.Fprintf(&b, " %s/%d/%d", h.HostPort, h.Priority, h.Weight)
		}
		if con.Failover.Set != 0 {
			fmt.Fprintf(&b, " first_response %v progress %v", con.Failover.Values.FirstResponse, con.Failover.Values.Progress)
		}
	}
	return b.String()
}

// pick draws one of several values.
func pick[T any](random *rand.Rand, values ...T) T { return values[random.IntN(len(values))] }
