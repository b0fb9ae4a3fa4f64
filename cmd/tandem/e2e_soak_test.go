//go:build linux && soak

package main_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The long runs, for `make soak`: figures for people, and the same conditions
// as the short ones.

func TestSoak_TenThousandCalls(t *testing.T) {
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			const calls, rate = 10000, 500
			l := newLab(t)
			first := l.sippConnector("connector", "127.0.0.11", "-d", "20")
			second := l.sippConnector("connector", "127.0.0.12")
			n := l.serve(twoConnectors + fmt.Sprintf("workers: %d\n", workers))
			s := l.sippCaller("caller", "127.0.0.2", n, "+15550000001", calls, rate, "-d", "100")
			first.stop()
			t.Logf("%d calls at %d/s, %d workers: %d failed, %d retransmissions by the caller, %d at the connector",
				calls, rate, workers, s.stat("FailedCall"), s.stat("Retransmissions"), first.count("INVITE_Retrans")+first.count("BYE_Retrans"))
			s.allSucceeded(calls)
			s.notResent(first)
			require.Equal(t, calls, first.count("INVITE_Recv"))
			require.Equal(t, 0, second.stop().count("INVITE_Recv"))
		})
	}
}

func TestSoak_NamesUnderLoad(t *testing.T) { namesUnderLoad(t, time.Minute) }

func TestSoak_NetnsClosedPort(t *testing.T) {
	if inNetns(t) {
		closedPort(t, 1000, 50, 10000, 500)
	}
}

func TestSoak_NetnsPortCloses(t *testing.T) {
	if inNetns(t) {
		portCloses(t, 1000, 50, 10000, 500)
	}
}

func TestSoak_NetnsICMPLatency(t *testing.T) {
	if inNetns(t) {
		measureICMP(t, 800, 500)
	}
}

func TestSoak_ReloadUnderLoad(t *testing.T) {
	for name, watch := range map[string]bool{"SIGHUP": false, "watched": true} {
		t.Run(name, func(t *testing.T) { reloads(t, 500, 1500, watch) })
	}
}

func TestSoak_DrainUnderLoad(t *testing.T) { drains(t, 500, 2500) }

func TestSoak_RaceCancelAgainst200(t *testing.T) { cancelAgainst200(t, 100_000, 600) }

func TestSoak_KilledUnderLoad(t *testing.T) {
	killed(t, 500, 4*time.Second, 0, 0, 0, 0, 100*time.Millisecond, time.Second, 2*time.Second)
}

func TestSoak_RaceFinalAgainstTimers(t *testing.T) {
	for range 5 { // each call has a port of its own
		t.Run("first_response", func(t *testing.T) { finalAgainstTimer(t, firstResponseTimer, 2000, 300) })
		t.Run("progress", func(t *testing.T) { finalAgainstTimer(t, progressTimer, 2000, 300) })
	}
}

func TestSoak_NetnsRaceResponseAgainstICMP(t *testing.T) {
	if inNetns(t) {
		responseAgainstICMP(t, 4000, 300)
	}
}
