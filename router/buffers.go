package router

import "math/bits"

// buffers hold the messages of a stripe's calls, in a few sizes, four to each
// power of two: what a message leaves unused is a fifth of its buffer at most.
type buffers struct {
	shelves [bufferClasses]shelf[[]byte]
	free    int // bytes on them
}

const (
	smallestBuffer = 8  // 256 bytes, as a power of two
	largestBuffer  = 16 // 64 KiB: what is longer is not kept
	bufferClasses  = 4*(largestBuffer-smallestBuffer) + 1
)

// bufferClass is the class whose buffers are just long enough for n bytes;
// bufferClasses or more when none is.
func bufferClass(n int) int {
	if n <= 1<<smallestBuffer {
		return 0
	}
	power := bits.Len(uint(n-1)) - 1
	return 4*(power-smallestBuffer) + (n-1)>>(power-2) - 3
}

// bufferSize is how many bytes the buffers of a class hold.
func bufferSize(class int) int {
	if class == 0 {
		return 1 << smallestBuffer
	}
	return (5 + (class-1)%4) << (smallestBuffer + (class-1)/4 - 2)
}

// store copies b to a buffer that release gives back. What dst held is released.
func (f *buffers) store(dst *[]byte, b []byte) {
	if cap(*dst) < len(b) {
		f.release(dst)
		class, ok := bufferClass(len(b)), false
		if class >= bufferClasses {
			*dst = make([]byte, 0, len(b))
		} else if *dst, ok = f.shelves[class].take(); ok {
			f.free -= cap(*dst)
		} else {
			*dst = make([]byte, 0, bufferSize(class))
		}
	}
	*dst = append((*dst)[:0], b...)
}

func (f *buffers) release(b *[]byte) {
	if n := cap(*b); n > 0 {
		if class := bufferClass(n); class < bufferClasses {
			f.shelves[class].put((*b)[:0])
			f.free += n
		}
	}
	*b = nil
}
