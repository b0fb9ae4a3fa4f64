package transport

import (
	"math/bits"
	"sync/atomic"
)

// WorkerStats is what one worker's socket has done since Listen. The figures of
// one value are read one after another, not at one instant.
type WorkerStats struct {
	Listener, Worker int

	Received       uint64 // datagrams handed to the Handler
	BytesIn        uint64
	ReceiveBatches uint64 // system calls that brought at least one datagram
	ReceiveSizes   Sizes  // of these: datagrams each brought, dropped ones too
	Truncated      uint64 // dropped: longer than the receive buffer
	Empty          uint64 // dropped: no payload (some phones' keep-alive)
	KernelDrops    uint64 // dropped by the kernel: the socket's buffer was full

	Sent         uint64
	BytesOut     uint64
	SendBatches  uint64 // system calls that sent at least one datagram
	SendSizes    Sizes  // of these: datagrams each sent, segments too
	Segments     uint64 // of Sent: that left together with others of their size (UDP_SEGMENT)
	SendErrors   uint64 // reported as SendError, or returned by WriteTo
	SendDropped  uint64 // no room in the socket or the device for a millisecond
	LocalRefused uint64 // given a local address that the kernel refused; tried again without

	ICMP uint64 // entries taken from the error queue
}

// Sizes is a distribution of batch sizes: Sizes[i] counts the batches of up to
// 1<<i datagrams that do not fit the bucket before. The last bound is 64, and no
// batch is longer.
type Sizes [7]uint64

// sizes is a Sizes that is counted in. Its sum is the number of batches, which
// is not counted apart, so the distribution costs no more than that number did.
type sizes [len(Sizes{})]atomic.Uint64

// add counts a batch of n datagrams.
func (s *sizes) add(n int) {
	s[min(bits.Len(uint(n-1)), len(s)-1)].Add(1)
}

func (s *sizes) load() (all Sizes, sum uint64) {
	for i := range s {
		all[i] = s[i].Load()
		sum += all[i]
	}
	return all, sum
}

// counters are a socket's figures. They are added to once per system call, not
// per datagram: besides the worker, timers and probes send on its socket.
type counters struct {
	received, bytesIn, truncated, empty atomic.Uint64
	receiveSizes                        sizes

	sent, bytesOut, segments, sendErrors, sendDropped, localRefused atomic.Uint64
	sendSizes                                                       sizes

	icmp atomic.Uint64
}

func (c *counters) stats(listener, worker int) WorkerStats {
	receiveSizes, receiveBatches := c.receiveSizes.load()
	sendSizes, sendBatches := c.sendSizes.load()
	return WorkerStats{
		Listener:       listener,
		Worker:         worker,
		Received:       c.received.Load(),
		BytesIn:        c.bytesIn.Load(),
		ReceiveBatches: receiveBatches,
		ReceiveSizes:   receiveSizes,
		Truncated:      c.truncated.Load(),
		Empty:          c.empty.Load(),
		Sent:           c.sent.Load(),
		BytesOut:       c.bytesOut.Load(),
		SendBatches:    sendBatches,
		SendSizes:      sendSizes,
		Segments:       c.segments.Load(),
		SendErrors:     c.sendErrors.Load(),
		SendDropped:    c.sendDropped.Load(),
		LocalRefused:   c.localRefused.Load(),
		ICMP:           c.icmp.Load(),
	}
}
