package transport

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// randomBatch is up to a part's worth of datagrams of few sizes to few peers.
func randomBatch(r *rand.Rand) *Batch {
	peers := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:5060"), netip.MustParseAddrPort("192.0.2.2:5060")}
	locals := []netip.Addr{{}, netip.MustParseAddr("192.0.2.9")}
	sizes := []int{0, 380, 400, 650, maxSegment, maxSegment + 1}
	b := new(Batch)
	for range 1 + r.IntN(sendBatch) {
		b.Flow(uint32(r.IntN(6)))
		b.SendFrom(0, locals[r.IntN(2)], peers[r.IntN(2)], append(b.Buf(), make([]byte, sizes[r.IntN(len(sizes))])...))
		if r.IntN(5) == 0 {
			b.Alone()
		}
	}
	return b
}

// members are the datagrams in the order in which they leave, and the run that
// each is in.
func (r *runs) members() (order, run []int) {
	for at := range r.count {
		i := r.all[at].first
		for range r.all[at].length {
			order, run = append(order, int(i)), append(run, at)
			i = r.next[i]
		}
	}
	return order, run
}

func TestRuns(t *testing.T) {
	together := 0
	for seed := range uint64(1000) {
		b := randomBatch(rand.New(rand.NewPCG(seed, 1)))
		whole := seed%10 == 0
		var r runs
		r.plan(b, 0, b.Len(), whole)
		order, run := r.members()
		require.Len(t, order, b.Len(), "seed %d", seed)

		place := make([]int, b.Len())
		for at, i := range order {
			place[i] = at
		}
		require.ElementsMatch(t, order, rangeOf(b.Len()), "seed %d", seed)
		for at, i := range order {
			first := &b.msgs[r.all[run[at]].first]
			m := &b.msgs[i]
			bytes := int(r.all[run[at]].length) * (m.end - m.start)
			if r.all[run[at]].length > 1 {
				together++
				require.False(t, whole || m.alone, "seed %d", seed)
				require.LessOrEqual(t, m.end-m.start, maxSegment)
				require.LessOrEqual(t, bytes, maxRun)
			}
			require.Equal(t, []any{first.dest, first.local, first.end - first.start}, []any{m.dest, m.local, m.end - m.start}, "seed %d", seed)
		}
		for i := range b.msgs {
			for j := range i {
				a, c := &b.msgs[j], &b.msgs[i]
				if a.dest == c.dest && (a.flow == c.flow || a.flow == 0 || c.flow == 0) {
					require.Less(t, place[j], place[i], "seed %d: datagram %d of flow %d passed %d of flow %d", seed, i, c.flow, j, a.flow)
				}
			}
		}
	}
	require.Greater(t, together, 300)
}

func rangeOf(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// Calls that come at once: what each sends to the caller is three datagrams,
// and leaves in three runs for all of them.
func TestRunsOfCallsAtOnce(t *testing.T) {
	const calls = 10
	caller := netip.MustParseAddrPort("192.0.2.1:5060")
	var b Batch
	for call := range uint32(calls) {
		b.Flow(call + 1)
		for _, size := range []int{380, 400, 650} {
			b.Send(0, caller, append(b.Buf(), make([]byte, size)...))
		}
	}
	var r runs
	r.plan(&b, 0, b.Len(), false)
	require.Equal(t, 3, r.count)
	for at := range r.count {
		require.EqualValues(t, calls, r.all[at].length)
	}
}

func BenchmarkRuns(b *testing.B) {
	batch := randomBatch(rand.New(rand.NewPCG(1, 1)))
	var r runs
	b.ReportAllocs()
	for b.Loop() {
		r.plan(batch, 0, batch.Len(), false)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(batch.Len()), "ns/datagram")
}
