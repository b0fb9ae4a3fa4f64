package transport

import (
	"log/slog"
	"net/netip"
	"runtime"
)

// Config is what Listen opens. Only Listen is required, or Beyond.
type Config struct {
	Listen        []netip.AddrPort // port 0 lets the system choose
	Workers       int              // sockets per address, each received on by a goroutine; 0: GOMAXPROCS
	ReceiveBuffer int              // bytes per socket; 0: 4 MiB
	SendBuffer    int              // bytes per socket; 0: 4 MiB
	Log           *slog.Logger     // nil: nothing is logged

	// Block has workers wait in the receive call while datagrams come closely.
	// It is for a process with more Ps (GOMAXPROCS) than sockets: each holds one
	// while it waits.
	Block bool
	// Whole keeps datagrams to one peer from leaving together, segmented by the
	// kernel or the device (UDP_SEGMENT).
	Whole bool
	// Beyond sends what is for listeners after those of Listen, which are not
	// datagram sockets: message i of b. It must not wait, keep data or change b;
	// any goroutine may call it.
	Beyond func(b *Batch, i int)
}

// defaultBuffer holds some 6,500 datagrams of 550 bytes as the kernel accounts
// for them; its own default holds 166, fewer than one burst of a carrier.
const defaultBuffer = 4 << 20

func (c Config) workers() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return runtime.GOMAXPROCS(0)
}

func (c Config) receiveBuffer() int {
	if c.ReceiveBuffer > 0 {
		return c.ReceiveBuffer
	}
	return defaultBuffer
}

func (c Config) sendBuffer() int {
	if c.SendBuffer > 0 {
		return c.SendBuffer
	}
	return defaultBuffer
}

func (c Config) log() *slog.Logger {
	if c.Log != nil {
		return c.Log
	}
	return slog.New(slog.DiscardHandler)
}
