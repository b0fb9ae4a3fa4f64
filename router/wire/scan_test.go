package wire

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSkipPlain_StopsAtTheSameByteAsOneByOne(t *testing.T) {
	naive := func(data []byte, i, end int) int {
		for i < end && plainByte.has(data[i]) {
			i++
		}
		return i
	}
	const plain = "#$%&'()*+,-./0123456789:@AZ[\\]^_`az{|}~"
	for c := range 256 {
		require.Equal(t, strings.IndexByte(plain, byte(c)) >= 0 || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z', plainByte.has(byte(c)), "%q", c)
		// Each byte at each place, with what may carry or borrow behind it.
		for _, behind := range []byte{'a', '#', '~', 0x7f, 0x80, 0xff, 0, ':', ';', '<', '@'} {
			for at := range 8 {
				data := []byte("aaaaaaaaaaaaaaaa")
				data[at], data[at+1] = byte(c), behind
				require.Equal(t, naive(data, 0, len(data)), skipPlain(data, 0, len(data)), "%q", data)
			}
		}
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 100_000 {
		data := make([]byte, rnd.IntN(40))
		for i := range data {
			data[i] = plain[rnd.IntN(len(plain))]
		}
		for range rnd.IntN(3) {
			if len(data) > 0 {
				data[rnd.IntN(len(data))] = byte(rnd.IntN(256))
			}
		}
		end := rnd.IntN(len(data) + 1)
		i := rnd.IntN(end + 1)
		require.Equal(t, naive(data, i, end), skipPlain(data, i, end), "%q from %d to %d", data, i, end)
	}
}
