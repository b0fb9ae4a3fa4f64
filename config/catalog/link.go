package catalog

import "net/netip"

// SameLink reports whether a and b, of one family, are both on one link or both on
// none: from a link-local address of IPv6 (RFC 4291 2.5.6) only that link is
// reached. An address without a zone may be on any.
func SameLink(a, b netip.Addr) bool {
	if onLink(a) != onLink(b) {
		return false
	}
	return a.Zone() == b.Zone() || a.Zone() == "" || b.Zone() == ""
}

// onLink leaves IPv4 out, whose link-local addresses (RFC 3927) need no zone and
// are used beside others.
func onLink(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() }
