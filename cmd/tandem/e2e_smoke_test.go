//go:build linux

package main_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// These run alone, not beside other tests: they are load.

func TestE2E_SIPpSmoke(t *testing.T) {
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			const calls, rate = 500, 250
			l := newLab(t)
			first, second := l.sippConnector("connector", "127.0.0.11", "-d", "20"), l.sippConnector("connector", "127.0.0.12")
			n := l.serve(twoConnectors + fmt.Sprintf("workers: %d\n", workers))
			s := l.sippCaller("caller", "127.0.0.2", n, "+15550000001", calls, rate, "-d", "50")
			s.allSucceeded(calls)
			require.Equal(t, calls, first.stop().count("INVITE_Recv"))
			require.Equal(t, 0, second.stop().count("INVITE_Recv"))
			s.notResent(first)
		})
	}
}

// The callee's re-INVITE and BYE, from an address that is no trunk.
func TestE2E_SIPpCalleeEnds(t *testing.T) {
	const calls = 50
	l := newLab(t)
	l.sippConnector("connector-bye", "127.0.0.11", "-d", "20")
	n := l.serve(onlyCaller + twoConnectors)
	l.sippCaller("caller-callee-bye", "127.0.0.2", n, "+15550000001", calls, 50).allSucceeded(calls)
}

func TestE2E_SIPpCancel(t *testing.T) {
	const calls = 50
	l := newLab(t)
	first, second := l.sippConnector("connector-cancel", "127.0.0.11"), l.sippConnector("connector", "127.0.0.12")
	n := l.serve(twoConnectors)
	l.sippCaller("caller-cancel", "127.0.0.2", n, "+15550000001", calls, 50, "-d", "50").allSucceeded(calls)
	require.Equal(t, calls, first.stop().count("CANCEL_Recv"))
	require.Equal(t, calls, first.count("ACK_Recv"))
	require.Equal(t, 0, second.stop().count("INVITE_Recv"))
}

// A connector's failure: relayed, or the next connector is tried.
func TestE2E_SIPpFailures(t *testing.T) {
	t.Parallel()
	const calls = 20
	for _, code := range []int{486, 603, 404, 302} {
		t.Run(fmt.Sprintf("%d is relayed", code), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			first := l.sippConnector(fmt.Sprintf("reject-%d", code), "127.0.0.11")
			second := l.sippConnector("connector", "127.0.0.12")
			n := l.serve(twoConnectors)
			l.sippCaller("caller-expect", "127.0.0.2", n, "+15550000001", calls, 20, "-set", "expected", fmt.Sprint(code)).allSucceeded(calls)
			require.Equal(t, calls, first.stop().count("ACK_Recv"))
			require.Equal(t, 0, second.stop().count("INVITE_Recv"))
		})
	}
	for _, code := range []int{503, 500, 408} {
		t.Run(fmt.Sprintf("%d moves on", code), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			first := l.sippConnector(fmt.Sprintf("reject-%d", code), "127.0.0.11")
			second := l.sippConnector("connector", "127.0.0.12")
			n := l.serve(twoConnectors)
			l.sippCaller("caller", "127.0.0.2", n, "+15550000001", calls, 20).allSucceeded(calls)
			first.stop()
			require.Equal(t, first.count("INVITE_Recv"), first.count("ACK_Recv"))
			require.Equal(t, calls, second.stop().count("INVITE_Recv"))
		})
	}
	t.Run("all fail", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.sippConnector("reject-500", "127.0.0.11")
		l.sippConnector("reject-408", "127.0.0.12")
		n := l.serve(twoConnectors)
		l.sippCaller("caller-expect", "127.0.0.2", n, "+15550000001", calls, 20, "-set", "expected", "503").allSucceeded(calls)
	})
	t.Run("ring then 503", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.sippConnector("ring-then-503", "127.0.0.11")
		second := l.sippConnector("connector", "127.0.0.12")
		n := l.serve(twoConnectors)
		l.sippCaller("caller-expect", "127.0.0.2", n, "+15550000001", calls, 20, "-set", "expected", "503").allSucceeded(calls)
		require.Equal(t, 0, second.stop().count("INVITE_Recv"))
	})
	t.Run("silent", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.sippConnector("silent", "127.0.0.11", "-d", "60000")
		second := l.sippConnector("connector", "127.0.0.12")
		n := l.serve(twoConnectors + quick)
		l.sippCaller("caller", "127.0.0.2", n, "+15550000001", calls, 20).allSucceeded(calls)
		require.Equal(t, calls, second.stop().count("INVITE_Recv"))
	})
}
