package router

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStoreUsesBuffersAgain(t *testing.T) {
	f := new(buffers)
	var a, b []byte
	f.store(&a, make([]byte, 900))
	require.Equal(t, 1024, cap(a))
	first := &a[0]
	f.store(&a, []byte("shorter"))
	require.Same(t, first, &a[0], "what is there is large enough")
	require.Equal(t, "shorter", string(a))
	f.release(&a)
	require.Nil(t, a)
	f.store(&b, make([]byte, 897))
	require.Same(t, first, &b[0], "of the same size class")
	f.store(&a, make([]byte, 1000))
	require.NotSame(t, first, &a[0], "in use")
	f.store(&b, make([]byte, 5000))
	require.Equal(t, 5120, cap(b))
	f.store(&a, make([]byte, 512))
	f.release(&a)
	f.store(&a, make([]byte, 1))
	require.NotSame(t, first, &a[0], "large ones are not spent on small things")
	require.Equal(t, 256, cap(a))
}

// Buffers of a class hold what the class is for, and no more than a fifth of
// them is unused, above the smallest.
func TestBufferClasses(t *testing.T) {
	for n := range 1<<largestBuffer + 1 {
		class := bufferClass(n)
		size := bufferSize(class)
		require.Less(t, class, bufferClasses)
		require.GreaterOrEqual(t, size, n)
		require.Equal(t, class, bufferClass(size), "it comes back to where it was taken from")
		if class > 0 {
			require.Less(t, bufferSize(class-1), n)
			require.LessOrEqual(t, size-n, size/5)
		}
	}
	require.GreaterOrEqual(t, bufferClass(1<<largestBuffer+1), bufferClasses)
}

func TestStoreOfEverySize(t *testing.T) {
	f := new(buffers)
	sizes := []int{0, 1, 255, 256, 257, 511, 512, 513, 1024, 1025, 65535, 65536, 65537, 200000}
	for _, n := range sizes {
		var b []byte
		f.store(&b, make([]byte, n))
		require.Len(t, b, n)
		f.release(&b)
		require.Nil(t, b)
	}
	for class := range f.shelves {
		for _, b := range f.shelves[class].free {
			require.Equal(t, bufferSize(class), cap(b))
		}
	}
}
