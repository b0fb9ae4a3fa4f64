package store

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"tandem/config/number"
)

// put carries edits of the list of all numbers out, and returns how many blocks it
// has then.
func (b *Bolt) edit(t testing.TB, edits []edit) (blocks int) {
	t.Helper()
	require.NoError(t, b.db.Update(func(tx *bbolt.Tx) error {
		x, err := newTx(tx)
		require.NoError(t, err)
		writes, err := x.numbers.plan(edits)
		require.NoError(t, err)
		_, err = x.put(writes)
		require.NoError(t, err)
		return x.numbers.bucket.ForEach(func(_, value []byte) error {
			blocks++
			items, err := decodeBlock(nil, 1, value)
			require.NoError(t, err)
			require.LessOrEqual(t, len(items), blockItems)
			require.LessOrEqual(t, len(value), blockBytes+50)
			return nil
		})
	}))
	return blocks
}

// A block is full after an import, and no list falls into pieces, in whatever order
// its numbers come and go.
func TestBlocks(t *testing.T) {
	open := func(t *testing.T) *Bolt {
		b, err := Open(t.TempDir()+"/store.db", Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		return b
	}
	const n = 20_000
	edits := make([]edit, n)
	for i := range edits {
		edits[i] = edit{key: number.Key(21_000_000 + i), put: true, new: record{owner: 1, revision: 1}}
	}
	same := n/blockItems + 1
	t.Run("ascending", func(t *testing.T) {
		b, blocks := open(t), 0
		for part := range slices.Chunk(edits, 700) {
			blocks = b.edit(t, part)
		}
		require.Equal(t, same, blocks)
	})
	t.Run("at once", func(t *testing.T) {
		require.Equal(t, same, open(t).edit(t, edits))
	})
	t.Run("in any order", func(t *testing.T) {
		b, blocks := open(t), 0
		mixed := slices.Clone(edits)
		rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		for part := range slices.Chunk(mixed, 100) {
			slices.SortFunc(part, func(a, b edit) int { return int(a.key) - int(b.key) })
			blocks = b.edit(t, part)
		}
		require.Less(t, blocks, 2*same+1)
		for i := range edits {
			edits[i].put = i%10 == 0
		}
		b.edit(t, edits)
		for i := range edits {
			require.True(t, edits[i].had)
			edits[i].put = false
		}
		require.Zero(t, b.edit(t, edits))
	})
}

// Whatever stands in a block, it is read or refused; what is read is written as it
// was, or shorter.
func FuzzBlock(f *testing.F) {
	f.Add(uint64(21555), encodeBlock([]item{{21555, record{1, 2, 3, 4}}, {21556, record{1, 2, 3, 4}}, {21600, record{2, 9, 3, 9}}}))
	f.Add(uint64(1), []byte{0, 0})
	f.Fuzz(func(t *testing.T, first uint64, block []byte) {
		items, err := decodeBlock(nil, number.Key(first)&maxKey|1, block)
		if err != nil {
			return
		}
		again, err := decodeBlock(nil, items[0].key, encodeBlock(items))
		require.NoError(t, err)
		require.Equal(t, items, again)
	})
}
