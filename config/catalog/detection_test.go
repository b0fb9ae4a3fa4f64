package catalog

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDetection(t *testing.T) {
	set := func(change func(*Health)) *Health {
		set := DefaultHealth()
		change(&set)
		return &set
	}
	for _, c := range []struct {
		name string
		set  *Health
		want time.Duration
	}{
		// 5.5 s until the first probe leaves, two more 1.1 s apart, 1 s for the last to fail.
		{"defaults", set(func(*Health) {}), 8700 * time.Millisecond},
		{"one failure is enough", set(func(s *Health) { s.DownAfter = 1 }), 6500 * time.Millisecond},
		{"timeout longer than the fast interval", set(func(s *Health) { s.Timeout = 3 * time.Second }), 14500 * time.Millisecond},
		{"no probes", set(func(s *Health) { s.Probe = false }), 0},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, c.set.Detection()) })
	}
}

func TestDetectionSum(t *testing.T) {
	set := DefaultHealth()
	require.Equal(t, "interval 5s + 10 % of jitter, then 2 times fast_interval 1s + 10 % (down_after 3), then timeout 1s", set.DetectionSum())
	set.Timeout = 2 * time.Second
	require.Equal(t, "interval 5s + 10 % of jitter, then 2 times timeout 2s (down_after 3), then timeout 2s", set.DetectionSum())
	set.DownAfter = 1
	require.Equal(t, "interval 5s + 10 % of jitter, then timeout 2s", set.DetectionSum())
}
