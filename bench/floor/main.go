// Command floor is what a proxy cannot be cheaper than: a reflector that
// receives the 6 datagrams of a call and sends the 7 that a proxy would, of
// like size, with as little work of its own as there can be. One thread, one
// socket, blocking system calls, no state; it understands nothing and passes
// everything on to one connector.
package main

import (
	"flag"
	"log"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"

	"tandem/bench/mmsg"
)

func main() {
	log.SetFlags(0)
	listen := flag.String("listen", "127.0.0.1:5060", "the address to listen at")
	connector := flag.String("connector", "127.0.0.1:5080", "where requests go")
	batch := flag.Bool("batch", false, "receive and send several datagrams by a system call; else one")
	flag.Parse()
	if err := quiet(); err != nil {
		log.Fatal("floor: ", err)
	}
	at, err := netip.ParseAddrPort(*listen)
	if err != nil {
		log.Fatal("floor: ", err)
	}
	to, err := netip.ParseAddrPort(*connector)
	if err != nil {
		log.Fatal("floor: ", err)
	}
	fd, at, err := mmsg.Socket(at, 4<<20)
	if err != nil {
		log.Fatal("floor: ", err)
	}
	debug.SetGCPercent(-1)
	runtime.LockOSThread()
	size := 1
	if *batch {
		size = 32
	}
	if err := newReflector(fd, at, to, size).serve(); err != nil {
		log.Fatal("floor: ", err)
	}
}

// quiet runs this program again with Go's runtime told not to signal threads:
// its monitor looks every 10 ms for what has run so long, and would interrupt
// the one thread here, which never gives way, each time. Nothing waits for it.
func quiet() error {
	const name, value = "GODEBUG", "asyncpreemptoff=1"
	if os.Getenv(name) == value {
		return nil
	}
	path, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Setenv(name, value); err != nil {
		return err
	}
	return syscall.Exec(path, os.Args, os.Environ())
}

// serve passes datagrams on until the socket breaks.
func (r *reflector) serve() error {
	for {
		n, err := mmsg.Receive(r.fd, r.in, unix.MSG_WAITFORONE)
		if err == unix.EINTR || err == unix.ECONNREFUSED { // of a connector that has ended
			continue
		}
		if err != nil {
			return err
		}
		out := r.pass(n)
		for at := 0; at < out; {
			sent, err := mmsg.Send(r.fd, r.out[at:min(at+r.batch, out)], unix.MSG_DONTWAIT)
			if err != nil {
				sent = 1 // it is lost, as on a network
			}
			at += sent
		}
	}
}
