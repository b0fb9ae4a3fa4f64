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
	st := newStripe(0)
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

func TestStoreUsesBuffersAgain(t *testing.T) {
	st := newStripe(0)
	var a, b []byte
	st.store(&a, make([]byte, 900))
	require.Equal(t, 1024, cap(a))
	first := &a[0]
	st.store(&a, []byte("shorter"))
	require.Same(t, first, &a[0], "what is there is large enough")
	require.Equal(t, "shorter", string(a))
	st.release(&a)
	require.Nil(t, a)
	st.store(&b, make([]byte, 513))
	require.Same(t, first, &b[0], "of the same size class")
	st.store(&a, make([]byte, 1000))
	require.NotSame(t, first, &a[0], "in use")
	st.store(&b, make([]byte, 5000))
	require.Equal(t, 8192, cap(b))
	st.store(&a, make([]byte, 512))
	st.release(&a)
	st.store(&a, make([]byte, 1))
	require.NotSame(t, first, &a[0], "large ones are not spent on small things")
	require.Equal(t, 512, cap(a))
}

func TestStoreOfEverySize(t *testing.T) {
	st := newStripe(0)
	for _, n := range []int{0, 1, 511, 512, 513, 1024, 1025, 65535, 65536, 65537, 200000} {
		var b []byte
		st.store(&b, make([]byte, n))
		require.Len(t, b, n)
		st.release(&b)
		require.Nil(t, b)
	}
	for class, free := range st.buffers {
		for _, b := range free {
			require.GreaterOrEqual(t, cap(b), 1<<(class+smallestBuffer))
		}
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
			memory += len(st.spares)
			for _, free := range st.buffers {
				memory += len(free)
			}
			for c := st.idle; c != nil; c = c.next {
				memory++
				require.Equal(t, call{next: c.next}, *c)
			}
			for _, more := range st.spares {
				require.Equal(t, [moreAttempts]attempt{}, *more)
			}
		}
		return memory
	}
	first := wave("a")
	require.Equal(t, first, wave("a"), "the same calls again")
}
