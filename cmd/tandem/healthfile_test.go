package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/health"
)

var savedAt = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// someHealth is a host of each kind, on a clock that shows 100 s.
func someHealth() []health.Memory {
	const second = int64(time.Second)
	key := func(addr string) health.Key {
		return health.Key{URI: "sip:" + addr, Addr: netip.MustParseAddrPort(addr), Listener: "0.0.0.0:5060"}
	}
	ejection := health.Reason{Event: health.FailedCalls, Last: health.CallFailed, Code: 500, Count: 5, For: 10 * time.Second}
	return []health.Memory{
		{Key: key("10.0.1.10:5060"), Status: health.Status{
			State: health.Down, Since: 40 * second, Dead: true, Downs: 2, KeptUntil: 110 * second, BackAt: 30 * second,
			Reason: health.Reason{Event: health.ProbeFailed, Count: 2, For: 70 * time.Second, Within: 5 * time.Minute},
		}},
		{Key: key("10.0.1.11:5060"), Status: health.Status{
			State: health.Ejected, Since: 99 * second, Reason: ejection,
			Ejected: true, EjectedUntil: 109 * second, TrialAt: 109 * second, EjectHold: 10 * time.Second, Ejection: ejection,
		}},
		{Key: key("[2001:db8::1]:5060"), Status: health.Status{
			State: health.Full, Since: 90 * second, FullUntil: 120 * second, ProbeFull: true,
			Reason: health.Reason{Event: health.CallFull, Code: 503, For: 30 * time.Second},
			Doubt:  true, DoubtUntil: 95 * second, Hold: 10 * time.Second,
		}},
		{Key: key("10.0.1.12:5060"), Status: health.Status{
			State: health.Recovering, Since: 80*second + 1, Ramp: 30 * time.Second, RecoverUntil: 110*second + 1,
			Reason: health.Reason{Event: health.TrialAnswered}, EjectHold: 20 * time.Second, ForgetAt: 130 * second,
		}},
	}
}

func TestHealthFileKeeps(t *testing.T) {
	const then, later = int64(100 * time.Second), int64(time.Millisecond)
	text, err := healthFileText(someHealth(), then, savedAt)
	require.NoError(t, err)
	require.Contains(t, string(text), `{
      "uri": "sip:10.0.1.10:5060",
      "address": "10.0.1.10:5060",
      "listener": "0.0.0.0:5060",
      "state": "down",
      "since": "2026-11-23T09:59:00Z",
      "reason": {
        "event": "probe_silent",
        "count": 2,
        "for": "70s",
        "within": "5m"
      },
      "dead": true,
      "downs": 2,
      "kept_until": "2026-11-23T10:00:10Z",
      "back_at": "2026-11-23T09:58:50Z"
    }`)
	for name, c := range map[string]struct {
		day   time.Time
		age   time.Duration
		shift int64 // of the clock's times
	}{
		"at once":                   {savedAt, 0, later - then},
		"after a minute":            {savedAt.Add(time.Minute), time.Minute, later - then - int64(time.Minute)},
		"after a year":              {savedAt.Add(365 * 24 * time.Hour), 365 * 24 * time.Hour, later - then - int64(365*24*time.Hour)},
		"the clock was set back":    {savedAt.Add(-time.Hour), -1, later - then},
		"to the beginning of time":  {time.Time{}, -1, later - then},
		"it was set to the far end": {savedAt.Add(1<<63 - 1), longestAgo, later - then - int64(longestAgo)},
	} {
		t.Run(name, func(t *testing.T) {
			list, age, err := parseHealth(text, later, c.day)
			require.NoError(t, err)
			require.Equal(t, c.age, age)
			want := someHealth()
			for i := range want {
				want[i].Status = want[i].Status.Shift(c.shift)
			}
			require.Equal(t, want, list)
		})
	}
}

// A file that cannot be taken is nothing worth failing for: the node starts, says
// so once and what comes of it, and goes on as without one.
func TestHealthFileThatCannotBeTaken(t *testing.T) {
	whole, err := healthFileText(someHealth(), int64(100*time.Second), savedAt)
	require.NoError(t, err)
	good := string(whole)
	for name, c := range map[string]struct{ text, want string }{
		"empty":         {"", "it is damaged: unexpected end of JSON input"},
		"NUL":           {strings.Repeat("\x00", 100), "it is damaged"},
		"half of it":    {good[:len(good)/2], "it is damaged"},
		"more behind":   {good + "{}", "it is damaged"},
		"a list":        {"[]", "it is damaged"},
		"no version":    {`{"hosts": []}`, "it has version 0, this program writes 1"},
		"newer":         {`{"version": 2, "anything": 1}`, "it has version 2, this program writes 1"},
		"unknown field": {strings.Replace(good, `"dead"`, `"deaf"`, 1), `unknown field "deaf"`},
		"state":         {strings.Replace(good, `"down"`, `"drained"`, 1), `hosts[0]: no state is called "drained"`},
		"event":         {strings.Replace(good, "probe_silent", "weather", 1), `hosts[0]: no event is called "weather"`},
		"last event":    {strings.Replace(good, "call_failed", "weather", 1), `hosts[1]: no event is called "weather"`},
		"address":       {strings.Replace(good, `"address": "10.0.1.10:5060"`, `"address": "somewhere"`, 1), "it is damaged"},
		"no address":    {strings.Replace(good, `"address": "10.0.1.10:5060"`, `"address": ""`, 1), "the host has no address"},
		"time":          {strings.Replace(good, "2026-11-23T09:59:00Z", "yesterday", 1), "it is damaged"},
		"far time":      {strings.Replace(good, "2026-11-23T09:59:00Z", "1726-11-23T09:59:00Z", 1), "is too far away"},
		"duration":      {strings.Replace(good, `"70s"`, `"-70s"`, 1), "is less than nothing"},
		"count":         {strings.Replace(good, `"downs": 2`, `"downs": -2`, 1), "it was down -2 times"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := settings(t, newSIPSocket(t).addr())
			path := filepath.Join(cfg.StateDir, "health.json")
			require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
			r := start(t, cfg)
			said := r.lastLine(t, "what was known of hosts before the restart cannot be read and is left aside")
			require.Equal(t, path, said["file"])
			require.Contains(t, said["error"], c.want)
			require.Equal(t, 1, strings.Count(r.log.String(), "cannot be read and is left aside"))
			require.Equal(t, health.Up, r.router.Hosts()[0].Health.Status().State)
		})
	}
}
