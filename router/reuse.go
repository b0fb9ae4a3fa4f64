package router

import (
	"net/netip"
	"slices"
	"strings"

	"tandem/router/wire"
)

// takeAlias lets requests to the sent-by of a request go back on its connection,
// if its top Via asks for that and its sender has a certificate for the sent-by
// (RFC 5923 7.2). A name is taken for the address that the request came
// from: of a peer with several, each connection stands for itself.
func (r *Router) takeAlias(s *scratch) {
	m := &s.m
	v := &m.TopVia
	if _, asks := wire.Param(m.Data, v.Params, "alias"); !asks || r.alias == nil {
		return
	}
	port := v.Port
	if port == 0 {
		port = r.listeners[s.listener].Transport.Port()
	}
	host := m.Bytes(v.Host)
	addr, literal := parseAddr(host)
	if literal && addr != s.source.Addr() {
		return
	}
	if literal || slices.ContainsFunc(s.peer.Names, func(name string) bool { return strings.EqualFold(name, string(host)) }) {
		r.alias(s.listener, s.source, netip.AddrPortFrom(s.source.Addr(), port))
	}
}
