package transport

import "sync/atomic"

// WorkerStats is what one worker's socket has done since Listen. The figures of
// one value are read one after another, not at one instant.
type WorkerStats struct {
	Listener, Worker int

	Received       uint64 // datagrams handed to the Handler
	BytesIn        uint64
	ReceiveBatches uint64 // system calls that brought at least one datagram
	Truncated      uint64 // dropped: longer than the receive buffer
	Empty          uint64 // dropped: no payload (some phones' keep-alive)
	KernelDrops    uint64 // dropped by the kernel: the socket's buffer was full

	Sent        uint64
	BytesOut    uint64
	SendBatches uint64 // system calls that sent at least one datagram
	SendErrors  uint64 // reported as SendError, or returned by WriteTo
	SendDropped uint64 // no room in the socket or the device for a millisecond

	ICMP uint64 // entries taken from the error queue
}

// counters are a socket's figures. They are added to once per system call, not
// per datagram: besides the worker, timers and probes send on its socket.
type counters struct {
	received, bytesIn, receiveBatches, truncated, empty atomic.Uint64

	sent, bytesOut, sendBatches, sendErrors, sendDropped atomic.Uint64

	icmp atomic.Uint64
}

func (c *counters) stats(listener, worker int) WorkerStats {
	return WorkerStats{
		Listener:       listener,
		Worker:         worker,
		Received:       c.received.Load(),
		BytesIn:        c.bytesIn.Load(),
		ReceiveBatches: c.receiveBatches.Load(),
		Truncated:      c.truncated.Load(),
		Empty:          c.empty.Load(),
		Sent:           c.sent.Load(),
		BytesOut:       c.bytesOut.Load(),
		SendBatches:    c.sendBatches.Load(),
		SendErrors:     c.sendErrors.Load(),
		SendDropped:    c.sendDropped.Load(),
		ICMP:           c.icmp.Load(),
	}
}
