package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router/transport"
)

// kept is a keeper and the hosts that it keeps the health of.
type kept struct {
	*keeper
	log   *logText
	hosts []*health.Host
}

func keepIn(dir string) *kept {
	r := health.NewRegistry(health.Options{Settings: catalog.DefaultHealth()})
	k := &kept{log: &logText{}}
	k.keeper = &keeper{log: k.log.logger(), dir: dir, registry: r, changed: make(chan struct{}, 1)}
	for _, m := range someHealth() {
		k.hosts = append(k.hosts, r.Host(m.Key))
	}
	return k
}

func (k *kept) file(t *testing.T) string {
	text, err := os.ReadFile(filepath.Join(k.dir, "health.json"))
	require.NoError(t, err)
	return string(text)
}

func down(h *health.Host, now int64) {
	for range 3 {
		h.Observe(now, health.Observation{Event: health.ProbeFailed})
	}
}

func TestKeeperRestores(t *testing.T) {
	const second = int64(time.Second)
	k := keepIn(filepath.Join(t.TempDir(), "state"))
	k.keep(second, savedAt, true)
	require.NoDirExists(t, k.dir, "there was nothing to keep")
	down(k.hosts[0], 2*second)
	k.keep(3*second, savedAt, false)
	before := k.file(t)
	require.Contains(t, before, `"saved": "2026-11-23T10:00:00Z"`)
	info, err := os.Stat(filepath.Join(k.dir, "health.json"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	k.keep(4*second, savedAt.Add(time.Second), false)
	require.Equal(t, before, k.file(t), "nothing has changed")
	k.keep(33*second, savedAt.Add(30*time.Second), false)
	require.Contains(t, k.file(t), `"saved": "2026-11-23T10:00:30Z"`, "it is still so")
	require.Contains(t, k.file(t), `"since": "2026-11-23T09:59:59Z"`)

	again := keepIn(k.dir)
	again.restore(second)
	require.Equal(t, health.Doubtful, again.hosts[0].View(second).State, "a file of long ago")
	require.Contains(t, again.log.String(), "before the restart: no answer to OPTIONS; too long ago to be sure")

	k.keep(34*second, time.Now(), true)
	again = keepIn(k.dir)
	again.restore(second)
	require.Equal(t, health.Down, again.hosts[0].View(second).State)
	require.Equal(t, health.Up, again.hosts[1].View(second).State)
	require.Contains(t, again.log.String(), "still down after the restart")
	require.Equal(t, 1, strings.Count(again.log.String(), "\n"))
	for at := range int64(2) {
		again.hosts[0].Observe(at+2*second, health.Observation{Event: health.ProbeOK, Code: 200})
	}
	again.keep(10*second, time.Now(), false)
	require.Contains(t, again.file(t), `"state": "recovering"`)
	again.keep(1000*second, time.Now(), false)
	require.Contains(t, again.file(t), `"hosts": []`)
}

func TestKeeperThatCannotWrite(t *testing.T) {
	const second = int64(time.Second)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	k := keepIn(filepath.Join(file, "state"))
	k.restore(second)
	require.Empty(t, k.log.String(), "there was no file")
	down(k.hosts[0], second)
	for at := range int64(3) {
		k.keep((at+1)*second, savedAt, true)
	}
	require.Equal(t, 1, strings.Count(k.log.String(), "the health of hosts cannot be kept"), "said once")
	require.NoError(t, os.Remove(file))
	k.keep(5*second, savedAt, false)
	require.Contains(t, k.log.String(), "the health of hosts is kept again")
	require.Contains(t, k.file(t), `"state": "down"`)
}

// A change is written at once, and a storm of them is not one write each.
func TestKeeperRuns(t *testing.T) {
	k := keepIn(t.TempDir())
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { k.run(ctx) })
	defer running.Wait()
	defer stop()
	began := time.Now()
	down(k.hosts[0], transport.Now()+1)
	k.wake()
	written := func(host string) bool {
		text, _ := os.ReadFile(filepath.Join(k.dir, "health.json"))
		return strings.Contains(string(text), host)
	}
	require.Eventually(t, func() bool { return written("sip:10.0.1.10:5060") }, patient, time.Millisecond)
	down(k.hosts[1], transport.Now())
	k.wake()
	require.Eventually(t, func() bool { return written("sip:10.0.1.11:5060") }, patient, time.Millisecond)
	require.GreaterOrEqual(t, time.Since(began), keepRest, "after a rest")
	down(k.hosts[2], transport.Now())
	stop()
	running.Wait()
	require.True(t, written("2001:db8::1"), "what was not written yet is at the end")
}
