package router

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestStripeAgainstMap adds, finds and removes calls at random, beside a map.
func TestStripeAgainstMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	st := newStripe(0, maxCalls)
	model := map[uint64]*call{}
	keys := make([]uint64, 3000)
	for i := range keys {
		keys[i] = random.Uint64()
		if i%3 == 0 {
			keys[i] = uint64(i%7) + uint64(i)<<40 // they share their place for a long time
		}
	}
	for range 50000 {
		key := keys[random.IntN(len(keys))]
		c := model[key]
		require.Same(t, c, st.find(key))
		if c == nil {
			c = st.add(key)
			require.Equal(t, call{key: key, next: c.next, deadline: never, resendAt: never, tryingAt: never, endAt: never}, *c, "as new")
			st.store(&c.raw, []byte("raw"))
			model[key] = c
		} else if random.IntN(3) > 0 {
			st.wheel.set(c, int64(time.Second), 0)
			st.remove(c)
			delete(model, key)
		}
		require.Equal(t, len(model), st.count)
	}
	for key, c := range model {
		require.Equal(t, key, c.key)
		st.remove(c)
	}
	require.Zero(t, st.count)
	require.Zero(t, st.wheel.count)
	for _, head := range st.heads {
		require.Nil(t, head)
	}
}

// TestMemoryOfCallsComesBack: what many calls at once took is used again by
// the next ones, and nothing holds on to hosts.
func TestMemoryOfCallsComesBack(t *testing.T) {
	g := newRig(t, threeHosts())
	wave := func(name string) (memory int) {
		for i := range 500 {
			id := fmt.Sprintf("%s-%d", name, i)
			all := g.from(caller, invite("Call-ID: "+id))
			for len(all) > 0 && all[len(all)-1].to != caller {
				inv := all[len(all)-1]
				all = g.from(inv.to, respond(inv, 503))
			}
			g.from(caller, request("ACK", dialled, "Call-ID: "+id))
		}
		require.Equal(t, 500, g.r.Live())
		g.pass(33 * time.Second)
		require.Zero(t, g.r.Live())
		for _, st := range g.r.stripes {
			require.Zero(t, st.count)
			require.Zero(t, st.wheel.count)
			memory += len(st.spares.free) + len(st.idle.free)
			for _, s := range st.buffers.shelves {
				memory += len(s.free)
			}
			for _, c := range st.idle.free {
				require.Equal(t, call{}, *c)
			}
			for _, more := range st.spares.free {
				require.Equal(t, [moreAttempts]attempt{}, *more)
			}
		}
		return memory
	}
	first := wave("a")
	require.Equal(t, first, wave("a"), "the same calls again")
}
