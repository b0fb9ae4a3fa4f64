package router

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/config/number"
	"tandem/router/transport"
)

func key(text string) number.Key {
	k, ok := number.Parse([]byte(text))
	if !ok || k <= number.Plus {
		panic("no number: " + text)
	}
	return k
}

// twoGroups is group support, at connector east, which has +15550000001 to
// +15550000999, and group sales, at west, which has +1666*.
func twoGroups() Policy {
	p := twoRegions()
	p.Catalog.Groups = []catalog.Group{
		{
			Name: "support", Connectors: []catalog.Member{{Connector: "east", Priority: 1}},
			Numbers: []catalog.Numbers{
				{First: "+15550000001"}, {First: "+15550000002"}, {First: "+15550000003"},
				{Kind: catalog.Range, First: "+15550000100", Last: "+15550000999"},
			},
		},
		{
			Name: "sales", Connectors: []catalog.Member{{Connector: "west", Priority: 1}},
			Numbers: []catalog.Numbers{{Kind: catalog.Prefix, First: "+1666"}},
		},
	}
	return p
}

var (
	support = Owner{Group: "support"}
	sales   = Owner{Group: "sales"}
)

// leads returns where a new call to a number goes, or what it is answered.
func (g *rig) leads(number string) string {
	g.t.Helper()
	id := fmt.Sprint(rand.Uint64())
	text := request("INVITE", "sip:"+number+"@198.51.100.1", "Call-ID: "+id, "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK"+id)
	all := summary(g.from(caller, text))
	require.NotEmpty(g.t, all)
	return strings.TrimSuffix(all[len(all)-1], " INVITE")
}

func TestAssignIsSeenByTheNextInvite(t *testing.T) {
	g := newRig(t, twoGroups())
	ringing := g.call()

	require.NoError(t, g.r.Assign(g.now, sales, key("+15550000001"), key("+15550000150"), key("+1777")))
	require.Equal(t, "west1", g.leads("+15550000001"))
	require.Equal(t, "west1", g.leads("+15550000150"), "out of a range of another's")
	require.Equal(t, "east1", g.leads("+15550000151"))
	require.Equal(t, "west1", g.leads("+1777"), "a number that nobody had")

	require.Equal(t, []string{"caller 200 INVITE"}, summary(g.from(east1, respond(ringing, 200))), "a call under way goes on")

	require.Equal(t, 2, g.r.Release(key("+15550000150"), key("+1777"), key("+15550000199")))
	require.Equal(t, "east1", g.leads("+15550000150"), "back in its range")
	require.Equal(t, "caller 404", g.leads("+1777"))

	moved, err := g.r.Move(g.now, key("+15550000001"), key("+15550000003"), support, sales)
	require.NoError(t, err)
	require.Equal(t, 2, moved, "the first one is there already")
	for _, n := range []string{"+15550000001", "+15550000002", "+15550000003"} {
		require.Equal(t, "west1", g.leads(n))
		ex, err := g.r.Explain(n, "", g.now)
		require.NoError(t, err)
		require.Equal(t, "sales", ex.Group, "explain looks where calls do")
	}
}

func TestAssignRefuses(t *testing.T) {
	g := newRig(t, twoGroups())
	require.EqualError(t, g.r.Assign(g.now, Owner{Group: "help"}, key("+1777")), `there is no group "help"`)
	require.EqualError(t, g.r.Assign(g.now, Owner{Connector: "north"}, key("+1777")), `there is no connector "north"`)
	_, err := g.r.Move(g.now, key("+15550000001"), key("+15550000003"), support, Owner{Group: "help"})
	require.EqualError(t, err, `there is no group "help"`)
	require.Error(t, g.r.Assign(g.now, sales, key("+15550000001"), number.Plus), "not a number")
	require.Equal(t, "east1", g.leads("+15550000001"), "nothing of it was done")
	require.Equal(t, "caller 404", g.leads("+1777"))
}

// A connector that had no numbers of its own gets a route with its first one.
func TestAssignToAConnector(t *testing.T) {
	g := newRig(t, twoRegions())
	require.NoError(t, g.r.Assign(g.now, Owner{Connector: "west"}, key("+1777")))
	require.Equal(t, "west1", g.leads("+1777"))
	require.Equal(t, "east1", g.leads("+15550000001"))
	ex, err := g.r.Explain("+1777", "", g.now)
	require.NoError(t, err)
	require.Equal(t, []string{"west", "east"}, []string{ex.Steps[0].Connector, ex.Steps[1].Connector}, "then the rest of its group")
}

func TestKeepNumbers(t *testing.T) {
	g := newRig(t, twoGroups())
	require.NoError(t, g.r.Assign(g.now, sales, key("+15550000001")))

	ranked := twoGroups()
	ranked.KeepNumbers = true
	for i := range ranked.Catalog.Groups {
		ranked.Catalog.Groups[i].Numbers = nil
	}
	ranked.Catalog.Groups[0].Connectors[0].Connector = "west"
	ranked.Catalog.Groups[1].Connectors[0].Connector = "east"
	require.NoError(t, g.r.SetPolicy(g.now, ranked))
	require.Equal(t, "east1", g.leads("+15550000001"))
	require.Equal(t, "west1", g.leads("+15550000002"))
	require.Equal(t, "east1", g.leads("+1666"))

	gone := twoGroups()
	gone.KeepNumbers, gone.Catalog.Groups = true, gone.Catalog.Groups[1:]
	require.NoError(t, g.r.SetPolicy(g.now, gone))
	require.Equal(t, "caller 404", g.leads("+15550000002"), "its owner has gone")
	ex, err := g.r.Explain("+15550000002", "", g.now)
	require.NoError(t, err)
	require.Empty(t, ex.Group)
	require.Equal(t, "west1", g.leads("+15550000001"))
	require.EqualError(t, g.r.Assign(g.now, support, key("+1777")), `there is no group "support"`)

	back := twoGroups()
	back.KeepNumbers = true
	require.NoError(t, g.r.SetPolicy(g.now, back))
	require.Equal(t, "east1", g.leads("+15550000002"))
	require.Equal(t, "west1", g.leads("+15550000001"))

	require.NoError(t, g.r.SetPolicy(g.now, twoGroups()))
	require.Equal(t, "east1", g.leads("+15550000001"), "a policy that is to bring its numbers brings them")
}

// A change of settings alone does not build ten million numbers anew.
func TestSamePolicyKeepsItsNumbers(t *testing.T) {
	g := newRig(t, twoGroups())
	before := g.r.plan.Load().numbers
	swapped := twoGroups()
	swapped.Catalog.Groups[0].Connectors[0].Connector = "west"
	slices.Reverse(swapped.Catalog.Groups)
	require.NoError(t, g.r.SetPolicy(g.now, swapped))
	require.Same(t, before, g.r.plan.Load().numbers)
	require.Equal(t, "west1", g.leads("+15550000001"))

	other := twoGroups()
	other.Catalog.Groups[1].Numbers[0].First = "+1667"
	require.NoError(t, g.r.SetPolicy(g.now, other))
	require.NotSame(t, before, g.r.plan.Load().numbers)
	require.Equal(t, "caller 404", g.leads("+1666"))
	require.Equal(t, "west1", g.leads("+1667"))
}

// A batch that began before a group came finds its numbers nevertheless, and so
// it does when trunks have changed too.
func TestBatchMeetsAnOwnerYoungerThanItself(t *testing.T) {
	g := newRig(t, twoGroups())
	s := g.r.acquire(g.now, &g.out)
	defer g.r.release(s)
	s.source = caller

	p := twoGroups()
	p.KeepNumbers = true
	p.Catalog.Groups = append(p.Catalog.Groups, catalog.Group{Name: "help", Connectors: []catalog.Member{{Connector: "west", Priority: 1}}})
	p.Trunks[0].Failover = catalog.FailoverPart{Set: catalog.FieldMaxAttempts, Values: catalog.Failover{MaxAttempts: 1}}
	require.NoError(t, g.r.SetPolicy(g.now, p))
	require.NoError(t, g.r.Assign(g.now, Owner{Group: "help"}, key("+15550000001")))
	g.r.handle(s, []byte(invite()))
	require.Equal(t, []string{"caller 100 INVITE", "west1 INVITE"}, summary(g.taken()))

	old := g.r.acquire(g.now, &g.out)
	defer g.r.release(old)
	old.source = caller
	p.Catalog = &catalog.Catalog{Connectors: p.Catalog.Connectors, Groups: append(p.Catalog.Groups[:0:0], p.Catalog.Groups...)}
	p.Catalog.Groups[2].Name = "aid"
	p.Trunks = []Trunk{{Name: "other", Sources: p.Trunks[0].Sources, Refused: true}}
	require.NoError(t, g.r.SetPolicy(g.now, p))
	require.NoError(t, g.r.Assign(g.now, Owner{Group: "aid"}, key("+15550000002")))
	g.r.handle(old, []byte(request("INVITE", "sip:+15550000002@198.51.100.1", "Call-ID: 2")))
	require.Equal(t, []string{"caller 403 INVITE"}, summary(g.taken()), "the source is no trunk's any more")
}

// Calls come in while numbers move, owners come and go, and whole policies are
// swapped. Every call goes to an owner that its number had at some moment while
// it was looked up, and none is without one.
func TestCallsWhileNumbersChange(t *testing.T) {
	const (
		count   = 200 // numbers
		groups  = 4
		readers = 3
		changes = 4000
	)
	hosts := make(map[string]int)
	for i := range groups {
		hosts[fmt.Sprintf("203.0.113.%d:5060", 20+i)] = i
	}
	catalogOf := func(owners []int) *catalog.Catalog {
		c := new(catalog.Catalog)
		for i := range groups {
			at := addr(fmt.Sprintf("203.0.113.%d:5060", 20+i))
			name := fmt.Sprint("g", i)
			c.Connectors = append(c.Connectors, catalog.Connector{Name: name, Region: name, Hosts: []catalog.Host{hostAt(at)}})
			g := catalog.Group{Name: name, Connectors: []catalog.Member{{Connector: name, Priority: 1}}}
			for n, owner := range owners {
				if owner == i {
					g.Numbers = append(g.Numbers, catalog.Numbers{First: fmt.Sprintf("+1555%07d", n)})
				}
			}
			c.Groups = append(c.Groups, g)
		}
		return c
	}
	owners := make([]int, count)
	p := twoRegions()
	p.Catalog = catalogOf(owners)
	g := newRig(t, p)

	// What a number's owner was and is: a writer adds before it changes the
	// router, and counts the change after.
	type history struct {
		mu     sync.Mutex
		owners []int
		done   atomic.Int64
	}
	histories := make([]history, count)
	for n := range histories {
		histories[n].owners = []int{0}
	}
	begin := func(n, owner int) {
		h := &histories[n]
		h.mu.Lock()
		h.owners = append(h.owners, owner)
		h.mu.Unlock()
	}
	var stop atomic.Bool
	var calls atomic.Int64
	var wg sync.WaitGroup
	for reader := range readers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(7, uint64(reader)))
			var out transport.Batch
			for i := 0; !stop.Load(); i++ {
				n := rnd.IntN(count)
				h := &histories[n]
				from := h.done.Load()
				id := fmt.Sprintf("%d-%d", reader, i)
				text := request("INVITE", fmt.Sprintf("sip:+1555%07d@198.51.100.1", n), "Call-ID: "+id,
					"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK"+id)
				g.r.Packets(g.now, []transport.Packet{{Data: []byte(text), Source: caller}}, &out)
				h.mu.Lock()
				possible := slices.Clone(h.owners[from:])
				h.mu.Unlock()
				_, to, data := out.At(out.Len() - 1)
				if owner, ok := hosts[to.String()]; !ok || !slices.Contains(possible, owner) {
					t.Errorf("number %d went to %s (%s), its owners were %v", n, to, startLine(string(data)), possible)
					stop.Store(true)
				}
				out.Reset()
				calls.Add(1)
			}
		})
	}
	rnd := rand.New(rand.NewPCG(8, 9))
	change := func(n, owner int) {
		begin(n, owner)
		owners[n] = owner
	}
	done := func(n int) { histories[n].done.Add(1) }
	for i := 0; i < changes && !stop.Load(); i++ {
		runtime.Gosched()
		switch rnd.IntN(40) {
		case 0: // a whole policy
			for n := range owners {
				change(n, rnd.IntN(groups))
			}
			p.Catalog, p.KeepNumbers = catalogOf(owners), false
			require.NoError(t, g.r.SetPolicy(g.now, p))
			for n := range owners {
				done(n)
			}
		case 1: // settings
			p.Catalog, p.KeepNumbers = catalogOf(nil), true
			require.NoError(t, g.r.SetPolicy(g.now, p))
		case 2, 3, 4: // a block
			first, from, to := rnd.IntN(count/2), rnd.IntN(groups), rnd.IntN(groups)
			var block []int
			for n := first; n < first+count/2; n++ {
				if owners[n] == from {
					block = append(block, n)
					change(n, to)
				}
			}
			moved, err := g.r.Move(g.now, key(fmt.Sprintf("+1555%07d", first)), key(fmt.Sprintf("+1555%07d", first+count/2-1)),
				Owner{Group: fmt.Sprint("g", from)}, Owner{Group: fmt.Sprint("g", to)})
			require.NoError(t, err)
			require.Len(t, block, moved)
			for _, n := range block {
				done(n)
			}
		default:
			n, owner := rnd.IntN(count), rnd.IntN(groups)
			change(n, owner)
			require.NoError(t, g.r.Assign(g.now, Owner{Group: fmt.Sprint("g", owner)}, key(fmt.Sprintf("+1555%07d", n))))
			done(n)
		}
		if i%200 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	stop.Store(true)
	wg.Wait()
	require.Greater(t, calls.Load(), int64(100))
	t.Log(calls.Load(), "calls")
}

// owned is Numbers of a list.
type owned []Owned

func (o owned) Count() int { return len(o) }

func (o owned) All() iter.Seq2[Owned, error] {
	return func(yield func(Owned, error) bool) {
		for _, one := range o {
			if !yield(one, nil) {
				return
			}
		}
	}
}

func entryOf(text string) catalog.Entry {
	e, err := catalog.ParseEntry([]byte(text))
	if err != nil {
		panic(err)
	}
	return e
}

// storedGroups is twoGroups with IDs, and with the numbers given, not its own.
func storedGroups(all ...Owned) Policy {
	p := twoGroups()
	for i := range p.Catalog.Groups {
		g := &p.Catalog.Groups[i]
		g.Numbers, g.ID = nil, "id-"+g.Name
	}
	p.Numbers = owned(all)
	return p
}

func TestNumbersFromElsewhere(t *testing.T) {
	support, sales := Owner{Group: "id-support"}, Owner{Group: "id-sales"}
	all := []Owned{
		{entryOf("+15550000001"), support}, {entryOf("+15550000002"), Owner{}}, {entryOf("+15550000100-+15550000199"), support},
		{entryOf("+15550000150-+15550000159"), Owner{}}, {entryOf("+1666*"), sales}, {entryOf("+1555*"), sales},
	}
	g := newRig(t, storedGroups(all[:3]...))
	require.Equal(t, "east1", g.leads("+15550000001"))
	require.Equal(t, "caller 404", g.leads("+15550000002"), "nobody's")
	require.Equal(t, "east1", g.leads("+15550000100"))
	require.Equal(t, "caller 404", g.leads("+16661"))

	require.NoError(t, g.r.SetSpans(g.now, []Owned{all[2], all[4], all[5]}))
	require.Equal(t, "east1", g.leads("+15550000100"))
	require.Equal(t, "west1", g.leads("+16661"))
	require.Equal(t, "west1", g.leads("+15550000003"))
	require.Equal(t, "caller 404", g.leads("+15550000002"), "nobody's, though a prefix holds it")
	require.Error(t, g.r.SetSpans(g.now, []Owned{all[2], all[3]}), "they overlap")
	require.Error(t, g.r.SetSpans(g.now, []Owned{all[0]}), "a number")
	require.ErrorContains(t, g.r.SetSpans(g.now, []Owned{{entryOf("+1777*"), Owner{Group: "help"}}}), `there is no group "help"`)
	require.Equal(t, "west1", g.leads("+16661"), "nothing of it was done")
	require.NoError(t, g.r.SetSpans(g.now, []Owned{all[3], all[5]}))
	require.Equal(t, "caller 404", g.leads("+15550000155"), "nobody's range in a prefix")
	require.Equal(t, "west1", g.leads("+15550000160"))

	require.NoError(t, g.r.Assign(g.now, Owner{}, key("+15550000001")))
	require.Equal(t, "caller 404", g.leads("+15550000001"))
	require.NoError(t, g.r.Assign(g.now, support, key("+15550000001")))
	require.Equal(t, "east1", g.leads("+15550000001"))
}

// What has an ID keeps its numbers when its name changes.
func TestRenamedGroupKeepsItsNumbers(t *testing.T) {
	support := Owner{Group: "id-support"}
	g := newRig(t, storedGroups(Owned{entryOf("+15550000001"), support}, Owned{entryOf("+1555*"), support}))
	ringing := g.call()
	p := storedGroups()
	p.KeepNumbers = true
	p.Catalog.Groups[0].Name = "help"
	require.NoError(t, g.r.SetPolicy(g.now, p))
	require.Equal(t, "east1", g.leads("+15550000001"))
	require.Equal(t, "east1", g.leads("+15559"))
	ex, err := g.r.Explain("+15550000001", "", g.now)
	require.NoError(t, err)
	require.Equal(t, "help", ex.Group)
	require.Equal(t, []string{"caller 200 INVITE"}, summary(g.from(east1, respond(ringing, 200))), "a call under way goes on")
}
