package transport

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr has room for either family. The two begin alike: family, port.
type sockaddr unix.RawSockaddrInet6

const (
	sizeofInet4 = unix.SizeofSockaddrInet4
	sizeofInet6 = unix.SizeofSockaddrInet6
)

// noFamily is for an address that is none. AF_UNSPEC would not do: the kernel
// takes it for 0.0.0.0 and sends to this machine.
const noFamily = 0xffff

// put writes a and returns how many bytes of sa count.
func (sa *sockaddr) put(a netip.AddrPort, zones *zoneCache) uint32 {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], a.Port())
	ip := a.Addr()
	switch {
	case ip.Is4(), ip.Is4In6():
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		sa4.Family = unix.AF_INET
		sa4.Addr = ip.As4()
		sa4.Zero = [8]uint8{}
		return sizeofInet4
	case ip.Is6():
		sa.Family = unix.AF_INET6
		sa.Flowinfo = 0
		sa.Addr = ip.As16()
		sa.Scope_id = zones.id(ip.Zone())
		return sizeofInet6
	}
	sa.Family = noFamily
	return sizeofInet4
}

// get reads an address that the kernel wrote; the zero one if there is none.
func (sa *sockaddr) get(zones *zoneCache) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:])
	switch sa.Family {
	case unix.AF_INET:
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), port)
	case unix.AF_INET6:
		ip := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.Scope_id != 0 && ip.Is6() {
			ip = zones.with(ip, sa.Scope_id)
		}
		return netip.AddrPortFrom(ip, port)
	}
	return netip.AddrPort{}
}

// zoneCache translates between an interface's index, which the kernel speaks,
// and the zone of a netip.Addr, which is its name, as a config and the sockets of
// package net have it. It remembers the last of each direction: a machine seldom
// has link-local peers on two networks, and looking a name up costs system calls.
type zoneCache struct {
	in      uint32
	inName  string
	inAddr  netip.Addr        // keeps the interned zone alive, so WithZone does not allocate
	names   map[uint32]string // of all that came, for peers that take turns
	outName string
	out     uint32
}

// mostZones bounds the names that are kept: interfaces come and go.
const mostZones = 256

func (z *zoneCache) with(ip netip.Addr, index uint32) netip.Addr {
	if z.in != index {
		name, known := z.names[index]
		if !known {
			if len(z.names) == mostZones || z.names == nil {
				z.names = make(map[uint32]string)
			}
			name = zoneName(index)
			z.names[index] = name
		}
		z.in, z.inName = index, name
		z.inAddr = ip.WithZone(name)
	}
	return ip.WithZone(z.inName)
}

// zoneName is the name of an interface, or its index where there is none.
func zoneName(index uint32) string {
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return i.Name
	}
	return strconv.FormatUint(uint64(index), 10)
}

func (z *zoneCache) id(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if z.outName != zone {
		index, err := zoneIndex(zone)
		if err != nil {
			return 0 // the kernel refuses a link-local address without a zone
		}
		z.outName, z.out = zone, index
	}
	return z.out
}

// moved looks again for the index of a zone that was in use. It is true when the
// interface has another one: it was deleted and made again.
func (z *zoneCache) moved(zone string, was uint32) bool {
	if zone == "" {
		return false
	}
	z.outName = ""
	now := z.id(zone)
	return now != 0 && now != was
}

func zoneIndex(zone string) (uint32, error) {
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("zone %s: %w", zone, err)
	}
	return uint32(i.Index), nil
}

func bindAddr(a netip.AddrPort) (unix.Sockaddr, error) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, nil
	}
	sa := &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	if zone := a.Addr().Zone(); zone != "" {
		index, err := zoneIndex(zone)
		if err != nil {
			return nil, err
		}
		sa.ZoneId = index
	}
	return sa, nil
}

func boundAddr(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr)
		if sa.ZoneId != 0 {
			ip = ip.WithZone(zoneName(sa.ZoneId))
		}
		return netip.AddrPortFrom(ip, uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("a UDP socket has address type %T", sa)
}
