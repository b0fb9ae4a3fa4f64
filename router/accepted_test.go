package router

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/router/transport"
)

// TestAcceptancesAgainstSlice adds, finds and ends calls at random, beside a slice,
// where their numbers begin anew at 0 too.
func TestAcceptancesAgainstSlice(t *testing.T) {
	for _, first := range []uint32{0, math.MaxUint32 - 500} {
		random := rand.New(rand.NewPCG(1, uint64(first)))
		q := acceptances{first: first}
		var model []accepted
		now := int64(0)
		for key := range uint64(20000) {
			if key%3 == 0 {
				key <<= 32 // they share their chain for a long time
			}
			e := accepted{key: key, endAt: now + timerB}
			q.add(e)
			model = append(model, e)
			now += random.Int64N(timerB / 100)
			if key%5000 == 4999 {
				now += timerB / 2
			}
			q.end(now)
			for len(model) > 0 && model[0].endAt <= now {
				require.Nil(t, q.find(model[0].key))
				model = model[1:]
			}
			require.EqualValues(t, len(model), q.count)
			if key%7 == 0 {
				q.trim()
			}
			for range min(len(model), 5) {
				want := model[random.IntN(len(model))]
				got := q.find(want.key)
				require.NotNil(t, got)
				require.Equal(t, want.endAt, got.endAt)
			}
			require.Nil(t, q.find(1<<62))
		}
		require.LessOrEqual(t, len(q.slots), 2048)
		q.end(never)
		for q.trim() > 0 {
		}
		require.Len(t, q.slots, 16)
		require.Equal(t, never, q.next())
	}
}

// The collector must have nothing to look for in those that wait for their end.
func TestAcceptedHasNoPointers(t *testing.T) {
	var hasNone func(reflect.Type) bool
	hasNone = func(typ reflect.Type) bool {
		switch typ.Kind() {
		case reflect.Struct:
			return !slices.ContainsFunc(reflect.VisibleFields(typ), func(f reflect.StructField) bool { return !hasNone(f.Type) })
		case reflect.Array:
			return hasNone(typ.Elem())
		}
		return typ.Kind() <= reflect.Complex128
	}
	require.True(t, hasNone(reflect.TypeFor[accepted]()))
	require.LessOrEqual(t, acceptedBytes, 64)
}

// left is how many calls are kept whole.
func (g *rig) left() (whole int) {
	for _, st := range g.r.stripes {
		whole += st.count
	}
	return whole
}

func TestRFC6026_7_1_WhatComesToAnAcceptedCall(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(east1, respond(inv, 180))
	ok := g.from(east1, respond(inv, 200))
	sends(t, ok, "caller 200 INVITE")
	require.Zero(t, g.left())
	require.Equal(t, 1, g.r.Live())

	own := header(sends(t, g.from(caller, cancelText()), "caller 200 CANCEL")[0].text, "To")[0]
	require.Empty(t, g.from(caller, request("ACK", dialled, "To: "+own)), "of a refusal before the call was let in")
	sends(t, g.from(addr("192.0.2.66:5060"), cancelText()), "192.0.2.66:5060 481 CANCEL")
	require.Equal(t, ok, g.from(east1, respond(inv, 200)), "to where the first one went")
	for _, status := range []int{100, 180, 486} {
		require.Empty(t, g.from(east1, respond(inv, status)))
	}
	require.Empty(t, g.from(east1, strings.Replace(respond(inv, 200), "1 INVITE", "1 BYE", 1)))
	sends(t, g.from(caller, request("ACK", dialled, "To: <sip:x@y>;tag=calleetag")), "east1 ACK")
	require.Empty(t, g.unreachable(inv, transport.NoPort), "it did arrive")
	require.Empty(t, g.pass(40*time.Second))
	require.Zero(t, g.r.Live())
}

// The answer came while our CANCEL was on its way: what is said to that is to nobody.
func TestRFC3261_9_1_CancelThatCameTooLate(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(east1, respond(inv, 180))
	cancel := g.from(caller, cancelText())[1]
	sends(t, g.from(east1, respond(inv, 200)), "caller 200 INVITE")
	require.Zero(t, g.left())
	drops := g.dropped(dropLate)
	require.Empty(t, g.from(east1, respond(cancel, 200)))
	require.Empty(t, g.from(east1, respond(cancel, 481)))
	require.Equal(t, drops, g.dropped(dropLate), "it is not one that nobody waits for")
}

// A host that was taken out of the catalog since has the ACK of its answer all the same.
func TestAckOfAnAcceptedCallOfAHostThatIsGone(t *testing.T) {
	g := newRig(t, twoRegions())
	inv := g.call()
	g.from(east1, respond(inv, 200))
	p := twoRegions()
	p.Catalog.Connectors = p.Catalog.Connectors[1:]
	p.Catalog.Groups[0].Connectors = p.Catalog.Groups[0].Connectors[1:]
	require.NoError(t, g.r.SetPolicy(g.now, p))
	ack := request("ACK", dialled, "To: <sip:x@y>;tag=calleetag")
	sends(t, g.from(caller, ack), "east1 ACK")
	g.now += tokenLifeDays * day // the timers did not run
	require.NoError(t, g.r.SetPolicy(g.now, p))
	require.Empty(t, g.from(caller, ack))
}

// What an accepted call has no room for stays whole: the zone of a link.
func TestCallOfALinkStaysWhole(t *testing.T) {
	p := twoRegions()
	p.Trunks[0].Sources = append(p.Trunks[0].Sources, netip.MustParsePrefix("fe80::/10"))
	g := newRig(t, p, withIPv6)
	source := addr("[fe80::10%eth0]:41000")
	inv := g.over(2, source, invite())[1]
	for range 2 {
		all := g.over(0, east1, respond(sent{text: inv.text}, 200))
		require.Len(t, all, 1)
		require.Equal(t, []any{2, addr("[fe80::10%eth0]:5060")}, []any{all[0].listener, all[0].to})
		require.Equal(t, 1, g.left())
		require.Empty(t, g.over(2, source, invite()))
	}
	g.pass(33 * time.Second)
	require.Zero(t, g.r.Live())
}

// A 2xx that comes again leaves from where the first one did: the address of a
// wildcard listener that the INVITE was sent to.
func TestAcceptedCallOfAWildcardListener(t *testing.T) {
	asked := addr("198.51.100.7:5060").Addr()
	g := newRig(t, twoRegions(), func(o *Options) {
		o.Listeners = []Listener{{Addr: addr("0.0.0.0:5060"), Advertise: "198.51.100.1:5060"}}
		o.Addresses = append(o.Addresses, addr("198.51.100.1:5060").Addr())
	})
	g.r.Packets(g.now, packetsTo(asked, caller.String(), invite()), &g.out)
	inv := g.taken()[1]
	for range 2 {
		g.r.Packets(g.now, packetsTo(addr("198.51.100.1:1").Addr(), east1.String(), respond(inv, 200)), &g.out)
		require.Equal(t, 1, g.out.Len())
		require.Equal(t, asked, g.out.Local(0))
		require.Zero(t, g.left())
		g.taken()
	}
}

// A flood of answered calls fills a stripe too, with eight times as many.
func TestAcceptedCallsCountForLess(t *testing.T) {
	const most = 2
	g := newRig(t, twoRegions(), func(o *Options) { o.MostCalls = most * stripes })
	answered := 0
	for i := range most * stripes * acceptedWeight * 3 {
		all := g.from(caller, invite(fmt.Sprint("Call-ID: flood-", i)))
		if len(all) == 2 {
			sends(t, g.from(all[1].to, respond(all[1], 200)), "caller 200 INVITE")
			answered++
		}
	}
	require.Greater(t, answered, most*stripes*acceptedWeight*9/10)
	require.LessOrEqual(t, answered, most*stripes*acceptedWeight)
	g.pass(34 * time.Second)
	require.Zero(t, g.r.Live())
	sends(t, g.from(caller, invite()), "caller 100 INVITE", "east1 INVITE")
}

func TestAcceptedCallGoesWhereItsAnswerWent(t *testing.T) {
	source := addr("192.0.2.10:41000")
	for _, text := range []string{invite(), strings.Replace(invite(), ";branch", ";rport;branch", 1)} {
		g := newRig(t, twoRegions())
		inv := g.from(source, text)[1]
		first := g.from(east1, respond(inv, 200))
		require.Len(t, first, 1)
		require.Zero(t, g.left())
		require.Equal(t, first, g.from(east1, respond(inv, 200)))
	}
}

func TestAcceptedCallBetweenTransports(t *testing.T) {
	g := newMixedRig(t, hostOver(catalog.UDP))
	inv := g.over(overTCP, connection, invite(viaOver("TCP")))[1]
	for range 2 {
		all := g.over(overUDP, east1, respond(sent{inv.to, inv.text}, 200))
		require.Len(t, all, 1)
		require.Equal(t, []any{overTCP, connection}, []any{all[0].listener, all[0].to})
		require.Zero(t, g.left())
	}
	all := g.over(overTCP, connection, request("ACK", dialled, viaOver("TCP"), "To: <sip:x@y>;tag=calleetag"))
	require.Len(t, all, 1)
	require.Equal(t, []any{overUDP, east1}, []any{all[0].listener, all[0].to})
}

// Of a machine with more addresses than have a place the one that was asked is not
// known by less than itself.
func TestCallOfAnAddressWithoutAPlaceStaysWhole(t *testing.T) {
	asked := addr("198.51.100.7:5060").Addr()
	g := newRig(t, twoRegions(), func(o *Options) {
		o.Listeners = []Listener{{Addr: addr("0.0.0.0:5060"), Advertise: "198.51.100.1:5060"}}
		o.Addresses = append(o.Addresses, addr("198.51.100.1:5060").Addr())
		for i := range 300 {
			o.Addresses = append(o.Addresses, addr(fmt.Sprintf("198.18.%d.%d:1", i/200, i%200+1)).Addr())
		}
	})
	g.r.Packets(g.now, packetsTo(asked, caller.String(), invite()), &g.out)
	inv := g.taken()[1]
	for range 2 {
		g.r.Packets(g.now, packetsTo(addr("198.51.100.1:1").Addr(), east1.String(), respond(inv, 200)), &g.out)
		require.Equal(t, 1, g.out.Len())
		require.Equal(t, asked, g.out.Local(0))
		require.Equal(t, 1, g.left())
		g.taken()
	}
}

// After a peak its memory comes back, and that calls end wakes nobody more than
// once a second.
func TestMemoryOfAcceptedCalls(t *testing.T) {
	g := newRig(t, twoRegions(), func(o *Options) { o.MostCalls = 1000 * stripes })
	const peak = 200 * stripes
	for i := range peak {
		all := g.from(caller, invite(fmt.Sprint("Call-ID: peak-", i)))
		g.from(all[1].to, respond(all[1], 200))
		g.now += 2 * second / peak
	}
	require.Zero(t, g.left())
	before := g.r.Usage()
	require.Equal(t, peak, before.Calls)
	require.InDelta(t, 200./acceptedWeight/1000, before.Used, 0.01)
	var out transport.Batch
	looks := 0
	for at := g.r.Tick(g.now, &out, nil); at != never; at = g.r.Tick(g.now, &out, nil) {
		g.now = at
		looks++
	}
	require.Zero(t, g.r.Live())
	require.LessOrEqual(t, looks, 12, "four seconds in which calls end, and what a wheel looks at besides")
	for g.r.Trim() > 0 {
	}
	require.Less(t, g.r.Usage().CallBytes, before.CallBytes/4)
}
