package health

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

func TestDetectionTime(t *testing.T) {
	set := func(change func(*catalog.Health)) *catalog.Health {
		set := catalog.DefaultHealth()
		change(&set)
		return &set
	}
	for _, c := range []struct {
		name string
		set  *catalog.Health
		want time.Duration
	}{
		// 5.5 s until the first probe leaves, two more 1.1 s apart, 1 s for the last to fail.
		{"defaults", set(func(*catalog.Health) {}), 8700 * time.Millisecond},
		{"one failure is enough", set(func(s *catalog.Health) { s.DownAfter = 1 }), 6500 * time.Millisecond},
		{"timeout longer than the fast interval", set(func(s *catalog.Health) { s.Timeout = 3 * time.Second }), 14500 * time.Millisecond},
		{"no probes", set(func(s *catalog.Health) { s.Probe = false }), 0},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, DetectionTime(c.set)) })
	}
}
